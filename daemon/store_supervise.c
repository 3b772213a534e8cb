/* What supervision keeps: time limits, faults of devices, sweeps that were stopped.  See store_supervise.h. */
#include "store_supervise.h"

#include "store_internal.h"

int store_time_limit(struct store *s, int64_t job, double *ret_s, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_TIME_LIMIT);
	stmt_bind_int(q, 1, job);
	int r = stmt_step(q, err);
	if (r < 0)
		return r;
	*ret_s = r ? stmt_num(q, 0) : 0;
	stmt_reset(q);
	return 0;
}

int store_attempt_began(struct store *s, int64_t attempt, double *ret_s, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ATTEMPT_BEGAN);
	stmt_bind_int(q, 1, attempt);
	int r = stmt_step(q, err);
	if (r < 0)
		return r;
	*ret_s = r ? (double)stmt_int(q, 0) / 1000 : 0;
	stmt_reset(q);
	return 0;
}

int store_attempt_ran(struct store *s, int64_t attempt, double seconds, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ATTEMPT_RAN);
	stmt_bind_int(q, 1, attempt);
	stmt_bind_num(q, 2, seconds);
	return store_run(q, err);
}

int store_attempt_has_epoch(struct store *s, int64_t attempt, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ATTEMPT_HAS_EPOCH);
	stmt_bind_int(q, 1, attempt);
	int r = stmt_step(q, err);
	if (r == 1)
		stmt_reset(q);
	return r;
}

int store_device_faults(struct store *s, int64_t job, int64_t *ret, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_DEVICE_FAULTS);
	stmt_bind_int(q, 1, job);
	int r = stmt_step(q, err);
	if (r < 0)
		return r;
	*ret = r ? stmt_int(q, 0) : 0;
	stmt_reset(q);
	return 0;
}

/* --- devices --- */

static int log_device(struct store *s, const char *device, const char *state, const char *reason, struct err *err)
{
	autojson json_t *detail = json_pack("{s:s, s:s, s:s?}", "device", device, "state", state, "reason", reason);
	struct event_row e = {.at_ms = wall_ms(), .kind = "device", .detail = detail};
	return store_log_event(s, &e, NULL, err);
}

int store_set_aside(struct store *s, const char *device, int times, const char *reason, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_SET_ASIDE);
	stmt_bind_text(q, 1, device);
	stmt_bind_int(q, 2, times);
	stmt_bind_text(q, 3, reason);
	int r = store_run(q, err);
	return r < 0 ? r : log_device(s, device, "set_aside", reason, err);
}

int store_take_back(struct store *s, const char *device, const char *reason, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_TAKE_BACK);
	stmt_bind_text(q, 1, device);
	int r = store_run(q, err);
	return r < 0 ? r : log_device(s, device, "ready", reason, err);
}

int store_device_aside(struct store *s, const char *device, int *ret_times, char *ret_reason, size_t size,
		       struct err *err)
{
	struct stmt *q = store_query(s, QUERY_DEVICE_ASIDE);
	stmt_bind_text(q, 1, device);
	int r = stmt_step(q, err);
	if (r < 0)
		return r;
	*ret_times = r ? (int)stmt_int(q, 0) : 0;
	const char *reason = r ? stmt_text(q, 1) : NULL;
	snprintf(ret_reason, size, "%s", reason ? reason : "");
	stmt_reset(q);
	return 0;
}

/* --- the circuit breaker --- */

int store_newest_attempts(struct store *s, int64_t sweep, int limit, struct breaker_attempt **ret, size_t *ret_n,
			  struct err *err)
{
	int r;
	size_t n = 0;
	struct breaker_attempt *rows = xcalloc((size_t)limit, sizeof(*rows));
	struct stmt *q = store_query(s, QUERY_NEWEST_ATTEMPTS);
	stmt_bind_int(q, 1, sweep);
	stmt_bind_int(q, 2, limit);
	while ((r = stmt_step(q, err)) == 1) {
		struct breaker_attempt *a = &rows[n++];
		a->id = stmt_int(q, 0);
		a->job = stmt_int(q, 1);
		snprintf(a->class, sizeof(a->class), "%s", stmt_text(q, 2));
		a->epoch = stmt_int(q, 3);
		a->seconds = stmt_num(q, 4);
	}
	if (r < 0) {
		free(rows);
		return r;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

static int log_breaker(struct store *s, int64_t sweep, int64_t n, const char *reason, struct err *err)
{
	autojson json_t *detail = json_pack("{s:I, s:s}", "paused", (json_int_t)n, "reason", reason);
	struct event_row e = {.at_ms = wall_ms(), .sweep = sweep, .kind = "breaker", .detail = detail};
	return store_log_event(s, &e, NULL, err);
}

int store_stop_sweep(struct store *s, int64_t sweep, int64_t last_attempt, const char *reason, int64_t *ret_n,
		     struct err *err)
{
	size_t n = 0;
	int64_t paused = 0;
	autofree int64_t *jobs = NULL;
	struct stmt *q = store_query(s, QUERY_BREAKER_MARK);
	stmt_bind_int(q, 1, sweep);
	stmt_bind_int(q, 2, last_attempt);
	int r = store_run(q, err);
	r = r ? r : store_open_jobs(s, sweep, &jobs, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct job_row job;
		r = store_job(s, jobs[i], &job, err);
		if (r < 0 || job.state != JOB_QUEUED)
			continue;
		paused++;
		r = store_move_job(s, job.id, &(struct job_move){.to = JOB_PAUSED, .reason = reason}, err);
	}
	r = r ? r : log_breaker(s, sweep, paused, reason, err);
	*ret_n = paused;
	return r;
}
