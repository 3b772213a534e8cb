/* The plan that a convolution runs with: the one remembered from an earlier run, else the fastest of the first few, else
 * (where nothing is timed) the heuristics' first.  In what order convolutions are asked for does not matter. */
#pragma once

#include "conv_plan.h"

#define CONV_CANDIDATES 16

struct conv_tuner {
	struct conv_cache *cache; /* what was timed is looked up and put there; its owner saves it */
	struct conv_limits limits;
	/* Seconds are the device's affair: how long one run of the plan takes.  As struct conv_timer; NULL: no timing. */
	int (*time)(void *arg, const struct conv_plan *plan, int repeats, double *ret_ms, struct err *err);
	void *arg;
};

int conv_tune(struct conv_plan **ret, const struct conv_tuner *tuner, const struct conv_op *op, struct err *err);
