/* See trust.h. */
#include "trust.h"

#include "store_supervise.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/log.h"

static struct health_limits limits_of(const struct daemon_options *o)
{
	return (struct health_limits){.faults = o->device_faults, .aside_s = o->aside_ms / 1000.0};
}

int trust_fault(struct trust *t, struct store *store, const struct slot *slot, enum fault fault, int64_t job,
		const char *why, struct err *err)
{
	struct health_limits limits = limits_of(&slot->daemon->options);
	*t = (struct trust){.next = slot->health};
	t->aside = health_fault(&t->next, &limits, fault, job, why, monotonic_s());
	if (!t->aside || slot->surplus)
		return 0;
	return store_set_aside(store, slot->device, t->next.times_aside, t->next.reason, err);
}

int trust_good(struct trust *t, struct store *store, const struct slot *slot, bool worked, struct err *err)
{
	*t = (struct trust){.next = slot->health};
	if (worked)
		health_worked(&t->next);
	else
		health_started(&t->next);
	t->back = slot->health.times_aside > 0 && t->next.times_aside == 0;
	return t->back && !slot->surplus ? store_take_back(store, slot->device, "it works again", err) : 0;
}

void trust_done(const struct trust *t, struct slot *slot)
{
	char back_off[DURATION_TEXT_MAX];
	slot->health = t->next;
	if (t->back)
		log_info("%s: works again", slot->device);
	if (!t->aside)
		return;
	double now_s = monotonic_s();
	log_warn("%s: set aside, tried again in %s: %s", slot->device,
		 duration_text(slot->health.until_s - now_s, back_off), slot->health.reason);
	slot_begin_stop(slot);
}

int trust_load(struct slot *slot, struct err *err)
{
	int times;
	char reason[sizeof(slot->health.reason)];
	struct health_limits limits = limits_of(&slot->daemon->options);
	int r = store_device_aside(slot->daemon->store, slot->device, &times, reason, sizeof(reason), err);
	if (r < 0)
		return r;
	double now_s = monotonic_s();
	health_restore(&slot->health, &limits, times, reason, now_s);
	slot->restart_at_s = health_is_aside(&slot->health, now_s) ? slot->health.until_s : 0;
	return 0;
}
