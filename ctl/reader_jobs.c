/* Jobs of the store, page by page; see reader.h.
 *
 * Every query here walks an index in the order it answers in and stops after a page: what it reads does not depend on how
 * much the store holds.  tests/ctl/test_17_pages.py checks their plans and counts their steps. */
#include "ctl/reader_internal.h"

#include <math.h>

/* ?1 sweep, ?2 the job before the page, ?3 limit, ?4 state, ?5 and ?6 first and last job of the part. */
#define COLUMNS                                                                                                        \
	"SELECT j.id, j.sweep, j.position, json_patch(s.base, j.own), j.swept, j.state, j.reason, j.not_before_ms, j.ended_ms, "        \
	"(SELECT count(*) FROM attempt WHERE job = j.id), "                                                            \
	"(SELECT min(started_ms) FROM attempt WHERE job = j.id), "                                                     \
	"(SELECT device FROM attempt WHERE job = j.id ORDER BY number DESC LIMIT 1), "                                 \
	"e.epoch, e.seconds, e.ram_mib, e.vram_mib, e.value, e.best_test_accuracy, e.best_test_epoch, "                \
	"l.train_seconds, l.test_seconds, l.images_per_second, l.test_accuracy, l.test_loss, e.best, "                \
	"(SELECT total(seconds) FROM attempt WHERE job = j.id) "
#define OF_SWEEP "CROSS JOIN sweep AS s ON s.id = j.sweep AND s.state = 'active' "
#define JOBS	 COLUMNS "FROM job AS j " OF_SWEEP "LEFT JOIN job_epochs AS e ON e.job = j.id " LAST_EPOCH
#define LAST_EPOCH                                                                                                     \
	"LEFT JOIN epoch AS l ON l.epoch = e.epoch "                                                                   \
	"AND l.attempt = (SELECT max(attempt) FROM epoch WHERE job = j.id AND epoch = e.epoch) "
#define POSITION_OF(job) "(SELECT position FROM job WHERE id = " job ")"
#define IS_VISIBLE	 "EXISTS (SELECT 1 FROM sweep WHERE id = j.sweep AND state = 'active') "

/* Within a sweep the order of the positions is that of the jobs' numbers: both count up as it is expanded. */
static const char in_order[] =
	JOBS "WHERE j.sweep = ?1 AND j.position > coalesce(" POSITION_OF("?2") ", " POSITION_OF("?5") " - 1, -1) "
	     "AND j.position <= coalesce(" POSITION_OF("?6") ", 9223372036854775807) ORDER BY j.position LIMIT ?3";
/* A bare ?4 would be compared with the conditions of partial indices, and each new value would prepare this anew. */
static const char of_state[] = JOBS "WHERE j.sweep = ?1 AND j.state = coalesce(?4, '') AND j.id BETWEEN max(?2 + 1, ?5) AND ?6 "
				    "ORDER BY j.id LIMIT ?3";
static const char by_rank[] = COLUMNS "FROM job_epochs AS e CROSS JOIN job AS j ON j.id = e.job " OF_SWEEP LAST_EPOCH
				      "WHERE e.sweep = ?1 AND j.state = 'done' AND e.job BETWEEN ?5 AND ?6 AND "
				      "(e.cost, e.job) > (coalesce((SELECT cost FROM job_epochs WHERE job = ?2), -9e999), ?2) "
				      "ORDER BY e.cost, e.job LIMIT ?3";
static const char one[] = JOBS "WHERE j.id = ?1";

static enum job_state state_of(const char *name)
{
	int state = job_state_parse(name);

	INVARIANT(state >= 0, "job state %s", name); /* the schema's CHECK */
	return (enum job_state)state;
}

static double or_zero(struct stmt *s, int column)
{
	return stmt_is_null(s, column) ? 0 : stmt_num(s, column);
}

static void read_job(struct stmt *s, struct job_row *job)
{
	bool any = !stmt_is_null(s, 12); /* epoch */

	*job = (struct job_row){
		.id = stmt_int(s, 0),
		.sweep = stmt_int(s, 1),
		.position = stmt_int(s, 2),
		.config = copy_json(s, 3),
		.swept = copy_json(s, 4),
		.state = state_of(stmt_text(s, 5)),
		.reason = copy(s, 6),
		.not_before_ms = stmt_int(s, 7),
		.ended_ms = stmt_int(s, 8),
		.attempts = (int)stmt_int(s, 9),
		.started_ms = stmt_int(s, 10),
		.device = copy_clean(s, 11),
		.epoch = (int)stmt_int(s, 12),
		.seconds = or_zero(s, 13),
		.ram_mib = stmt_num(s, 14),
		.vram_mib = stmt_num(s, 15),
		.value = stmt_num(s, 16),
		.best_test_accuracy = stmt_num(s, 17),
		.best_epoch = (int)stmt_int(s, 18),
		.last_seconds = any ? or_zero(s, 19) + or_zero(s, 20) : NAN,
		.last_test_seconds = any ? or_zero(s, 20) : NAN,
		.images_per_second = stmt_num(s, 21),
		.test_accuracy = stmt_num(s, 22),
		.test_loss = stmt_num(s, 23),
		.best_value = stmt_num(s, 24),
		.busy_seconds = stmt_num(s, 25),
	};
	job->epochs = (int)json_int_or(job->config, "epochs", 0);
}

