/* How long the rest takes; see estimate.h. */
#include "ctl/estimate.h"
#include "ctl/format.h"
#include "common/json.h"

#include <math.h>

struct pace { /* of the jobs with one key */
	char *key;
	double seconds;
	int epochs;
	double beside; /* seconds that finished jobs held their devices beside their epochs */
	int n_beside;  /* of so many jobs */
};

struct paces {
	struct pace *items;
	size_t n;
};

/* The parameters that decide how long an epoch takes; the first alone is the coarse key. */
static char *cost_key(const struct job_row *job, bool coarse)
{
	static const char *const names[] = {"model", "stem", "batch_size", "dataset", "train_images", "test_images", "use_amp"};
	char *key = NULL;

	text_append(&key, coarse ? "coarse" : "fine");
	for (size_t i = 0; i < (coarse ? 1 : ARRAY_LEN(names)); i++) {
		autofree char *value = format_value(json_object_get(job->config, names[i]));
		text_append(&key, " %s", value);
	}
	return key;
}

static struct pace *find_pace(const struct paces *paces, const char *key)
{
	for (size_t i = 0; i < paces->n; i++)
		if (str_eq(paces->items[i].key, key))
			return &paces->items[i];
	return NULL;
}

static void learn(struct paces *paces, const struct job_row *job, bool coarse)
{
	autofree char *key = cost_key(job, coarse);
	struct pace *pace = find_pace(paces, key);

	if (!pace) {
		paces->items = xrealloc_array(paces->items, paces->n + 1, sizeof(paces->items[0]));
		pace = &paces->items[paces->n++];
		*pace = (struct pace){.key = steal_ptr(key)};
	}
	pace->seconds += job->seconds;
	pace->epochs += job->epoch;
	if (job->state == JOB_DONE && job->attempts == 1 && job->busy_seconds > job->seconds) {
		pace->beside += job->busy_seconds - job->seconds;
		pace->n_beside++;
	}
}

/* What is known of jobs like this one, or NULL. */
static const struct pace *pace_of(const struct paces *paces, const struct job_row *job)
{
	const struct pace *pace = NULL;

	for (int coarse = 0; coarse < 2 && !pace; coarse++) {
		autofree char *key = cost_key(job, coarse);
		pace = find_pace(paces, key);
	}
	return pace;
}

static double or_zero(double v)
{
	return isnan(v) ? 0 : v;
}

/* Until all are over, as far as it is known: running jobs go on where they are, waiting ones follow on whatever is free
 * first.  Jobs that a sampled one stands for follow one by one, so that they spread over the devices as they would. */
static double time_left(const struct job_row *jobs, size_t n, const double *left, const double *stand_for)
{
	size_t devices = 0, next = 0;

	for (size_t i = 0; i < n; i++)
		devices += jobs[i].state == JOB_RUNNING;
	devices = MAX(devices, (size_t)1);
	autofree double *free_at = xcalloc(devices, sizeof(double));
	for (size_t i = 0; i < n; i++)
		if (jobs[i].state == JOB_RUNNING)
			free_at[next++] = or_zero(left[i]);
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].state != JOB_QUEUED)
			continue;
		for (double more = stand_for ? stand_for[i] : 1; more > 0; more--) {
			size_t first = 0;
			for (size_t d = 1; d < devices; d++)
				first = free_at[d] < free_at[first] ? d : first;
			free_at[first] += or_zero(left[i]) * MIN(more, 1.0);
		}
	}
	double end = 0;
	for (size_t d = 0; d < devices; d++)
		end = MAX(end, free_at[d]);
	return end;
}

void estimate_init(struct estimate *e, const struct job_row *jobs, size_t n, const double *underway,
		   const double *stand_for)
{
	struct paces paces = {0};
	double all_left = 0, begun = 0, held = 0;

	*e = (struct estimate){.left = xcalloc(n + 1, sizeof(double))};
	for (size_t i = 0; i < n; i++) {
		e->counts[jobs[i].state]++;
		e->done_seconds += jobs[i].seconds * (stand_for ? stand_for[i] : 1);
		held += MAX(jobs[i].seconds, jobs[i].state == JOB_DONE && jobs[i].attempts == 1 ? jobs[i].busy_seconds : 0) *
			(stand_for ? stand_for[i] : 1);
		for (int coarse = 0; jobs[i].epoch > 0 && coarse < 2; coarse++)
			learn(&paces, &jobs[i], coarse);
	}
	for (size_t i = 0; i < n; i++) {
		if (job_is_final(jobs[i].state))
			continue;
		const struct pace *like = pace_of(&paces, &jobs[i]);
		double pace = jobs[i].epoch > 0 ? jobs[i].seconds / jobs[i].epoch : like ? like->seconds / like->epochs : NAN;
		double now = underway && jobs[i].state == JOB_RUNNING ? underway[i] : 0;
		e->left[i] = pace * MAX(0, jobs[i].epochs - jobs[i].epoch - now);
		if (like && like->n_beside && jobs[i].state != JOB_RUNNING)
			e->left[i] += like->beside / like->n_beside;
		begun += or_zero(pace) * now;
		all_left += e->left[i] * (stand_for ? stand_for[i] : 1);
		e->at_least |= isnan(pace);
	}
	e->left_seconds = e->at_least && !paces.n ? NAN : time_left(jobs, n, e->left, stand_for);
	double done = held + begun;
	e->fraction = all_left == 0 ? 1 : done / (done + all_left);
	for (size_t i = 0; i < paces.n; i++)
		free(paces.items[i].key);
	free(paces.items);
}

void estimate_fini(struct estimate *e)
{
	free(e->left);
	e->left = NULL;
}
