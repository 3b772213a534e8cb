/* Who runs next, and what is tried again.  Pure: rows and times in, decisions out. */
#pragma once

#include "common/base.h"
#include "common/protocol.h"

#define SCHED_AVOID_MAX 512

struct sched_job {
	int64_t id;
	int priority;
	int64_t not_before_ms;
	char avoid[SCHED_AVOID_MAX]; /* devices where it has found no memory or a fault: ",cuda:0,MIG-1,"; "" */
};

struct sched_slot {
	bool free;
	bool usable; /* free, or busy with a job: its device is well */
	const char *device;
};

struct sched_choice {
	size_t job, slot; /* indices */
};

/* No back-off is longer.  One that seems to be belongs to a clock that has been set back since: it is over. */
#define SCHED_WAIT_MAX_MS (10 * 60 * 1000)
bool sched_is_due(int64_t not_before_ms, int64_t now_ms);

/* Puts startable jobs (sched_is_due) on free slots: highest priority first, then the lowest id; slots in
 * order.  A job keeps off the devices that it avoids as long as another one is usable, and waits for that if need be.  out
 * holds n_slots entries.  Returns how many. */
size_t sched_pick(const struct sched_job *jobs, size_t n_jobs, const struct sched_slot *slots, size_t n_slots,
		  int64_t now_ms, struct sched_choice *out);

struct sched_retry {
	bool again;
	int64_t delay_ms;
};

/* FAIL_LOST: the worker vanished. */
#define FAIL_LOST N_FAIL_CLASSES

/* What follows a failure: oom, internal, hang and a lost worker are repeated from the checkpoint, `limit` times, after
 * base_ms, 5 x base_ms, 25 x base_ms ... (at most SCHED_WAIT_MAX_MS); config, data and diverged would only fail again, and
 * a time limit is a person's to lift.  A fault of the device costs no retry: it is repeated as often as
 * DEVICE_FAULTS_MAX allows, whatever `limit` (there `retries_used` counts such faults before this one). */
#define DEVICE_FAULTS_MAX 10
struct sched_retry sched_retry(int fail_class, int retries_used, int limit, int64_t base_ms);
