/* See watchdog.h. */
#include "watchdog.h"

#include <math.h>

#define SECOND_LOOK_S 0.1 /* enough for a turn of the loop, which reads what waits */
#define AWAY_S        2.0 /* a second look that comes so late says that sweepd was stopped again */

void watch_start(struct watch *w, double now_s)
{
	*w = (struct watch){.heard_s = now_s, .moved_s = now_s, .attempt_s = NAN};
}

void watch_heard(struct watch *w, double now_s)
{
	w->heard_s = now_s;
	w->silence_s = 0;
}

void watch_connected(struct watch *w, double now_s)
{
	w->connected = true;
	w->moved_s = now_s; /* what it did while nobody listened is not known */
	watch_heard(w, now_s);
}

void watch_disconnected(struct watch *w)
{
	w->connected = false;
}

void watch_attempt(struct watch *w, double now_s, double began_s, double limit_s)
{
	w->training = true;
	w->attempt_s = began_s;
	w->limit_s = limit_s;
	w->moved_s = now_s;
	w->longest_s = w->stall_s = 0;
	w->epoch = w->step = w->phase = 0;
}

void watch_attempt_ended(struct watch *w)
{
	w->training = false;
	w->attempt_s = NAN;
}

void watch_moved(struct watch *w, double now_s, int64_t epoch, int64_t step, int phase)
{
	if (epoch == w->epoch && step == w->step && phase == w->phase)
		return;
	w->longest_s = MAX(w->longest_s, now_s - w->moved_s);
	w->moved_s = now_s;
	w->stall_s = 0;
	w->epoch = epoch;
	w->step = step;
	w->phase = phase;
}

void watch_forgive(struct watch *w, double now_s)
{
	watch_heard(w, now_s);
	w->moved_s = now_s;
}

double watch_stall_limit_s(const struct watch *w, const struct watch_limits *l)
{
	return MAX(l->stalled_s, l->stall_factor * w->longest_s);
}

/* Whether a deadline is past, at the second look; *suspected_s keeps the first.  Moves *next_s forward to the next. */
static bool is_over(double *suspected_s, double deadline_s, double now_s, double *next_s)
{
	double since = now_s - *suspected_s;
	if (now_s < deadline_s) {
		*suspected_s = 0;
		*next_s = MIN(*next_s, deadline_s);
		return false;
	}
	if (*suspected_s > 0 && since >= SECOND_LOOK_S && since < AWAY_S)
		return true;
	if (!(*suspected_s > 0) || since >= AWAY_S)
		*suspected_s = now_s;
	*next_s = MIN(*next_s, *suspected_s + SECOND_LOOK_S);
	return false;
}

enum watch_verdict watch_look(struct watch *w, const struct watch_limits *l, double now_s, double *ret_next_s)
{
	double next_s = INFINITY;
	double silent_at = w->heard_s + (w->connected ? l->silent_s : l->connect_s);
	double stalled_at = w->training && w->connected ? w->moved_s + watch_stall_limit_s(w, l) : INFINITY;
	double over_at = w->training && w->limit_s > 0 && !isnan(w->attempt_s) ? w->attempt_s + w->limit_s : INFINITY;
	bool silent = is_over(&w->silence_s, silent_at, now_s, &next_s);
	bool stalled = is_over(&w->stall_s, stalled_at, now_s, &next_s);
	*ret_next_s = now_s < over_at ? MIN(next_s, over_at) : next_s;
	if (silent)
		return w->connected ? WATCH_SILENT : WATCH_LATE;
	if (stalled)
		return WATCH_STALLED;
	return now_s >= over_at ? WATCH_OUT_OF_TIME : WATCH_WELL;
}
