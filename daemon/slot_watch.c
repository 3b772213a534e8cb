/* Heeds a worker's deadlines: watchdog.h says which are past, this says so and acts.  See slot.h. */
#include "slot.h"

#include "common/duration.h"
#include "common/log.h"

#include <math.h>
#include <unistd.h>

static struct watch_limits limits_of(const struct daemon_options *o)
{
	return (struct watch_limits){
		.connect_s = MAX(o->heartbeat_lost_ms, o->adopt_ms) / 1000.0,
		.silent_s = o->heartbeat_lost_ms / 1000.0,
		.stalled_s = o->stall_ms / 1000.0,
		.stall_factor = o->stall_factor,
	};
}

static void kill_silent(struct slot *slot, const char *what, double now_s)
{
	char since[DURATION_TEXT_MAX], reason[128];
	snprintf(reason, sizeof(reason), "%s for %s", what, duration_text(now_s - slot->watch.heard_s, since));
	for_lanes(slot, lane)
		if (lane->attempt && lane->wish == WISH_NONE)
			lane->wish = WISH_STALL; /* its job's outcome is a hang */
	slot_kill(slot, reason);
}

/* It may only be slow, so it is asked for a checkpoint before it is killed. */
static void ask_stalled(struct slot *slot, const struct watch_limits *l, double now_s)
{
	const struct watch *w = &slot->watch;
	char since[DURATION_TEXT_MAX], limit[DURATION_TEXT_MAX], longest[DURATION_TEXT_MAX], reason[256];
	duration_text(now_s - w->moved_s, since);
	duration_text(watch_stall_limit_s(w, l), limit);
	duration_text(w->longest_s, longest);
	snprintf(reason, sizeof(reason),
		 "no step for %s in epoch %lld after step %lld (limit %s; the longest before: %s)", since,
		 (long long)w->epoch, (long long)w->step, limit, longest);
	log_warn("%s: job %lld stalls: %s", slot->device, (long long)slot->job, reason);
	slot_ask(slot, WISH_STALL, geteuid(), reason);
}

static void ask_out_of_time(struct slot *slot)
{
	char limit[DURATION_TEXT_MAX];
	log_info("%s: job %lld has had its %s: it shall write a checkpoint and end", slot->device, (long long)slot->job,
		 duration_text(slot->watch.limit_s, limit));
	slot_ask(slot, WISH_TIME, geteuid(), "did not end when its time was over");
}

double slot_look(struct slot *slot, double now_s)
{
	double next_s;
	struct watch_limits limits = limits_of(&slot->daemon->options);
	enum watch_verdict verdict = watch_look(&slot->watch, &limits, now_s, &next_s);
	if (slot->lead->kill_step == KILL_KILL)
		return INFINITY;
	switch (verdict) {
	case WATCH_LATE:
		if (slot == slot->lead)
			kill_silent(slot, "no connection", now_s);
		return INFINITY;
	case WATCH_SILENT:
		if (slot == slot->lead)
			kill_silent(slot, "no heartbeat", now_s);
		return INFINITY;
	case WATCH_STALLED:
		if (slot->wish < WISH_STALL)
			ask_stalled(slot, &limits, now_s);
		break;
	case WATCH_OUT_OF_TIME:
		if (slot->wish < WISH_TIME)
			ask_out_of_time(slot);
		break;
	case WATCH_WELL:
		break;
	}
	return next_s;
}
