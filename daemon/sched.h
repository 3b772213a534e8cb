/* Who runs next, and what is tried again.  Pure: rows and times in, decisions out. */
#pragma once

#include "common/base.h"
#include "common/protocol.h"

struct sched_job {
	int64_t id;
	int priority;
	int64_t not_before_ms;
};

struct sched_choice {
	size_t job, slot; /* indices */
};

/* Puts startable jobs (not_before_ms <= now_ms) on free slots: highest priority first, then the lowest id; slots in
 * order.  out holds n_slots entries.  Returns how many. */
size_t sched_pick(const struct sched_job *jobs, size_t n_jobs, const bool *slot_free, size_t n_slots, int64_t now_ms,
		  struct sched_choice *out);

struct sched_retry {
	bool again;
	int64_t delay_ms;
};

/* FAIL_LOST: the worker vanished. */
#define FAIL_LOST N_FAIL_CLASSES

/* What follows a failure: oom, device, internal and a lost worker are repeated from the checkpoint, `limit` times, after
 * base_ms, 5 x base_ms, 25 x base_ms ... (at most 10 minutes); config, data and diverged would only fail again. */
struct sched_retry sched_retry(int fail_class, int retries_used, int limit, int64_t base_ms);
