/* The device kernels as data: their ids, one struct of arguments each, and how a launch of each is shaped.  Read by the
 * kernels (nvcc, or gcc through the tests' shim) and by the C that builds launch lists.
 *
 * Cells: activations, weights' copies and gradients are arrays of a cell type T, bf16, fp16 or f32, NHWC; a `void *`
 * below is such an array.  C is the padded channel count, a multiple of 8; arrays begin at multiples of 16 bytes.
 * Padding channels hold 0 and stay 0 where gamma, beta and weights are 0 there.  rows: N * H * W.
 * Sums: every kernel writes (=) what it names as its output, but `+=` where said.  Reductions add partial sums in one
 * fixed order, which depends on the shape alone: equal bits on every device, whatever order blocks run in.
 * Scratch: `partials` (kernel_scratch() tells its size) holds nothing between launches; `tickets` must be 0 before the
 * first launch and is 0 again after each.  Launches of one stream share both.
 *
 * To add a kernel: an id, its struct, its row in KERNELS, its shape in kernels.c, its body in a .cu that kernels.cu
 * includes, its test in tests/cuda/. */
#pragma once

#include "worker/mix.h"
#include "worker/optim.h"
#include "worker/scaler.h"

#include <stddef.h>
#include <stdint.h>

enum cell { CELL_BF16, CELL_F16, CELL_F32 };
#define CELL_COUNT 3

/* id, name, has a version per cell, is on the hot path of a training step (must not spill) */
#define KERNELS(X)                                          \
	X(STEP_BEGIN, step_begin, 0, 1)                     \
	X(TRANSFORM, transform, 0, 1)                       \
	X(AUGMENT, augment, 1, 1)                           \
	X(BN_STATS, bn_stats, 1, 1)                         \
	X(BN_RUNNING, bn_running, 0, 0)                     \
	X(BN_APPLY, bn_apply, 1, 1)                         \
	X(BN_BACKWARD_REDUCE, bn_backward_reduce, 1, 1)     \
	X(BN_BACKWARD_APPLY, bn_backward_apply, 1, 1)       \
	X(MAXPOOL_FORWARD, maxpool_forward, 1, 1)           \
	X(MAXPOOL_BACKWARD, maxpool_backward, 1, 1)         \
	X(AVGPOOL_FORWARD, avgpool_forward, 1, 1)           \
	X(AVGPOOL_BACKWARD, avgpool_backward, 1, 1)         \
	X(SOFTMAX_CE, softmax_ce, 1, 1)                     \
	X(LOG_SOFTMAX, log_softmax, 1, 0)                   \
	X(GRAD_CHECK, grad_check, 1, 1)                     \
	X(GRAD_NORM, grad_norm, 1, 1)                       \
	X(OPTIMIZER, optimizer, 1, 1)                       \
	X(EMA, ema, 0, 1)                                   \
	X(EXCHANGE, exchange, 0, 0)                         \
	X(CAST, cast, 1, 0)

#define KERNEL_ID(id, name, cells, hot) KERNEL_##id,
enum kernel_id { KERNELS(KERNEL_ID) KERNEL_COUNT };
#undef KERNEL_ID

/* What changes from step to step, in device memory: no step needs the host.  The host writes `next` (and, at an epoch's
 * start, epoch) before it launches steps, and the sums it wants added to; it reads the sums afterwards. */
struct step_state {
	uint64_t seed;	 /* of the augmentation */
	uint32_t epoch;	 /* 0-based */
	uint32_t next;	 /* the epoch's step that the next step_begin begins */
	uint32_t step;	 /* the one that runs */
	uint32_t found_inf; /* a gradient of this step was not finite: the optimizer changes nothing */
	uint32_t moved;	    /* the optimizer made its last step */
	float clip;	    /* gradients are multiplied by it; 1 but for grad_norm */
	uint64_t steps;	    /* that the optimizer made */
	struct grad_scaler scaler; /* gradients are multiples of its scale; 1: no scaling */
	uint32_t bad_step;	  /* the first step whose loss was not finite; NO_BAD_STEP: none */
	uint32_t correct5;	  /* += images whose label is among the five largest logits */
	double loss;	  /* += sum over images of the loss */
	double correct;	  /* += top-1, a mixed image by the shares of its labels */
	uint64_t images;  /* += all */
	double mirror_loss, mirror_correct; /* likewise, of tests averaged over mirror images; their number is images */
	uint64_t mirror_correct5;
};
#define NO_BAD_STEP UINT32_MAX

