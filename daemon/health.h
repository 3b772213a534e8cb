/* Whether a device is to be trusted with jobs.  Pure: faults and times in, a decision out.
 *
 *          a fault, and it is the limit-th in a row
 *   WORKS ------------------------------------------> ASIDE --its back-off is over--> ON TRIAL (gets one job)
 *     ^ '- something goes well: the count starts anew   ^                               |    |
 *     |                                                 '------------ a fault ----------'    |
 *     '------------------------- something goes well, or a person returns it ----------------'
 *
 * Faults of a device are those that several jobs share: its worker does not start, the device fails, or the worker
 * crashes before it has finished an epoch.  One job that crashes again and again is that job's fault. */
#pragma once

#include "common/base.h"

enum fault { FAULT_NONE, FAULT_SPAWN, FAULT_DEVICE, FAULT_CRASH };

struct health_limits {
	int faults;	  /* in a row set a device aside */
	double aside_s;	  /* the first back-off; each further one in a row is twice as long, at most an hour */
};

struct health {
	int faults; /* in a row */
	enum fault last;
	int64_t job;	   /* of the first of them; 0: none */
	bool several;	   /* they were of several jobs */
	int times_aside;   /* in a row; 0: it works */
	double until_s;	   /* end of the back-off */
	char reason[256];  /* why it is aside; "" */
};

/* It is set aside by this one: true, and reason is set.  job: 0 for FAULT_SPAWN. */
bool health_fault(struct health *h, const struct health_limits *l, enum fault fault, int64_t job, const char *why,
		  double now_s);
/* It was aside when the last daemon ended: the back-off begins anew. */
void health_restore(struct health *h, const struct health_limits *l, int times_aside, const char *reason, double now_s);
/* A worker said hello: what a spawn fault needs.  An epoch ended, or a job: what any fault needs. */
void health_started(struct health *h);
void health_worked(struct health *h);
bool health_is_aside(const struct health *h, double now_s);
