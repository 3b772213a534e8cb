/* Every write to results.db (invariant 1).  SQL is in schema/queries.sql.
 *
 * Verbs run inside a transaction that the caller began (daemon/turn.c); they return 0 or 1, or a negative errno:
 * -EBUSY, -ENOSPC, -EIO: the store cannot now, nothing of the transaction will be kept; others: the input is wrong. */
#pragma once

#include "common/base.h"
#include "common/jobstate.h"
#include "common/paths.h"
#include "common/sweep.h"

#include <jansson.h>

struct store;

/* Takes STATE/lock (-EEXIST: another sweepd has it, named by pid), refuses a network file system and a damaged database,
 * opens and migrates it, recreates the views, and removes sweeps whose submit never ended. */
int store_open(struct store **ret, const struct paths *paths, struct err *err);
void store_close(struct store *s); /* accepts NULL */
/* Whether store_open() has read all its pages; a large one is page_check.h's, unless that has found damage before. */
bool store_is_checked(const struct store *s);
/* So the next start reads a database of any size before it serves, and refuses what is still damaged. */
void store_distrust(const struct store *s);
/* Says in err what to do with a damaged database; -EBADMSG. */
int store_explain_damage(const char *path, struct err *err);
/* -EBUSY names who holds the lock; -ESTALE: the files were moved, deleted or replaced under the daemon. */
int store_begin(struct store *s, struct err *err);
int store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);
int64_t store_last_event(struct store *s);
int store_log_pages(const struct store *s); /* db_log_pages() */

/* --- sweeps --- */
struct new_sweep {
	const char *name, *text, *note, *data_dir, *file_dir, *submission; /* the last four may be NULL */
	const json_t *overrides;
	const struct sweep *sweep;
	uid_t owner;
};
struct sweep_summary {
	int64_t id, n_jobs, first_job, last_job;
	int64_t counts[N_JOB_STATES];
	uid_t owner;
	char name[128];
};
/* 1 and the id, or 0. */
int store_find_submission(struct store *s, const char *submission, int64_t *ret_sweep, struct err *err);
/* data_dir: NULL: whatever it has. */
int store_find_same(struct store *s, const char *hash, uid_t owner, const char *data_dir, int64_t *ret_sweep, struct err *err);
/* The same, of a submit that is still under way; hash may be NULL: only that submission. */
int store_find_expanding(struct store *s, const char *submission, const char *hash, uid_t owner, const char *data_dir,
			 int64_t *ret_sweep, struct err *err);
/* State `expanding`: hidden until store_activate_sweep(). */
int store_add_sweep(struct store *s, const struct new_sweep *n, int64_t *ret_sweep, struct err *err);
int store_add_jobs(struct store *s, int64_t sweep_id, const struct sweep *sweep, size_t first, size_t n, struct err *err);
int store_activate_sweep(struct store *s, int64_t sweep_id, struct err *err);
int store_delete_sweep(struct store *s, int64_t sweep_id, struct err *err); /* an expanding one */
/* -ENOENT: no such sweep. */
int store_sweep(struct store *s, int64_t sweep_id, struct sweep_summary *ret, struct err *err);
/* Ids of its jobs that are not final; *ret is allocated. */
int store_open_jobs(struct store *s, int64_t sweep_id, int64_t **ret, size_t *ret_n, struct err *err);

/* --- jobs --- */
struct job_row {
	int64_t id, sweep;
	enum job_state state;
	int priority, retries_used, retries; /* retries: the limit */
	uid_t owner;
	int64_t attempt; /* the live one, or 0 */
};
/* -ENOENT: no such job. */
int store_job(struct store *s, int64_t job, struct job_row *ret, struct err *err);
struct sched_job;
/* The first `limit` queued jobs in order of start; *ret is allocated. */
int store_startable(struct store *s, int64_t now_ms, int limit, struct sched_job **ret, size_t *ret_n, struct err *err);
/* When the next waiting job may start; 0: none waits for a time. */
int64_t store_next_start(struct store *s, int64_t now_ms);
struct job_move {
	enum job_state to;
	const char *reason; /* for people, or NULL */
	int64_t not_before_ms;
	bool counts_retry;
	bool forgets_retries; /* a person asks: it has all its retries again */
};
/* The one function that moves a job's state; leaves an event row.  A move that does not exist aborts. */
int store_move_job(struct store *s, int64_t job, const struct job_move *move, struct err *err);
/* Of a job that is not final; leaves an event row. */
int store_set_priority(struct store *s, const struct job_row *job, int priority, struct err *err);
/* Its configuration's text and its sweep's data directory (or NULL), allocated. */
int store_job_config(struct store *s, int64_t job, char **ret_config, char **ret_data_dir, struct err *err);

/* --- attempts --- */
struct attempt_row {
	int64_t id, job, sweep, worker, number;
	enum attempt_state state;
	int64_t last_seq;
};
/* The attempt `running` and its job too (invariant 3: a unique index guards it). */
int store_begin_attempt(struct store *s, int64_t job, int64_t worker, const char *device, int64_t *ret_attempt,
			struct err *err);
int store_end_attempt(struct store *s, int64_t attempt, enum attempt_state state, const char *fail_class,
		      const char *reason, struct err *err);
/* -ENOENT: no such attempt. */
int store_attempt(struct store *s, int64_t attempt, struct attempt_row *ret, struct err *err);
/* The live attempts of a worker; caller frees. */
int store_worker_attempts(struct store *s, int64_t worker, struct attempt_row **ret, size_t *ret_n, struct err *err);
/* A durable event of a worker (docs/protocol.md).  1: stored; 0: it was stored before; -EPROTO: a gap in seq, an unknown
 * type, a member missing or of another type, or the attempt has ended.  Terminal types are stored like the others: what
 * follows from them is the caller's. */
int store_add_event(struct store *s, int64_t attempt, const json_t *event, struct err *err);

/* --- workers and devices --- */
struct worker_row {
	int64_t id;
	char device[96];
	pid_t pid;
	int64_t start_time;
	char boot_id[40];
};
/* Every device; those that are there are upserted next. */
int store_devices_absent(struct store *s, struct err *err);
int store_upsert_device(struct store *s, const char *id, const char *kind, const char *name, struct err *err);
int store_add_worker(struct store *s, const char *device, int64_t *ret_worker, struct err *err);
int store_worker_started(struct store *s, const struct worker_row *worker, struct err *err);
int store_worker_ready(struct store *s, int64_t worker, struct err *err);
int store_worker_gone(struct store *s, int64_t worker, const char *reason, struct err *err);
/* Workers that are not known to be gone: at start.  *ret is allocated. */
int store_workers(struct store *s, struct worker_row **ret, size_t *ret_n, struct err *err);
