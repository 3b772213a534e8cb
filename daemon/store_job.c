/* Jobs: looking them up and moving their state.  See store.h and common/jobstate.h. */
#include "store_internal.h"

#include "sched.h"

int store_job(struct store *s, int64_t job, struct job_row *ret, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_JOB);
	stmt_bind_int(q, 1, job);
	int r = stmt_step(q, err);
	if (r == 0)
		return err_set(err, -ENOENT, "no job %lld", (long long)job);
	if (r < 0)
		return r;
	*ret = (struct job_row){
		.id = job,
		.sweep = stmt_int(q, 0),
		.state = (enum job_state)job_state_parse(stmt_text(q, 1)),
		.priority = (int)stmt_int(q, 2),
		.retries_used = (int)stmt_int(q, 3),
		.retries = (int)stmt_int(q, 4),
		.owner = (uid_t)stmt_int(q, 5),
		.attempt = stmt_int(q, 6),
	};
	stmt_reset(q);
	return 0;
}

int store_startable(struct store *s, int64_t now_ms, int limit, struct sched_job **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0;
	int r;
	struct sched_job *jobs = xcalloc((size_t)limit, sizeof(*jobs));
	struct stmt *q = store_query(s, QUERY_STARTABLE);
	stmt_bind_int(q, 1, now_ms);
	stmt_bind_int(q, 2, limit);
	stmt_bind_int(q, 3, now_ms + SCHED_WAIT_MAX_MS);
	while ((r = stmt_step(q, err)) == 1) {
		const char *avoid = stmt_text(q, 3);
		jobs[n] = (struct sched_job){
			.id = stmt_int(q, 0),
			.priority = (int)stmt_int(q, 1),
			.not_before_ms = stmt_int(q, 2),
		};
		snprintf(jobs[n++].avoid, sizeof(jobs[0].avoid), "%s", avoid ? avoid : "");
	}
	if (r < 0) {
		free(jobs);
		return r;
	}
	*ret = jobs;
	*ret_n = n;
	return 0;
}

int64_t store_next_start(struct store *s, int64_t now_ms)
{
	struct stmt *q = store_query(s, QUERY_NEXT_START);
	stmt_bind_int(q, 1, now_ms);
	stmt_bind_int(q, 2, now_ms + SCHED_WAIT_MAX_MS);
	if (stmt_step(q, NULL) != 1)
		return 0;
	int64_t at = stmt_int(q, 0);
	stmt_reset(q);
	return at;
}

static int log_move(struct store *s, const struct job_row *job, const struct job_move *move, struct err *err)
{
	autojson json_t *detail = json_pack("{s:s, s:s, s:s?}", "state", job_state_names[move->to], "was",
					    job_state_names[job->state], "reason", move->reason);
	struct event_row e = {
		.at_ms = wall_ms(), .sweep = job->sweep, .job = job->id, .kind = "state", .detail = detail};
	return store_log_event(s, &e, NULL, err);
}

int store_move_job(struct store *s, int64_t id, const struct job_move *move, struct err *err)
{
	struct job_row job;
	int r = store_job(s, id, &job, err);
	if (r < 0)
		return r;
	INVARIANT(job_may_move(job.state, move->to), "job %lld: %s to %s", (long long)id, job_state_names[job.state],
		  job_state_names[move->to]);
	struct stmt *q = store_query(s, QUERY_MOVE_JOB);
	stmt_bind_int(q, 1, id);
	stmt_bind_text(q, 2, job_state_names[move->to]);
	stmt_bind_text(q, 3, move->reason);
	stmt_bind_int(q, 4, move->not_before_ms);
	stmt_bind_int(q, 5, move->forgets_retries ? 0 : job.retries_used + move->counts_retry);
	if (job_is_final(move->to))
		stmt_bind_int(q, 6, wall_ms());
	else
		stmt_bind_null(q, 6);
	r = store_run(q, err);
	return r < 0 ? r : log_move(s, &job, move, err);
}

int store_set_priority(struct store *s, const struct job_row *job, int priority, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_SET_PRIORITY);
	stmt_bind_int(q, 1, job->id);
	stmt_bind_int(q, 2, priority);
	int r = store_run(q, err);
	if (r < 0)
		return r;
	autojson json_t *detail = json_pack("{s:i, s:i}", "priority", priority, "was", job->priority);
	struct event_row e = {
		.at_ms = wall_ms(), .sweep = job->sweep, .job = job->id, .kind = "priority", .detail = detail};
	return store_log_event(s, &e, NULL, err);
}

int store_job_config(struct store *s, int64_t job, char **ret_config, char **ret_data_dir, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_JOB_CONFIG);
	stmt_bind_int(q, 1, job);
	int r = stmt_step(q, err);
	if (r == 0)
		return err_set(err, -ENOENT, "no job %lld", (long long)job);
	if (r < 0)
		return r;
	const char *data_dir = stmt_text(q, 1);
	*ret_config = xstrdup(stmt_text(q, 0));
	*ret_data_dir = data_dir ? xstrdup(data_dir) : NULL;
	stmt_reset(q);
	return 0;
}
