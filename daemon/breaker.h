/* The circuit breaker of a sweep: when job after job fails at once and in the same way, the rest would too (a missing
 * data set, a library that does not load), and the sweep stops instead of failing as a whole.  Pure. */
#pragma once

#include "common/base.h"

struct breaker_attempt { /* one that has ended, by its worker's word or its worker's loss */
	int64_t id, job;
	char class[16]; /* of a failure; "lost" of a worker that vanished; "" where it did not fail */
	bool epoch;	/* it finished one: the recipe works, whatever came then */
	double seconds; /* it took; negative: not known */
};

struct breaker_limits {
	int jobs;      /* different ones in a row; 0: never */
	double fast_s; /* an attempt that failed within */
};

/* Whether the newest attempts of a sweep, newest first, are fast failures of one class of limits->jobs different jobs,
 * with nothing else in between.  A `device` failure is not the sweep's: health.h looks after those. */
bool breaker_trips(const struct breaker_attempt *attempts, size_t n, const struct breaker_limits *limits);
