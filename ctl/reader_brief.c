/* Jobs in a few words, for completion, which has no time for their epochs; see reader.h. */
#include "ctl/reader_internal.h"

int reader_briefs(struct reader *r, unsigned states, int64_t limit, struct brief_row **ret, size_t *ret_n,
		  struct err *err)
{
	struct brief_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r, "SELECT id, swept, state FROM visible_job ORDER BY id DESC", &s, err);

	while (e >= 0 && (int64_t)n < limit && (e = step(s, err)) > 0) {
		int state = job_state_parse(stmt_text(s, 2));
		if (state < 0 || !(states >> state & 1))
			continue;
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct brief_row){stmt_int(s, 0), copy_json(s, 1), (enum job_state)state};
	}
	if (s)
		stmt_reset(s);
	if (e < 0) {
		brief_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

void brief_rows_free(struct brief_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_decref(rows[i].swept);
	free(rows);
}
