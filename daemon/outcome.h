/* What follows from the end of an attempt: for its row, for its job, for its slot.  One place for all ways in which an
 * attempt ends: its worker said so, or its worker is gone. */
#pragma once

#include "trust.h"

struct outcome {
	enum attempt_state attempt; /* DONE, FAILED, CANCELLED, RELEASED or LOST */
	int fail_class;		    /* of FAILED: enum fail_class; of LOST: FAIL_LOST */
	char reason[512];	    /* "" for none */
	bool pause;		    /* RELEASED: to paused instead of queued */
	int64_t epoch;		    /* of the checkpoint it left: epochs finished; -1: not known */
	/* what outcome_apply() made of it */
	struct trust trust;
	int64_t stopped_sweep, n_paused; /* its circuit breaker tripped; 0: no */
};

/* From a terminal event; false: it is none. */
bool outcome_of_event(const json_t *event, struct outcome *ret);
/* Moves the rows; inside a transaction. */
int outcome_apply(struct store *store, const struct slot *slot, int64_t attempt, struct outcome *o, struct err *err);
/* After the commit, when the slot has forgotten the attempt: it may end its worker. */
void outcome_done(struct slot *slot, const struct outcome *o);