/* Appends the rows of a statement whose parameters are bound. */
static int read_all(struct stmt *s, struct job_row **ret, size_t *ret_n, struct err *err)
{
	int e;

	while ((e = step(s, err)) > 0) {
		*ret = grow(*ret, *ret_n, sizeof(**ret));
		read_job(s, &(*ret)[(*ret_n)++]);
	}
	return e;
}

/* `last` of a whole sweep is above every job. */
static int64_t last_of(const struct job_part *part)
{
	return part->last ? part->last : INT64_MAX;
}

int reader_page(struct reader *r, const struct job_page *page, struct job_row **ret, size_t *ret_n, struct err *err)
{
	bool filter = !page->ranked && page->state != JOB_ANY;
	struct stmt *s;
	int e = query(r, page->ranked ? by_rank : filter ? of_state : in_order, &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, page->of.sweep);
	stmt_bind_int(s, 2, page->after);
	stmt_bind_int(s, 3, page->limit ? page->limit : -1);
	if (filter)
		stmt_bind_text(s, 4, job_state_names[page->state]);
	stmt_bind_int(s, 5, page->of.first);
	stmt_bind_int(s, 6, last_of(&page->of));
	return read_all(s, ret, ret_n, err);
}

int reader_jobs(struct reader *r, int64_t sweep, struct job_row **ret, size_t *ret_n, struct err *err)
{
	const struct job_page page = {.of.sweep = sweep, .state = JOB_ANY};

	return reader_page(r, &page, ret, ret_n, err);
}

int reader_job(struct reader *r, int64_t id, struct job_row *ret, struct err *err)
{
	struct job_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r, one, &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, id);
	e = read_all(s, &rows, &n, err);
	if (e < 0 || n == 0) {
		job_rows_free(rows, n);
		return e;
	}
	*ret = rows[0];
	free(rows);
	return 1;
}

int reader_count(struct reader *r, const struct job_part *part, size_t counts[N_JOB_STATES], struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT state, count(*) FROM job WHERE sweep = ? AND state IN ('queued', 'running', 'paused', 'done', "
		      "'failed', 'cancelled', 'pruned') AND id BETWEEN ? AND ? GROUP BY state", /* all: so an id is a search */
		      &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, part->sweep);
	stmt_bind_int(s, 2, part->first);
	stmt_bind_int(s, 3, last_of(part));
	while ((e = step(s, err)) > 0)
		counts[state_of(stmt_text(s, 0))] += (size_t)stmt_int(s, 1);
	return e;
}

/* Of a statement that gives a part's first and last job; ?1 sweep, ?2 and ?3 bounds. */
static int read_ends(struct stmt *s, struct job_part *part, struct err *err)
{
	stmt_bind_int(s, 1, part->sweep);
	stmt_bind_int(s, 2, part->first);
	stmt_bind_int(s, 3, last_of(part));
	int e = step(s, err);
	if (e <= 0)
		return e;
	bool any = !stmt_is_null(s, 0);
	part->first = stmt_int(s, 0);
	part->last = stmt_int(s, 1);
	stmt_reset(s);
	return any;
}

int reader_span_of(struct reader *r, struct job_part *part, int state, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT (SELECT id FROM job WHERE sweep = ?1 AND state = ?4 AND id >= ?2 ORDER BY id LIMIT 1), "
		      "(SELECT id FROM job WHERE sweep = ?1 AND state = ?4 AND id <= ?3 ORDER BY id DESC LIMIT 1)",
		      &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_text(s, 4, job_state_names[state]);
	return read_ends(s, part, err);
}

int reader_is_unfinished(struct reader *r, int64_t sweep, struct err *err)
{
	struct stmt *s;
	int e = query(r, "SELECT 1 FROM job WHERE sweep = ? AND state IN ('queued', 'running') LIMIT 1", &s, err);

	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, sweep);
	e = step(s, err);
	if (e > 0)
		stmt_reset(s);
	return e;
}

int reader_parts(struct reader *r, int64_t first, int64_t last, struct job_part **ret, size_t *ret_n, int64_t *ret_jobs,
		 struct err *err)
{
	struct stmt *s;
	int e = query(r, "SELECT j.sweep, min(j.id), max(j.id), count(*) FROM job AS j WHERE j.id BETWEEN ? AND ? AND "
			 IS_VISIBLE "GROUP BY j.sweep", &s, err);

	*ret_jobs = 0;
	if (e < 0 || !s)
		return e;
	stmt_bind_int(s, 1, first);
	stmt_bind_int(s, 2, last);
	while ((e = step(s, err)) > 0) {
		*ret = grow(*ret, *ret_n, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct job_part){stmt_int(s, 0), stmt_int(s, 1), stmt_int(s, 2)};
		*ret_jobs += stmt_int(s, 3);
	}
	return e;
}

int reader_tighten(struct reader *r, struct job_part *part, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT (SELECT id FROM job WHERE sweep = ?1 AND +id BETWEEN ?2 AND ?3 ORDER BY position LIMIT 1), "
		      "(SELECT id FROM job WHERE sweep = ?1 AND +id BETWEEN ?2 AND ?3 ORDER BY position DESC LIMIT 1)",
		      &s, err);

	if (e < 0 || !s)
		return e;
	return read_ends(s, part, err);
}
