/* What follows from the end of an attempt: for its row, for its job, for its slot.  One place for all ways in which an
 * attempt ends: its worker said so, or its worker is gone. */
#pragma once

#include "slot.h"

struct outcome {
	enum attempt_state attempt; /* DONE, FAILED, CANCELLED, RELEASED or LOST */
	int fail_class;		    /* of FAILED: enum fail_class; of LOST: FAIL_LOST */
	char reason[512];	    /* "" for none */
	bool pause;		    /* RELEASED: to paused instead of queued */
};

/* From a terminal event; false: it is none. */
bool outcome_of_event(const json_t *event, struct outcome *ret);
/* Moves the rows; inside a transaction. */
int outcome_apply(struct store *store, const struct slot *slot, int64_t attempt, const struct outcome *o, struct err *err);
