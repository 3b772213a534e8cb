/* When a worker is given up, and when its job has had its time.  Pure: times in, verdicts out.
 *
 * All times are CLOCK_MONOTONIC seconds: setting the clock changes nothing, and the time a machine sleeps (suspend) is
 * nobody's silence and part of no time limit.  Silence is judged twice, some time apart, with the socket read in between:
 * a daemon that was itself stopped for a while finds old times and unread lines. */
#pragma once

#include "common/base.h"

struct watch_limits {
	double connect_s;    /* a worker says hello within */
	double silent_s;     /* connected: says anything within */
	double stalled_s;    /* trains: comes forward within; at least, see stall_factor */
	double stall_factor; /* times the longest time without a step that this attempt has shown */
};

struct watch {
	bool connected;
	double heard_s;	      /* when it last said something, or was started */
	double silence_s, stall_s; /* found the first time, and when; 0: not */
	bool training;
	double attempt_s;     /* when its attempt began; NAN: not known (in another boot) */
	double limit_s;	      /* of the attempt, 0: none */
	double moved_s;	      /* when its job last came forward: a step, an event */
	double longest_s;     /* between two of those */
	int64_t epoch, step;  /* where it was then */
	int phase;
};

enum watch_verdict { WATCH_WELL, WATCH_LATE /* has not connected */, WATCH_SILENT, WATCH_STALLED, WATCH_OUT_OF_TIME };

/* A process started or adopted. */
void watch_start(struct watch *w, double now_s);
/* It said something. */
void watch_heard(struct watch *w, double now_s);
void watch_connected(struct watch *w, double now_s);
void watch_disconnected(struct watch *w);
/* It trains an attempt that began then (NAN: not known), with that limit (0: none).  Also for one that goes on. */
void watch_attempt(struct watch *w, double now_s, double began_s, double limit_s);
void watch_attempt_ended(struct watch *w);
/* Its job is there now; phase is any number. */
void watch_moved(struct watch *w, double now_s, int64_t epoch, int64_t step, int phase);
/* It was not read for a while, or not asked: what passed is not its fault. */
void watch_forgive(struct watch *w, double now_s);
/* How long without a step is too long for it. */
double watch_stall_limit_s(const struct watch *w, const struct watch_limits *l);
/* What now follows.  ret_next_s: when to look again at the latest (INFINITY: nothing will change by time alone). */
enum watch_verdict watch_look(struct watch *w, const struct watch_limits *l, double now_s, double *ret_next_s);
