/* The states of a job and of an attempt, and which moves between them exist.
 *
 *            submit                  dispatch                     worker said done
 *              |      .----------------------------.                     |
 *              v      v   release, retry, lost     |                     v
 *           queued ---+-----> running -------------+-----------------> done
 *            ^ |  ^            |  |  '-- worker said failed, no retry -> failed
 *     resume | |  '-- retry ---|--|---------------------------------------'
 *            | v pause         |  '-- judge --> pruned
 *           paused <-----------'
 *   queued, paused, running --- cancel ---> cancelled --- retry ---> queued
 *
 * store_move_job() (daemon/store_job.c) is the one function that moves a job. */
#pragma once

#include "base.h"

#define JOB_STATES(X) \
	X(QUEUED, "queued") X(RUNNING, "running") X(PAUSED, "paused") X(DONE, "done") X(FAILED, "failed") \
	X(CANCELLED, "cancelled") X(PRUNED, "pruned")
enum job_state {
#define X(id, text) JOB_##id,
	JOB_STATES(X)
#undef X
	N_JOB_STATES
};
extern const char *const job_state_names[N_JOB_STATES];

#define ATTEMPT_STATES(X) \
	X(RUNNING, "running") X(DONE, "done") X(FAILED, "failed") X(CANCELLED, "cancelled") X(RELEASED, "released") \
	X(LOST, "lost")
enum attempt_state {
#define X(id, text) ATTEMPT_##id,
	ATTEMPT_STATES(X)
#undef X
	N_ATTEMPT_STATES
};
extern const char *const attempt_state_names[N_ATTEMPT_STATES];

/* The state of that name; -EINVAL: there is none. */
int job_state_parse(const char *name);
bool job_may_move(enum job_state from, enum job_state to);
/* Nothing happens to it any more unless a person asks. */
bool job_is_final(enum job_state state);
