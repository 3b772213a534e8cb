/* A device's health (health.h), as rows and in its slot: what happens to it in a turn is stored, and after the commit
 * taken over. */
#pragma once

#include "slot.h"

struct trust { /* of one input */
	struct health next;
	bool aside, back; /* it was set aside, taken back */
};

/* In a transaction; may be called again. */
int trust_fault(struct trust *t, struct store *store, const struct slot *slot, enum fault fault, int64_t job,
		const char *why, struct err *err);
/* A worker said hello, or (worked) something went well. */
int trust_good(struct trust *t, struct store *store, const struct slot *slot, bool worked, struct err *err);
/* After the commit.  The worker of a device that was set aside ends. */
void trust_done(const struct trust *t, struct slot *slot);
/* As it was when the last daemon ended. */
int trust_load(struct slot *slot, struct err *err);
