/* The metrics of a job that have no column of their own; see reader.h. */
#include "ctl/reader_internal.h"

#include <math.h>

/* A percentage is better when it is larger. */
static bool is_better(const char *name, double value, double best)
{
	return isnan(best) || (strstr(name, "accuracy") ? value > best : value < best);
}

int reader_metrics(struct reader *r, int64_t job, struct metric_row **ret, size_t *ret_n, struct err *err)
{
	struct metric_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query_of(
		r,
		"SELECT m.name, m.epoch, m.value FROM counted_epoch AS c JOIN metric AS m ON m.attempt = c.attempt AND "
		"m.epoch = c.epoch WHERE c.job = ? ORDER BY m.name, m.epoch",
		job, &s, err);

	if (e < 0)
		return e;
	while ((e = step(s, err)) > 0) {
		autofree char *name = copy_clean(s, 0);
		double value = stmt_num(s, 2);
		if (!n || !str_eq(rows[n - 1].name, name)) {
			rows = grow(rows, n, sizeof(*rows));
			rows[n++] = (struct metric_row){.name = steal_ptr(name), .best = NAN};
		}
		struct metric_row *row = &rows[n - 1];
		row->last = value;
		if (isnan(value) || !is_better(row->name, value, row->best))
			continue;
		row->best = value;
		row->best_epoch = (int)stmt_int(s, 1);
	}
	if (e < 0) {
		metric_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

void metric_rows_free(struct metric_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(rows[i].name);
	free(rows);
}
