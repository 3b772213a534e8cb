/* The store as sweepctl sees it; see reader.h. */
#include "ctl/reader_internal.h"
#include "schema/schema.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_schema(struct reader *r, const char *path, struct err *err)
{
	struct stmt *s;
	int e = db_prepare(r->db, "PRAGMA user_version", &s, err);

	if (e < 0 || (e = stmt_step(s, err)) < 0)
		return e;
	int64_t version = e ? stmt_int(s, 0) : 0;
	stmt_reset(s);
	if (version > (int64_t)n_schema_migrations)
		return err_set(err, -EPROTO,
			       "%s is of schema %lld; this sweepctl knows %zu\n  do this:  use the newer sweepctl",
			       path, (long long)version, n_schema_migrations);
	return 0;
}

int reader_open(struct reader **ret, const struct paths *paths, struct err *err)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	struct stat st;
	int e = 0;

	if (stat(paths->db, &st) == 0 && S_ISDIR(st.st_mode))
		e = err_set(err, -EISDIR, "%s is a directory; a database was expected\n  do this:  move it away",
			    paths->db);
	else if (access(paths->db, R_OK) == 0) {
		e = db_open(&r->db, paths->db, DB_READ, err);
		if (e == 0)
			e = check_schema(r, paths->db, err);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		e = err_sys(err, -errno, "%s", paths->db);
	}
	if (e < 0) {
		reader_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	db_close(r->db);
	free(r);
}

int reader_begin(struct reader *r, struct err *err)
{
	return r->db ? db_exec(r->db, "BEGIN", err) : 0;
}

void reader_end(struct reader *r)
{
	if (r->db)
		db_exec(r->db, "COMMIT", NULL);
}

int reader_sweeps(struct reader *r, struct sweep_row **ret, size_t *ret_n, struct err *err)
{
	struct sweep_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r,
		      "SELECT id, name, metric, goal, swept, n_jobs, note, submitted_ms, time_limit_s FROM sweep "
		      "WHERE state = 'active' ORDER BY id",
		      &s, err);

	while (e >= 0 && (e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct sweep_row){
			.id = stmt_int(s, 0),
			.name = copy(s, 1),
			.metric = copy(s, 2),
			.maximize = str_eq(stmt_text(s, 3), "maximize"),
			.swept = copy_json(s, 4),
			.n_jobs = stmt_int(s, 5),
			.note = copy(s, 6),
			.submitted_ms = stmt_int(s, 7),
			.time_limit_s = stmt_num(s, 8),
		};
	}
	if (e < 0) {
		sweep_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

int reader_newest_job(struct reader *r, int64_t *ret, struct err *err)
{
	struct stmt *s;
	int e = query(r, "SELECT coalesce(max(id), 0) FROM visible_job", &s, err);

	*ret = 0;
	if (e >= 0 && (e = step(s, err)) > 0) {
		*ret = stmt_int(s, 0);
		stmt_reset(s);
	}
	return e < 0 ? e : 0;
}

int reader_attempts(struct reader *r, int64_t job, struct attempt_row **ret, size_t *ret_n, struct err *err)
{
	struct attempt_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query_of(r,
		      "SELECT a.id, a.number, a.state, a.device, a.class, a.reason, a.start_epoch, a.start_step, "
		      "a.details, a.started_ms, a.ended_ms, w.pid, "
		      "(SELECT max(epoch) FROM epoch WHERE attempt = a.id), "
		      "(SELECT max(at_ms) FROM event WHERE attempt = a.id AND kind = 'checkpoint'), a.seconds "
		      "FROM attempt AS a LEFT JOIN worker AS w ON w.id = a.worker WHERE a.job = ? ORDER BY a.number",
		      job, &s, err);

	if (e < 0)
		return e;
	while ((e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct attempt_row){
			.id = stmt_int(s, 0),
			.number = stmt_int(s, 1),
			.state = copy(s, 2),
			.device = copy_clean(s, 3),
			.class = copy(s, 4),
			.reason = copy(s, 5),
			.start_epoch = stmt_int(s, 6),
			.start_step = stmt_int(s, 7),
			.details = copy_json(s, 8),
			.started_ms = stmt_int(s, 9),
			.ended_ms = stmt_int(s, 10),
			.worker_pid = stmt_int(s, 11),
			.last_epoch = stmt_int(s, 12),
			.checkpoint_ms = stmt_int(s, 13),
			.seconds = stmt_num(s, 14),
		};
	}
	if (e < 0) {
		attempt_rows_free(rows, n);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

int reader_metric(struct reader *r, int64_t job, const char *name, bool maximize, double *ret_last, double *ret_best,
		  int *ret_best_epoch, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT epoch, CASE ?2 WHEN 'train_loss' THEN train_loss WHEN 'train_accuracy' THEN "
		      "train_accuracy WHEN 'test_loss' THEN test_loss WHEN 'test_accuracy' THEN test_accuracy END "
		      "FROM counted_epoch WHERE job = ?1 ORDER BY epoch",
		      &s, err);
	double last = NAN, best = NAN;
	int best_epoch = 0;

	if (e < 0)
		return e;
	if (s) {
		stmt_bind_int(s, 1, job);
		stmt_bind_text(s, 2, name);
	}
	while ((e = step(s, err)) > 0) {
		last = stmt_num(s, 1);
		if (!isnan(last) && (isnan(best) || (maximize ? last > best : last < best))) {
			best = last;
			best_epoch = (int)stmt_int(s, 0);
		}
	}
	if (e < 0)
		return e;
	*ret_last = last;
	*ret_best = best;
	*ret_best_epoch = best_epoch;
	return 0;
}

int reader_notes(struct reader *r, int64_t job, char **ret, struct err *err)
{
	struct stmt *s;
	int e = query_of(r, "SELECT notes FROM results WHERE job = ?", job, &s, err);

	if (e < 0)
		return e;
	e = step(s, err);
	if (e < 0)
		return e;
	*ret = e > 0 && !stmt_is_null(s, 0) ? copy(s, 0) : xstrdup("");
	if (e > 0)
		stmt_reset(s);
	return 0;
}

static struct event_row read_event(struct stmt *s)
{
	return (struct event_row){stmt_int(s, 0), stmt_int(s, 1), stmt_int(s, 2), stmt_int(s, 3), stmt_int(s, 4) != 0};
}

int reader_events(struct reader *r, int64_t after, int limit, struct event_row **ret, size_t *ret_n, struct err *err)
{
	struct event_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query(r, "SELECT id, at_ms, sweep, job, kind = 'state' FROM event WHERE id > ? ORDER BY id LIMIT ?", &s, err);

	if (e < 0)
		return e;
	if (s) {
		stmt_bind_int(s, 1, after);
		stmt_bind_int(s, 2, limit);
	}
	while ((e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = read_event(s);
	}
	if (e < 0) {
		free(rows);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

int reader_newest_event(struct reader *r, struct event_row *ret, struct err *err)
{
	struct stmt *s;
	int e = query(r, "SELECT id, at_ms, sweep, job, kind = 'state' FROM event ORDER BY id DESC LIMIT 1", &s, err);

	*ret = (struct event_row){0};
	if (e >= 0 && (e = step(s, err)) > 0) {
		*ret = read_event(s);
		stmt_reset(s);
	}
	return e < 0 ? e : 0;
}
