/* Writes the launch lists of a training step and of an evaluation step for one number of images.
 *
 * Training: begin the step, make the batch; forward (fprop, batch statistics, apply with ReLU and shortcut in one pass);
 * classifier and loss; backward in the reverse order (two passes a batch norm, wgrad, dgrad); the optimizer.  Where two
 * gradients of a tensor meet, the batch norm that reads them adds them: no pass of its own.
 * Every activation that the backward needs is kept; gradients live in a few buffers that are used again. */
#pragma once

#include "launch.h"
#include "memory.h"
#include "units.h"

struct step_problem {
	const struct net *net;
	const struct units *units;
	const struct recipe *recipe;
	int batch;		       /* images of every step but the last */
	struct batch_source source[N_SPLITS]; /* by enum split: the resident set; its pixels, labels, pitches, mean and std */
};

/* The steps of an epoch that begin at list->items[0]; n <= batch: the last step.  sizes: what the lists need of partials,
 * tickets and work is raised to (MAX).  memory may be laid out from any base when only sizes are wanted. */
void step_build_train(struct launch_list *list, const struct step_problem *problem, const struct memory *memory, int n,
		      struct memory_sizes *sizes);
/* A batch of a split with running statistics; adds to the sums of memory->state.  mirror: then its mirror images too. */
void step_build_eval(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
		     enum split split, bool mirror, int n, struct memory_sizes *sizes);
/* Before the first batch of an evaluation: scale and shift of every batch norm from its running statistics. */
void step_build_running(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
			struct memory_sizes *sizes);
/* The weights and their average, where there is one, change places. */
void step_build_exchange(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
			 struct memory_sizes *sizes);
/* After parameters have come from outside: the copies that convolutions read.  Nothing with fp32 cells. */
void step_build_copies(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
		       struct memory_sizes *sizes);