struct step_result { /* of one step, for the host */
	double loss;	  /* sum over its images */
	double grad_norm; /* of grad_norm, where it is launched */
};

/* The arenas' parameters in segments that one step treats alike: in each region (weights, others) one per group. */
#define OPTIM_SEGMENTS (2 * N_GROUPS)
struct optim_segment {
	double lr_scale;
	uint32_t decays;
};

/* state->step = state->next++; coefs (OPTIM_SEGMENTS) = those of the optimizer's next step where there is a table. */
struct step_begin_args {
	struct step_state *state;
	const struct step_values *values; /* (steps of the epoch), or NULL (evaluation) */
	struct optim_settings optim;
	struct optim_segment segments[OPTIM_SEGMENTS];
	struct optim_f32 *coefs;
};

/* Images of the resident set -> one batch.  Image i of the batch is sample order[step * batch + i] (order NULL: that
 * number itself).  The fields of the set are struct image_set's (worker/data.h), pointing to device memory. */
struct batch_source {
	const struct step_state *state;
	const uint8_t *pixels, *labels;
	uint64_t pitch, plane_pitch, label_pitch;
	const uint32_t *order;
	uint32_t batch;	  /* of every step but the last */
	uint32_t n;	  /* of this step */
	struct augment_settings settings;
	uint32_t draws; /* training: what settings say is drawn (worker/sample_draw.h); else nothing is */
	uint32_t mirrored; /* without draws: left and right exchanged */
	float mean[3], std[3];
};

/* out: (n, 3, size, size) = augment_bytes() of worker/augment.h.  A block an image. */
struct transform_args {
	struct batch_source source;
	const struct affine_table *affines; /* of this size; NULL without TrivialAugmentWide */
	uint8_t *out;
	uint8_t *moved; /* scratch: as large as out */
};

/* out: (n, size, size, 8) T: augment_bytes(), normalised in fp32, erased, and mixed as mixes[step] says; channels 3 to 7
 * are 0.  out_labels: (n).  partners, shares: (n), of softmax_ce. */
struct augment_args {
	struct batch_source source;
	const uint8_t *bytes;	 /* transform's result; NULL where augment_moves_only() the settings */
	const struct mix *mixes; /* (steps of the epoch); NULL: nothing is mixed (evaluation), and there are no partners */
	void *out;
	int32_t *out_labels, *out_partners;
	float *out_shares;
};

/* x: (rows, C), rows >= 2 -> the batch's statistics and the coefficients of bn_apply: scale = gamma * inv_std,
 * shift = beta - mean * scale; running = (1 - momentum) * running + momentum * batch, with the unbiased variance.  eps
 * and momentum: BN_EPS, BN_MOMENTUM.  All vectors (C). */
struct bn_stats_args {
	const void *x;
	uint32_t rows, c;
	const float *gamma, *beta;
	float *mean, *inv_std, *scale, *shift;
	float *running_mean, *running_var; /* moved */
	float eps, momentum;
	float *partials;
	uint32_t *tickets;
};

/* scale and shift of every layer from its running statistics. */
struct bn_layer {
	const float *gamma, *beta, *running_mean, *running_var; /* (C) */
	float *scale, *shift;
	uint32_t c;
};
struct bn_running_args {
	const struct bn_layer *layers; /* in device memory */
	uint32_t count;
	float eps;
};

/* y = x * scale + shift, + residual, or + residual * res_scale + res_shift (a projection's batch norm); then max(., 0)
 * with relu.  x, residual, y: (rows, C); y may be x or residual. */
struct bn_apply_args {
	const void *x;
	const float *scale, *shift;
	const void *residual;		    /* NULL: none */
	const float *res_scale, *res_shift; /* NULL: the residual as it is */
	void *y;
	uint32_t rows, c;
	uint32_t relu;
};

