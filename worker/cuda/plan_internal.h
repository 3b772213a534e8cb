/* A plan of the cuda backend, shared by plan.c (what it is made of, its steps) and plan_state.c. */
#pragma once

#include "plan.h"

struct list_programs { /* of one split: its full batches, and its last one where that is smaller */
	struct program *full, *tail;
	uint32_t batches, full_batches;
};

struct plan {
	struct device *device; /* borrowed, as net */
	const struct net *net;
	struct recipe recipe;
	struct runner *runner;
	struct units units;
	struct param_map map;
	struct step_problem problem;
	struct memory memory;
	void *block;
	struct list_programs train, eval[N_SPLITS][2]; /* [mirror]: with mirror images too, where the recipe has them */
	struct program *running, *copies, *exchange;
	bool ema_in; /* the average is in the arenas, the weights in its place */
	struct epoch_tables tables;
	struct step_state host; /* what is on the device, between two runs */
	uint64_t batches_tracked;
	double prepare_s; /* its programs took */
};

/* The weights, or their average, in the arenas. */
int plan_use(struct plan *plan, bool ema, struct err *err);
