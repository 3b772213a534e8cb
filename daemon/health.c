/* See health.h. */
#include "health.h"

#define ASIDE_MAX_S 3600.0

static void set_aside(struct health *h, const struct health_limits *l, double now_s)
{
	double back_off = l->aside_s;
	for (int i = 1; i <= h->times_aside && back_off < ASIDE_MAX_S; i++)
		back_off *= 2;
	h->times_aside++;
	h->until_s = now_s + MIN(back_off, MAX(ASIDE_MAX_S, l->aside_s));
}

bool health_fault(struct health *h, const struct health_limits *l, enum fault fault, int64_t job, const char *why,
		  double now_s)
{
	if (fault == FAULT_NONE)
		return false;
	h->several |= fault == FAULT_SPAWN || (h->faults > 0 && h->job != job);
	h->job = job;
	h->last = fault;
	h->faults++;
	bool again = h->times_aside > 0;
	if (!again && (h->faults < l->faults || !h->several))
		return false;
	set_aside(h, l, now_s);
	snprintf(h->reason, sizeof(h->reason), "%d fault%s in a row, the last: %s", h->faults,
		 h->faults == 1 ? "" : "s", why);
	return true;
}

void health_restore(struct health *h, const struct health_limits *l, int times_aside, const char *reason, double now_s)
{
	*h = (struct health){0};
	if (times_aside <= 0)
		return;
	*h = (struct health){
		.times_aside = times_aside - 1, .several = true, .last = FAULT_DEVICE, .faults = l->faults};
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	set_aside(h, l, now_s);
}

void health_started(struct health *h)
{
	if (h->last == FAULT_SPAWN)
		health_worked(h);
}

void health_worked(struct health *h)
{
	*h = (struct health){0};
}

bool health_is_aside(const struct health *h, double now_s)
{
	return h->times_aside > 0 && now_s < h->until_s;
}