/* Where the gradient passed the ReLU: everywhere, where the stored output y > 0, or where x * scale + shift > 0 (the
 * same for a layer without residual, and a tensor less to read). */
enum bn_mask { BN_MASK_NONE, BN_MASK_Y, BN_MASK_X };

/* dz = dy_a [+ dy_b], 0 where masked; dbeta = sum of dz, dgamma = sum of dz * (x - mean) * inv_std, and the
 * coefficients (3, C) of dx = coef[0] * dz + coef[1] * x + coef[2].  dz is stored where it is asked for: it is the
 * gradient of the residual too.  x, y, dy_a, dy_b, dz: (rows, C); dz may be dy_a or dy_b. */
struct bn_backward_reduce_args {
	const void *dy_a, *dy_b; /* dy_b NULL: one gradient only */
	const void *x, *y;	 /* y only for BN_MASK_Y */
	uint32_t mask;
	const float *scale, *shift; /* for BN_MASK_X */
	const float *gamma, *mean, *inv_std;
	void *dz; /* or NULL */
	float *dgamma, *dbeta, *coef;
	uint32_t rows, c;
	float *partials;
	uint32_t *tickets;
};

/* dx = coef[0] * dz + coef[1] * x + coef[2] with dz made of dy_a, dy_b and the mask as above; where dz was stored it is
 * dy_a, with BN_MASK_NONE.  dx may be dy_a, dy_b or x. */
struct bn_backward_apply_args {
	const void *dy_a, *dy_b;
	const void *x, *y;
	uint32_t mask;
	const float *scale, *shift;
	const float *coef; /* (3, C) */
	void *dx;
	uint32_t rows, c;
};

/* 3x3, stride 2, padding 1: x (n, h, w, C) -> y (n, oh, ow, C) with oh = (h - 1) / 2 + 1, ow likewise.  index: of each
 * value of y, row * 3 + column in the window of the first of its largest values. */
struct maxpool_forward_args {
	const void *x;
	void *y;
	uint8_t *index; /* (n, oh, ow, C) */
	uint32_t n, h, w, c;
};
/* dx (n, h, w, C) = the sum of dy_a [+ dy_b] (n, oh, ow, C) over the windows that chose it. */
struct maxpool_backward_args {
	const void *dy_a, *dy_b; /* dy_b or NULL */
	const uint8_t *index;
	void *dx;
	uint32_t n, h, w, c;
};

/* x: (n, hw, C) -> y: (n, C), the mean */
struct avgpool_forward_args {
	const void *x;
	void *y;
	uint32_t n, hw, c;
};
/* dx (n, hw, C) = dy (n, C) / hw */
struct avgpool_backward_args {
	const void *dy;
	void *dx;
	uint32_t n, hw, c;
};

/* Softmax cross-entropy of logits + bias against targets (worker/mix.h), here with a share an image.
 * Adds (+=) to the sums of state; correct5 counts `labels`.  dlogits = (softmax - q) * scale / n, 0 in the
 * padding; dbias = its column sums.  dlogits may be logits. */
struct softmax_ce_args {
	struct step_state *state;
	const void *logits; /* (n, C), classes <= C */
	const float *bias;  /* (C); NULL: 0 */
	const int32_t *labels, *partners; /* (n); partners and shares: or NULL */
	const float *shares;		  /* (n) */
	float smoothing;
	void *dlogits; /* (n, C), or NULL (evaluation) with dbias */
	float *dbias;  /* (C) */
	uint32_t n, classes, c;
	float *partials;
	uint32_t *tickets;
	int32_t *predicted; /* NULL, or: of image step * batch + row the first class of the largest logit */
	struct step_result *results; /* (steps of the epoch), or NULL: the step's loss (=) */
	uint32_t batch;
	uint32_t mirrored; /* to state's mirror sums instead, without images */
};

/* log_p (n, C) = logarithms of the softmax of logits + bias; mean: of the mean of that softmax and exp(log_p).  0 in the
 * padding. */
struct log_softmax_args {
	const void *logits; /* (n, C), classes <= C */
	const float *bias;  /* (C) */
	float *log_p;
	uint32_t n, classes, c;
	uint32_t mean;
};

