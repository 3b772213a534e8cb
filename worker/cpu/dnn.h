/* What this backend asks of oneDNN: convolutions, batch norms and reorders on one CPU, each a `struct prim`.
 *
 * Only dnn.c and what stands behind dnn_api.h, dnn_v2.c or dnn_v3.c, know dnnl.h: another major version of oneDNN is
 * another such file.  It must be a oneDNN that computes with OpenMP threads.
 * All shapes are logical (N, C, H, W) and (O, I, kh, kw), whatever lies in memory.
 *
 * Life of a primitive: prim_conv_*() or another maker -> prim_layout() of each argument -> prim_bind() of each argument
 * that has a layout -> prim_run()... -> prim_free().  The OpenMP thread count of the calling thread must be the same in
 * the maker and in prim_run(). */
#pragma once

#include "common/base.h"

enum cell { CELL_F32, CELL_BF16 };

static inline size_t cell_size(enum cell cell)
{
	return cell == CELL_F32 ? sizeof(float) : sizeof(uint16_t);
}

void dnn_version(char *buf, size_t size); /* "2.6.3" */
/* The processor has bf16 instructions that oneDNN uses (AVX512-BF16 or AMX). */
bool dnn_has_bf16(void);

/* The processor as oneDNN sees it, and an in-order stream on it. */
struct dnn;
int dnn_new(struct dnn **ret, struct err *err);
void dnn_free(struct dnn *dnn);

/* How a tensor lies in memory: shape, cells, order. */
struct layout;
struct layout *layout_plain(enum cell cell, int ndim, const int *dims); /* row-major: NCHW, OIHW or C */
struct layout *layout_copy(const struct layout *layout);
bool layout_equal(const struct layout *a, const struct layout *b);
size_t layout_bytes(const struct layout *layout); /* with padding */
void layout_free(struct layout *layout);	  /* accepts NULL */
static inline void cleanup_layout(struct layout **layout)
{
	layout_free(*layout);
}
#define autolayout __attribute__((cleanup(cleanup_layout)))

enum prim_arg {
	ARG_SRC,
	ARG_WEIGHTS,
	ARG_DST,
	ARG_DIFF_SRC,
	ARG_DIFF_WEIGHTS,
	ARG_DIFF_DST,
	ARG_MEAN,
	ARG_VARIANCE,
	ARG_SCALE,
	ARG_SHIFT,
	ARG_DIFF_SCALE,
	ARG_DIFF_SHIFT,
	ARG_WORKSPACE,
	ARG_SCRATCH,
	N_PRIM_ARGS
};

struct dnn_conv {
	int n, ci, hi, wi; /* (N, ci, hi, wi) -> (N, co, ho, wo) */
	int co, ho, wo;
	int kernel, stride, pad;
	enum cell cell;	  /* of activations and weights; weight gradients are f32 */
	bool direct;	  /* else oneDNN may choose Winograd */
};

struct dnn_bn {
	int channels;
	bool relu;	  /* ReLU behind it, fused */
	bool global_stats; /* mean and variance are read, not computed */
};

struct prim;
/* Convolutions choose every layout themselves.  The backward ones take the forward one as a hint. */
int prim_conv_forward(struct dnn *dnn, const struct dnn_conv *shape, struct prim **ret, struct err *err);
int prim_conv_dgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err);
int prim_conv_wgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err);
/* Batch norms keep the layout of data.  Statistics, scale and shift are f32 (C); the variance is the biased one. */
int prim_bn_forward(struct dnn *dnn, const struct dnn_bn *shape, const struct layout *data, struct prim **ret,
		    struct err *err);
int prim_bn_backward(struct dnn *dnn, const struct dnn_bn *shape, const struct layout *data,
		     const struct prim *forward, struct prim **ret, struct err *err);
/* ARG_SRC in one layout to ARG_DST in another, of the same shape; converts cells too. */
int prim_reorder(struct dnn *dnn, const struct layout *from, const struct layout *to, struct prim **ret,
		 struct err *err);
void prim_free(struct prim *prim); /* accepts NULL */

/* What the primitive wants of an argument, borrowed; NULL: it has no such argument. */
const struct layout *prim_layout(const struct prim *prim, enum prim_arg arg);
/* oneDNN's name of the implementation, e.g. "jit:avx512_core_bf16". */
const char *prim_name(const struct prim *prim);
/* Says where an argument lies; again to move it. */
void prim_bind(struct prim *prim, enum prim_arg arg, void *data);
int prim_run(struct prim *prim, struct err *err);
