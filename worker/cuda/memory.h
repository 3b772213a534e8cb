/* All of a plan's device memory, one block: what lives as long as the plan, and a working part that the lists of all batch
 * sizes take turns in.  Where things lie depends only on the problem. */
#pragma once

#include "kernel/kernels.h"
#include "param_map.h"

struct bn_vectors { /* (C) each, C padded */
	float *mean, *inv_std, *scale, *shift; /* of the batch; in evaluation scale and shift of the running statistics */
	float *running_mean, *running_var;
	float *gamma, *beta, *dgamma, *dbeta; /* in the arenas */
	int c;
};

struct memory_sizes {
	enum cell cell;
	int slots;	 /* of the optimizer */
	bool ema;
	size_t order;	 /* images of the training set */
	size_t steps;	 /* of an epoch */
	size_t labels;	 /* of the largest batch */
	size_t predicted; /* images of the largest split */
	size_t partials; /* floats, and words of tickets: kernel_scratch() */
	size_t tickets;
	size_t work; /* bytes */
};

struct memory {
	const struct param_map *map; /* borrowed */
	enum cell cell;
	size_t bytes; /* of the block */
	/* state: what a checkpoint keeps */
	float *params, *slots[N_SLOTS]; /* weights, others; slots that the optimizer has not are NULL */
	float *running;
	float *ema_params, *ema_running; /* NULL: none */
	struct bn_vectors *bns; /* of net->bns; in host memory, pointing to the device's */
	/* of a step */
	void *copies, *weight_grads; /* (weights) T; with fp32 cells copies is params */
	float *other_grads;	     /* (others) */
	float *coef;		     /* (3, largest C), of the batch norm under way */
	int32_t *labels, *partners; /* (largest batch), as shares */
	float *shares;
	int32_t *predicted; /* of the split under test */
	float *partials;
	uint32_t *tickets;
	void *work;
	/* tables */
	struct step_state *state;
	struct step_values *values;
	struct step_result *results;
	struct mix *mixes;
	struct affine_table *affines;
	struct optim_f32 *coefs;
	uint32_t *order;
	struct bn_layer *layers;
};

/* Lays everything out from base on (256-byte aligned; of any value where only sizes are wanted).  Ends with
 * memory_fini(). */
void memory_init(struct memory *memory, const struct param_map *map, const struct memory_sizes *sizes, void *base);
void memory_fini(struct memory *memory);

/* The weights that convolutions read, and their gradients. */
void *memory_copy(const struct memory *memory, int param);
void *memory_grad(const struct memory *memory, int param);
