/* The part of the store that supervision needs; rules as in store.h.  Times of attempts are CLOCK_MONOTONIC seconds. */
#pragma once

#include "breaker.h"
#include "store.h"

/* The time limit of each attempt of a job; 0: none. */
int store_time_limit(struct store *s, int64_t job, double *ret_s, struct err *err);
/* When an attempt began: holds in the boot in which it did. */
int store_attempt_began(struct store *s, int64_t attempt, double *ret_s, struct err *err);
int store_attempt_ran(struct store *s, int64_t attempt, double seconds, struct err *err);
/* 1: it has finished an epoch; 0. */
int store_attempt_has_epoch(struct store *s, int64_t attempt, struct err *err);
/* How many attempts of a job ended by a fault of their device. */
int store_device_faults(struct store *s, int64_t job, int64_t *ret, struct err *err);

/* Leave event rows of the kind `device`. */
int store_set_aside(struct store *s, const char *device, int times, const char *reason, struct err *err);
int store_take_back(struct store *s, const char *device, const char *reason, struct err *err);
/* How often in a row it has been set aside (0: it is trusted), and why. */
int store_device_aside(struct store *s, const char *device, int *ret_times, char *ret_reason, size_t size, struct err *err);

/* The attempts of a sweep that have ended since its breaker last tripped, at most `limit`, newest first; *ret is
 * allocated. */
int store_newest_attempts(struct store *s, int64_t sweep, int limit, struct breaker_attempt **ret, size_t *ret_n,
			  struct err *err);
/* Its breaker has tripped: its queued jobs are paused with that reason, attempts up to last_attempt count no more.
 * Leaves an event row of the kind `breaker`. */
int store_stop_sweep(struct store *s, int64_t sweep, int64_t last_attempt, const char *reason, int64_t *ret_n,
		     struct err *err);
