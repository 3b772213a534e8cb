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

static bool avoids(const struct sched_job *job, const char *device)
{
	const char *at = *device ? strstr(job->avoid, device) : NULL;
	for (size_t n = strlen(device); at; at = strstr(at + 1, device))
		if (at > job->avoid && at[-1] == ',' && at[n] == ',')
			return true;
	return false;
}

static bool may_go_on(const struct sched_job *job, const struct sched_slot *slots, size_t n, const char *device)
{
	if (!avoids(job, device))
		return true;
	for (size_t i = 0; i < n; i++)
		if (slots[i].usable && !avoids(job, slots[i].device))
			return false;
	return true;
}

/* Index of the first startable job in order of start that is not taken and may go there, or n. */
static size_t next_job(const struct sched_job *jobs, const bool *taken, size_t n, const struct sched_slot *slots,
		       size_t n_slots, const char *device, int64_t now_ms)
{
	size_t best = n;
	for (size_t i = 0; i < n; i++) {
		if (taken[i] || !sched_is_due(jobs[i].not_before_ms, now_ms) || !may_go_on(&jobs[i], slots, n_slots, device))
			continue;
		if (best == n || before(&jobs[i], &jobs[best]))
			best = i;
	}
	return best;
}

size_t sched_pick(const struct sched_job *jobs, size_t n_jobs, const struct sched_slot *slots, size_t n_slots,
		  int64_t now_ms, struct sched_choice *out)
{
	size_t n = 0;
	autofree bool *taken = xcalloc(n_jobs + 1, sizeof(*taken));
	for (size_t slot = 0; slot < n_slots; slot++) {
		if (!slots[slot].free)
			continue;
		size_t job = next_job(jobs, taken, n_jobs, slots, n_slots, slots[slot].device, now_ms);
		if (job == n_jobs)
			continue;
		taken[job] = true;
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
