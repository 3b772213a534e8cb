/* The cpu backend's plan: training state in flat fp32 arenas, one pass for each batch size that occurs (the batch, and
 * the smaller last batch of the training and the test images), one block of memory that the passes take turns in.
 * The verbs are those of worker/backend.h, where they are described.
 *
 * A step: the loader's batch -> pass_forward() -> is the loss finite? -> pass_backward() -> running statistics -> optimizer.
 * Up to the question no training state has changed. */
#pragma once

#include "kernels.h"
#include "pass.h"

#include "worker/backend.h"
#include "worker/loader.h"
#include "worker/score.h"

#define MAX_PASSES 4

struct device {
	struct device_spec spec;
	struct device_info info;
	const struct dataset *data; /* borrowed; NULL before load() */
};

struct block { /* page-aligned, zeroed and touched */
	void *data;
	size_t bytes;
};

struct plan {
	const struct device *device; /* borrowed, as net */
	const struct net *net;
	struct recipe recipe;
	int batch;
	enum cell cell;
	struct dnn *dnn;
	struct nodes nodes;
	struct loader *loader;
	struct scorer scorer;
	double *logits;	 /* (batch, classes) */
	float *mirrored; /* (batch, 3, size, size); NULL without recipe.mirror */
	struct block state;				/* holds the following three lines */
	struct optim_arenas arenas;			/* in net order */
	float *buffers;					/* running statistics */
	float *ema_params, *ema_buffers;		/* NULL: none */
	bool ema_in; /* the average is in the arenas, the weights in its place */
	struct optim_spans spans;
	uint64_t steps, batches_tracked;
	struct pass *passes[MAX_PASSES];
	int n_passes;
	struct block work; /* of the passes */
	struct epoch_tables tables;
};

int plan_new(struct plan **ret, struct device *device, const struct net *net, const struct recipe *recipe, int batch,
	     struct err *err);
void plan_state_alloc(const struct plan *plan, struct state *ret);
int plan_state_get(struct plan *plan, struct state *into, struct err *err);
int plan_state_set(struct plan *plan, const struct state *from, struct err *err);
int plan_begin_epoch(struct plan *plan, const struct epoch_tables *tables, struct err *err);
int plan_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err);
int plan_evaluate(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
		  struct sums *sums, struct err *err);
void plan_memory(const struct plan *plan, struct memory_use *ret);
void plan_free(struct plan *plan); /* accepts NULL */

/* For tests: fills everything that must not outlive a step (the passes' memory and the gradients) with NaN. */
void plan_poison(struct plan *plan);
