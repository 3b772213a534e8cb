/* The store's log of events with all they say; see reader.h. */
#include "ctl/reader_internal.h"

/* ?1 after, ?2 limit, ?3 kinds, ?4 whether those are wanted or are not, ?5 parts or NULL, ?6 the only job. */
#define LOG(where, order)                                                                                              \
	"SELECT id, at_ms, sweep, job, attempt, kind, detail FROM event AS v WHERE " where " AND id > ?1 AND "         \
	"(kind IN (SELECT value FROM json_each(?3))) = ?4 AND "                                                        \
	"(sweep IS NULL OR sweep IN (SELECT id FROM sweep WHERE state = 'active')) " order " LIMIT ?2"
#define OF_PARTS                                                                                                       \
	"(?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(?5) AS p WHERE "                                               \
	"coalesce(v.sweep, (SELECT sweep FROM job WHERE id = v.job)) = p.value ->> 0 AND "                             \
	"coalesce(v.job, 0) BETWEEN p.value ->> 1 AND p.value ->> 2))"

static const char *const statements[2][2] = {
	{LOG(OF_PARTS, "ORDER BY id"), LOG(OF_PARTS, "ORDER BY id DESC")},
	{LOG("job = ?6", "ORDER BY id"), LOG("job = ?6", "ORDER BY id DESC")},
};

/* [[sweep, first, last], ...]; NULL: all. */
static char *parts_text(const struct log_query *q)
{
	autojson json_t *parts = json_array();
	for (size_t i = 0; i < q->n_parts; i++)
		json_array_append_new(parts, json_pack("[III]", (json_int_t)q->parts[i].sweep, (json_int_t)q->parts[i].first,
						       (json_int_t)(q->parts[i].last ? q->parts[i].last : INT64_MAX)));
	return q->parts ? json_dumps(parts, JSON_COMPACT) : NULL;
}

static void turn(struct log_row *rows, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct log_row row = rows[i];
		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = row;
	}
}

int reader_log(struct reader *r, const struct log_query *q, struct log_row **ret, size_t *ret_n, struct err *err)
{
	bool one = q->n_parts == 1 && q->parts[0].last && q->parts[0].first == q->parts[0].last;
	autofree char *kinds = json_dumps(q->kinds, JSON_COMPACT), *parts = one ? NULL : parts_text(q);
	struct log_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r, statements[one][q->newest], &s, err);

	if (e < 0)
		return e;
	if (s) {
		stmt_bind_int(s, 1, q->after);
		stmt_bind_int(s, 2, q->limit);
		stmt_bind_text(s, 3, kinds);
		stmt_bind_int(s, 4, q->only_kinds);
		if (one)
			stmt_bind_int(s, 6, q->parts[0].first);
		else
			stmt_bind_text(s, 5, parts);
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
	if (q->newest)
		turn(rows, n);
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
