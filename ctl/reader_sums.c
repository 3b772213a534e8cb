/* What many jobs come to, from the store's own sums (table job_epochs); see reader.h.  These read a row per job asked for,
 * in the order in which they lie, and no epoch. */
#include "ctl/reader_internal.h"

#include <math.h>

static void bind_part(struct stmt *s, const struct job_part *part)
{
	stmt_bind_int(s, 1, part->sweep);
	stmt_bind_int(s, 2, part->first);
	stmt_bind_int(s, 3, part->last ? part->last : INT64_MAX);
}

int reader_extremes(struct reader *r, const struct job_part *part, bool best_epoch, struct extremes *ret, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT e.job, e.seconds, e.test_accuracy, e.best_test_accuracy FROM job AS j "
		      "CROSS JOIN job_epochs AS e ON e.job = j.id "
		      "WHERE j.sweep = ?1 AND j.state = 'done' AND j.id BETWEEN ?2 AND ?3 ORDER BY j.id",
		      &s, err);

	if (e < 0 || !s)
		return e;
	bind_part(s, part);
	while ((e = step(s, err)) > 0) {
		double minutes = stmt_num(s, 1) / 60, best = stmt_num(s, 3), accuracy = best_epoch ? best : stmt_num(s, 2);
		if (!isnan(accuracy) && (!ret->top || accuracy > ret->accuracy)) {
			ret->top = stmt_int(s, 0);
			ret->accuracy = accuracy;
		}
		if (!ret->fastest || minutes < ret->minutes) {
			ret->fastest = stmt_int(s, 0);
			ret->minutes = minutes;
		}
		if (!isnan(best) && !(best <= ret->best_accuracy))
			ret->best_accuracy = best;
	}
	return e;
}

int reader_seconds(struct reader *r, const struct job_part *part, double *ret, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT total(seconds) FROM job_epochs WHERE +sweep = ?1 AND job BETWEEN "
		      "max(?2, (SELECT id FROM job WHERE sweep = ?1 ORDER BY position LIMIT 1)) AND "
		      "min(?3, (SELECT id FROM job WHERE sweep = ?1 ORDER BY position DESC LIMIT 1))",
		      &s, err);

	if (e < 0 || !s)
		return e;
	bind_part(s, part);
	e = step(s, err);
	if (e <= 0)
		return e;
	*ret += stmt_num(s, 0);
	stmt_reset(s);
	return 0;
}

/* One number of milliseconds. */
static int read_ms(struct reader *r, const char *sql, const struct job_part *part, int64_t *ret, struct err *err)
{
	struct stmt *s;
	int e = query(r, sql, &s, err);

	*ret = 0;
	if (e < 0 || !s)
		return e;
	bind_part(s, part);
	e = step(s, err);
	if (e <= 0)
		return e;
	*ret = stmt_int(s, 0);
	stmt_reset(s);
	return 0;
}

int reader_began(struct reader *r, const struct job_part *part, int64_t *ret_ms, struct err *err)
{
	return read_ms(r,
		       "SELECT a.started_ms FROM job AS j CROSS JOIN attempt AS a ON a.job = j.id AND a.number = 1 "
		       "WHERE j.sweep = ?1 AND j.id BETWEEN ?2 AND ?3 ORDER BY j.position LIMIT 1",
		       part, ret_ms, err);
}

int reader_ended(struct reader *r, const struct job_part *part, int64_t *ret_ms, struct err *err)
{
	return read_ms(r, "SELECT max(ended_ms) FROM job WHERE sweep = ?1 AND id BETWEEN ?2 AND ?3", part, ret_ms, err);
}
