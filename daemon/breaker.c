/* See breaker.h. */
#include "breaker.h"

static bool is_fast_failure(const struct breaker_attempt *a, const struct breaker_limits *l)
{
	return *a->class && !str_eq(a->class, "device") && !a->epoch && a->seconds >= 0 && a->seconds <= l->fast_s;
}

static bool is_among(const struct breaker_attempt *attempts, size_t n, int64_t job)
{
	for (size_t i = 0; i < n; i++)
		if (attempts[i].job == job)
			return true;
	return false;
}

bool breaker_trips(const struct breaker_attempt *attempts, size_t n, const struct breaker_limits *limits)
{
	int jobs = 0;
	for (size_t i = 0; i < n && limits->jobs > 0; i++) {
		if (!is_fast_failure(&attempts[i], limits) || !str_eq(attempts[i].class, attempts[0].class))
			return false;
		jobs += !is_among(attempts, i, attempts[i].job);
		if (jobs >= limits->jobs)
			return true;
	}
	return false;
}
