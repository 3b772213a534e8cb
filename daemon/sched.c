/* See sched.h. */
#include "sched.h"

bool sched_is_due(int64_t not_before_ms, int64_t now_ms)
{
	return not_before_ms <= now_ms || not_before_ms > now_ms + SCHED_WAIT_MAX_MS;
}

static bool before(const struct sched_job *a, const struct sched_job *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->id < b->id;
}

/* Index of the first startable job after `last` in order of start, or n. */
static size_t next_job(const struct sched_job *jobs, size_t n, const struct sched_job *last, int64_t now_ms)
{
	size_t best = n;
	for (size_t i = 0; i < n; i++) {
		if (!sched_is_due(jobs[i].not_before_ms, now_ms) || (last && !before(last, &jobs[i])))
			continue;
		if (best == n || before(&jobs[i], &jobs[best]))
			best = i;
	}
	return best;
}

size_t sched_pick(const struct sched_job *jobs, size_t n_jobs, const bool *slot_free, size_t n_slots, int64_t now_ms,
		  struct sched_choice *out)
{
	size_t n = 0;
	const struct sched_job *last = NULL;
	for (size_t slot = 0; slot < n_slots; slot++) {
		if (!slot_free[slot])
			continue;
		size_t job = next_job(jobs, n_jobs, last, now_ms);
		if (job == n_jobs)
			break;
		last = &jobs[job];
		out[n++] = (struct sched_choice){.job = job, .slot = slot};
	}
	return n;
}

static bool is_worth_a_retry(int fail_class)
{
	switch (fail_class) {
	case FAIL_OOM:
	case FAIL_DEVICE:
	case FAIL_INTERNAL:
	case FAIL_HANG:
	case FAIL_LOST:
		return true;
	default: /* FAIL_CONFIG, FAIL_DATA, FAIL_DIVERGED, FAIL_TIME_LIMIT */
		return false;
	}
}

struct sched_retry sched_retry(int fail_class, int retries_used, int limit, int64_t base_ms)
{
	int most = fail_class == FAIL_DEVICE ? DEVICE_FAULTS_MAX - 1 : limit;
	if (!is_worth_a_retry(fail_class) || retries_used >= most)
		return (struct sched_retry){0};
	int64_t delay = base_ms;
	for (int i = 0; i < retries_used && delay < SCHED_WAIT_MAX_MS; i++)
		delay *= 5;
	return (struct sched_retry){.again = true, .delay_ms = MIN(delay, (int64_t)SCHED_WAIT_MAX_MS)};
}
