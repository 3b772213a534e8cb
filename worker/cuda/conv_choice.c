/* The fastest of several plans; see conv_choice.h.  The file is conv_cache.c. */
#include "conv_choice.h"

#include <math.h>

#define CANDIDATES_MAX 32
#define BRIEF_REPEATS  3
#define NEAR	       2.0 /* times the best: worth a closer look */
#define ROUNDS	       5
#define ROUND_REPEATS  5
#define SAME	       1.02 /* times the fastest: no difference that one could rely on */

/* Infinity where it cannot run. */
static int time_one(const struct conv_timer *timer, int i, int repeats, double *ret_ms, struct err *err)
{
	double ms = INFINITY;
	int r = timer->time(timer->arg, i, repeats, &ms, err);
	if (r < 0 && r != -ENOTSUP)
		return r;
	*ret_ms = r < 0 ? INFINITY : ms;
	return 0;
}

/* The first run loads the kernel, so it does not count. */
static int time_briefly(int n, const struct conv_timer *timer, double ms[], struct err *err)
{
	for (int i = 0; i < n; i++) {
		int r = time_one(timer, i, 1, &ms[i], err);
		if (r == 0 && isfinite(ms[i]))
			r = time_one(timer, i, BRIEF_REPEATS, &ms[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double smallest(int n, const double ms[])
{
	double best = INFINITY;
	for (int i = 0; i < n; i++)
		best = MIN(best, ms[i]);
	return best;
}

/* In turn, so that a change of the clock meets all of them.  The others become infinite. */
static int time_near(int n, const struct conv_timer *timer, double ms[], struct err *err)
{
	double samples[CANDIDATES_MAX][ROUNDS], limit = NEAR * smallest(n, ms);
	for (int i = 0; i < n; i++)
		if (ms[i] > limit)
			ms[i] = INFINITY;
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < n; i++) {
			int r = isfinite(ms[i]) ? time_one(timer, i, ROUND_REPEATS, &samples[i][round], err) : 0;
			if (r < 0)
				return r;
		}
	for (int i = 0; i < n; i++)
		if (isfinite(ms[i])) {
			qsort(samples[i], ROUNDS, sizeof(samples[i][0]), by_value);
			ms[i] = samples[i][ROUNDS / 2];
		}
	return 0;
}

int conv_choose(int n, const struct conv_timer *timer, double *ret_ms, struct err *err)
{
	double ms[CANDIDATES_MAX];
	n = MIN(n, CANDIDATES_MAX);
	for (int i = 0; i < CANDIDATES_MAX; i++)
		ms[i] = INFINITY;
	int r = time_briefly(n, timer, ms, err);
	if (r == 0 && isfinite(smallest(n, ms)))
		r = time_near(n, timer, ms, err);
	if (r < 0)
		return r;
	double best = smallest(n, ms);
	for (int i = 0; i < n; i++)
		if (isfinite(ms[i]) && ms[i] <= SAME * best) {
			*ret_ms = ms[i];
			return i;
		}
	return err_prefix(err, -ENOTSUP, "none of %d plans can run", n);
}
