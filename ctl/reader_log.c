/* The store's log of events with all they say; see reader.h. */
#include "ctl/reader_internal.h"

int reader_log(struct reader *r, int64_t after, int64_t limit, struct log_row **ret, size_t *ret_n, struct err *err)
{
	struct log_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r,
		      "SELECT id, at_ms, sweep, job, attempt, kind, detail FROM event WHERE id > ? AND "
		      "(sweep IS NULL OR sweep IN (SELECT id FROM sweep WHERE state = 'active')) ORDER BY id LIMIT ?",
		      &s, err);

	if (e < 0)
		return e;
	if (s) {
		stmt_bind_int(s, 1, after);
		stmt_bind_int(s, 2, limit);
	}
	while ((e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct log_row){
			.id = stmt_int(s, 0),
			.at_ms = stmt_int(s, 1),
			.sweep = stmt_int(s, 2),
			.job = stmt_int(s, 3),
			.attempt = stmt_int(s, 4),
			.kind = copy(s, 5),
			.detail = copy_json(s, 6),
		};
	}
	if (e < 0) {
		log_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

void log_rows_free(struct log_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].kind);
		json_decref(rows[i].detail);
	}
	free(rows);
}
