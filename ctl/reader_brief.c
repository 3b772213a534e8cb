/* Jobs in a few words, for completion, which has no time for their epochs; see reader.h. */
#include "ctl/reader_internal.h"

/* The newest of a sweep in one state, appended. */
static int add_briefs(struct reader *r, int64_t sweep, int state, int64_t limit, struct brief_row **rows, size_t *n, struct err *err)
{
	struct stmt *s;
	int e = query(r, "SELECT id, swept FROM job WHERE sweep = ? AND state = ? ORDER BY id DESC LIMIT ?", &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, sweep);
	stmt_bind_text(s, 2, job_state_names[state]);
	stmt_bind_int(s, 3, limit);
	while ((e = step(s, err)) > 0) {
		*rows = grow(*rows, *n, sizeof(**rows));
		(*rows)[(*n)++] = (struct brief_row){stmt_int(s, 0), copy_json(s, 1), (enum job_state)state};
	}
	return e;
}

static int newest_first(const void *a, const void *b)
{
	const struct brief_row *x = a, *y = b;

	return (x->id < y->id) - (x->id > y->id);
}

int reader_briefs(struct reader *r, const struct sweep_row *sweeps, size_t n_sweeps, unsigned states, size_t limit,
		  struct brief_row **ret, size_t *ret_n, struct err *err)
{
	struct brief_row *rows = NULL;
	size_t n = 0;
	int e = 0;

	for (size_t i = n_sweeps; e >= 0 && i-- > 0 && n < limit;)
		for (int state = 0; e >= 0 && state < N_JOB_STATES; state++)
			if (states >> state & 1)
				e = add_briefs(r, sweeps[i].id, state, (int64_t)limit, &rows, &n, err);
	if (e < 0) {
		brief_rows_free(rows, n);
		return e;
	}
	if (n)
		qsort(rows, n, sizeof(*rows), newest_first);
	for (; n > limit; n--)
		json_decref(rows[n - 1].swept);
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