/* state->found_inf = 1 where a gradient is not finite; else untouched. */
struct grad_check_args {
	struct step_state *state;
	const void *weight_grads; /* T */
	const float *other_grads;
	uint32_t weights, others; /* elements, multiples of 8 */
};

/* state->clip = what clips all gradients, divided by the loss scale, to max_norm (worker/optim.h). */
struct grad_norm_args {
	struct step_state *state;
	const void *weight_grads; /* T */
	const float *other_grads;
	uint32_t weights, others; /* elements, multiples of 8 */
	float max_norm;
	struct step_result *results; /* (steps of the epoch), or NULL: the step's norm (=) */
	float *partials;
	uint32_t *tickets;
};

/* One step over both regions of the arenas (worker/optim.h), with gradients divided by the loss scale and multiplied by
 * clip; nothing where found_inf is set.  Then the scale's own step (worker/scaler.h), and found_inf = 0.  Regions: `weights` elements with
 * gradients in T and a copy in T of the new weights, then `others` (batch norm, bias) all in fp32.  Multiples of 8. */
struct optimizer_args {
	struct step_state *state;
	float *params, *slots[N_SLOTS]; /* (weights + others); of the slots those that the optimizer has */
	const void *weight_grads; /* (weights) T */
	const float *other_grads; /* (others) */
	void *copy;		  /* (weights) T, or NULL: the masters are used as they are */
	uint32_t weights, others;
	const struct optim_f32 *coefs; /* (OPTIM_SEGMENTS) */
	uint32_t ends[OPTIM_SEGMENTS]; /* elements before the end of each segment; multiples of 8 */
	enum optimizer optimizer;
	uint32_t growth_interval; /* 0: the loss scale is fixed */
	uint32_t *tickets;
};

/* Where the optimizer made its step: ema = keep * ema + (1 - keep) * value of parameters and of running statistics; after
 * the first step ema = value.  Counts: multiples of 8. */
struct ema_args {
	const struct step_state *state;
	const float *params, *running;
	float *ema_params, *ema_running;
	uint32_t param_count, running_count;
	double keep;
};

/* a and b change places; count: a multiple of 8 */
struct exchange_args {
	float *a, *b;
	uint32_t count;
};

/* to = from, rounded to T; count: a multiple of 8 */
struct cast_args {
	const float *from;
	void *to;
	uint32_t count;
};

union kernel_args {
	struct step_begin_args step_begin;
	struct transform_args transform;
	struct augment_args augment;
	struct bn_stats_args bn_stats;
	struct bn_running_args bn_running;
	struct bn_apply_args bn_apply;
	struct bn_backward_reduce_args bn_backward_reduce;
	struct bn_backward_apply_args bn_backward_apply;
	struct maxpool_forward_args maxpool_forward;
	struct maxpool_backward_args maxpool_backward;
	struct avgpool_forward_args avgpool_forward;
	struct avgpool_backward_args avgpool_backward;
	struct softmax_ce_args softmax_ce;
	struct log_softmax_args log_softmax;
	struct grad_check_args grad_check;
	struct grad_norm_args grad_norm;
	struct optimizer_args optimizer;
	struct ema_args ema;
	struct exchange_args exchange;
	struct cast_args cast;
};

#ifndef __CUDACC__
struct kernel_shape {
	uint32_t grid[3], block[3];
};

/* The name of the function in the module: "step_begin", "bn_apply_bf16". */
const char *kernel_name(enum kernel_id id, enum cell cell);
/* Bytes of a kernel's struct of arguments, which is its one parameter. */
size_t kernel_args_size(enum kernel_id id);
/* How a launch with these arguments must be shaped; the pointers in args do not matter. */
struct kernel_shape kernel_shape(enum kernel_id id, const union kernel_args *args);
/* The scratch such a launch needs: floats of partials, words of tickets. */
void kernel_scratch(enum kernel_id id, const union kernel_args *args, size_t *ret_partials, size_t *ret_tickets);

size_t cell_size(enum cell cell); /* bytes: 2, 2, 4 */
/* The module: an image for cuModuleLoadData with code for several architectures. */
extern const unsigned char kernel_fatbin[];
extern const size_t kernel_fatbin_size;
#endif
