/* A pass: the net at one batch size, as lists of primitives and loops that are walked in order.
 *
 * Everything a pass holds between its first and last item is transient: it lies in one block of memory that all passes
 * of a plan share, in regions of which only the sizes are fixed here.  What lives longer (parameters, gradients, running
 * statistics) is the plan's, in plain fp32.
 *
 *   weights   fp32 OIHW parameters -> what the forward convolutions want; before forward or infer
 *   forward   training: input -> features, batch statistics and what backward needs
 *   infer     evaluation: input -> features, with running statistics
 *   backward  gradient of features -> gradient of every parameter
 *
 * Building is pass_new() (pass_build.c, pass_backward.c), then pass_bind() to memory; pass.c walks the lists. */
#pragma once

#include "dnn.h"
#include "fuse.h"
#include "head.h"
#include "pool.h"

#define MAX_GRAD_SLOTS 6

/* Where an argument lies: a region and bytes from its start.  The first four regions are the caller's. */
enum region {
	REGION_PARAMS,
	REGION_GRADS,
	REGION_RUNNING,
	REGION_INPUT,	     /* (N, 3, H, W) fp32, another address every step */
	REGION_KEPT,	     /* weights, activations, statistics, workspaces */
	REGION_TEMP_SRC,     /* TEMP: a converted argument, for one item */
	REGION_TEMP_WEIGHTS,
	REGION_TEMP_DIFF_DST,
	REGION_TEMP_OUT,
	REGION_SCRATCH,
	REGION_GRAD_SLOT, /* and the following: gradients of activations */
	N_REGIONS = REGION_GRAD_SLOT + MAX_GRAD_SLOTS
};

struct place {
	enum region region;
	size_t offset;
};

enum item_kind {
	ITEM_REORDER,
	ITEM_CONV_FORWARD,
	ITEM_CONV_DGRAD,
	ITEM_CONV_WGRAD,
	ITEM_BN_FORWARD,
	ITEM_BN_BACKWARD,
	ITEM_MAXPOOL,	       /* dst, taps = the maxima of a */
	ITEM_MAXPOOL_BACKWARD, /* dst = the gradient of a, by taps */
	ITEM_ADD_RELU,	/* dst = relu(a + b) */
	ITEM_RELU_MASK, /* dst = a > 0 ? dst : 0 */
	ITEM_JOIN	/* dst += a */
};

struct item {
	enum item_kind kind;
	struct prim *prim;		  /* NULL for a loop; owned by the pass */
	struct place places[N_PRIM_ARGS]; /* of a primitive's arguments */
	struct place dst, a, b;		  /* of a loop's */
	void *dst_data;			  /* bound */
	const void *a_data, *b_data;
	size_t cells;
	struct pool pool; /* of max pooling, as the following */
	struct place taps;
	uint8_t *taps_data; /* bound */
};

struct program {
	struct item *items;
	int n, room;
};

struct bn_batch { /* what one batch norm saw, to move its running statistics */
	struct place mean, variance; /* (C), biased variance */
	size_t count;		     /* values a channel was computed from: N * H * W */
};

struct pass {
	int n; /* images */
	enum cell cell;
	const struct net *net; /* borrowed, as fc */
	const struct op *fc;
	struct program weights, forward, infer, backward;
	struct prim **prims;
	int n_prims;
	struct bn_batch *bns; /* by index of the net's batch norms */
	struct head head;
	struct place features, pooled, logits, losses, correct;
	size_t region_bytes[N_REGIONS]; /* 0 for the caller's */
	void *regions[N_REGIONS];	/* bound */
};

struct pass_options {
	int n;
	enum cell cell;
	bool direct; /* no Winograd */
	bool train;  /* else only weights and infer are built */
};

int pass_new(struct pass **ret, struct dnn *dnn, const struct net *net, const struct nodes *nodes,
	     const struct pass_options *options, struct err *err);
size_t pass_bytes(const struct pass *pass); /* of the shared block */
/* regions: the caller's four (input may be NULL as yet); block: pass_bytes() aligned to a page. */
void pass_bind(struct pass *pass, float *params, float *grads, float *running, void *block);
/* Trains or evaluates on images (N, 3, H, W) and targets or labels (N); all borrowed during the call.  After either,
 * pass->head.losses and .correct speak of each image. */
int pass_forward(struct pass *pass, const float *images, const struct targets *targets, struct err *err);
int pass_backward(struct pass *pass, struct err *err); /* = the gradients of every parameter */
/* running = 0.9 * running + 0.1 * batch, the variance unbiased; after pass_forward(). */
void pass_move_running(const struct pass *pass, float *running);
int pass_infer(struct pass *pass, const float *images, const int32_t *labels, struct err *err);
int item_run(const struct pass *pass, const struct item *item, struct err *err);
void pass_free(struct pass *pass); /* accepts NULL */
