/* What the files of the reader share. */
#pragma once

#include "ctl/columns.h"
#include "ctl/reader.h"
#include "common/db.h"
#include "common/json.h"

struct reader {
	struct db *db; /* NULL: there is no store yet */
};

/* Room for one more row, zeroed; the array doubles at powers of two. */
static inline void *grow(void *rows, size_t n, size_t size)
{
	if ((n & (n - 1)) == 0 || n == 0)
		rows = xrealloc_array(rows, n ? 2 * n : 1, size);
	memset((char *)rows + n * size, 0, size);
	return rows;
}

static inline char *copy(struct stmt *s, int column)
{
	const char *text = stmt_text(s, column);

	return text ? xstrdup(text) : NULL;
}

/* For ids that are shown as they are. */
static inline char *copy_clean(struct stmt *s, int column)
{
	const char *text = stmt_text(s, column);

	return text ? text_clean(text) : NULL;
}

static inline json_t *copy_json(struct stmt *s, int column)
{
	const char *text = stmt_text(s, column);

	return text ? json_parse(text, strlen(text), NULL) : NULL;
}

/* Prepares sql; 0 rows when there is no store. */
static inline int query(struct reader *r, const char *sql, struct stmt **ret, struct err *err)
{
	*ret = NULL;
	return r->db ? db_prepare(r->db, sql, ret, err) : 0;
}

/* The same with its first parameter. */
static inline int query_of(struct reader *r, const char *sql, int64_t id, struct stmt **ret, struct err *err)
{
	int e = query(r, sql, ret, err);

	if (e == 0 && *ret)
		stmt_bind_int(*ret, 1, id);
	return e;
}

static inline int step(struct stmt *s, struct err *err)
{
	return s ? stmt_step(s, err) : 0;
}
