/* Execution plans of single convolutions: the forward product, the gradient of the input (dgrad) and of the filter
 * (wgrad), each a cuDNN graph of one operation on NHWC and KRSC arrays, sums in fp32, `=` (never `+=`).
 *
 * What cuDNN may choose is bounded by struct conv_limits; among the rest its heuristics (mode A, then FALLBACK) give the
 * order.  The first plan is the same in every run; which is fastest only a device can tell (conv_tune.h).
 *
 * No device is needed to make plans: a target may be a description (the JSON of cuDNN's DEVICEPROP descriptor), so that
 * tests check plans for GPUs that are not there.  Only conv_call_run() computes.
 *
 * Life: target -> op -> plans -> calls; free in the opposite order.  One thread at a time per op and what hangs on it. */
#pragma once

#include "conv_choice.h"
#include "conv_shape.h"
#include "cudnn.h"

struct conv_target; /* the GPU that plans are made for */

/* CUDA device number `device` of this process; the driver must be running. */
int conv_target_new(struct conv_target **ret, const struct cudnn *cudnn, int device, struct err *err);
/* A GPU by its description; name (a file) is for messages. */
int conv_target_new_described(struct conv_target **ret, const struct cudnn *cudnn, const char *json, const char *name,
			      struct err *err);
/* Description as cuDNN sees the GPU, for tests/cuda/devices; caller frees. */
int conv_target_describe(const struct conv_target *target, char **ret_json, struct err *err);
void conv_target_free(struct conv_target *target);

struct conv_limits {
	size_t workspace_bytes; /* at most */
	bool deterministic;	/* none that may sum in another order each time */
	bool tensor_cores;	/* false: none that uses them; fp32 data then keep their 24 bits (else TF32: 11) */
};
#define CONV_WORKSPACE_BYTES (64ul << 20)

struct conv_op; /* the graph of one convolution for one target */
int conv_op_new(struct conv_op **ret, const struct conv_target *target, const struct conv_shape *shape, struct err *err);
void conv_op_free(struct conv_op *op);
const struct conv_shape *conv_op_shape(const struct conv_op *op);

struct conv_plan {
	const struct conv_op *op;
	struct conv_choice choice; /* engine, knobs, workspace */
	bool tensor_cores;
	bool deterministic;
	cudnnBackendDescriptor_t config, plan;
};
/* Up to max plans within limits, in the heuristics' order, those with tensor cores before those without; ret holds max.  Engines that cuDNN compiles at run time
 * are left out (a second each, and they need NVRTC).  Returns how many, or -ENOTSUP when there is none: the sentence
 * names the convolution, the device and the reason of the last one refused. */
int conv_plans_find(const struct conv_op *op, const struct conv_limits *limits, int max, struct conv_plan **ret,
		    struct err *err);
/* The plan of an earlier choice.  -ENOTSUP: this cuDNN does not know it any more, or it is not within limits. */
int conv_plan_new(struct conv_plan **ret, const struct conv_op *op, const struct conv_choice *choice,
		  const struct conv_limits *limits, struct err *err);
void conv_plan_free(struct conv_plan *plan);
void conv_plans_free(struct conv_plan **plans, int n);

/* A plan with its arrays: what a step executes.  x, w, y are device pointers, 16-byte aligned, and never change; for
 * CONV_DGRAD x is written, for CONV_WGRAD w.  workspace: choice.workspace bytes, may be shared by calls of one stream. */
struct conv_call;
int conv_call_new(struct conv_call **ret, const struct conv_plan *plan, void *x, void *w, void *y, void *workspace,
		  struct err *err);
void conv_call_free(struct conv_call *call);
/* Into the handle's stream; also while it is captured.  Allocates nothing. */
int conv_call_run(const struct conv_call *call, cudnnHandle_t handle, struct err *err);
