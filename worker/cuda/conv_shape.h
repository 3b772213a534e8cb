/* A convolution of the step as cuDNN sees it: one direction of one layer, on NHWC activations and KRSC filters whose
 * channels are padded to a multiple of 8 (16 bytes of a 2-byte type: what tensor cores and 16-byte accesses want; the
 * three colours become 8, 100 classes 104).  The classifier is a 1x1 convolution of a 1x1 image. */
#pragma once

#include "kernel/kernels.h" /* enum cell: of activations, filters and their gradients; sums are fp32 */
#include "worker/model.h"

enum conv_pass { CONV_FPROP, CONV_DGRAD, CONV_WGRAD };

#define CHANNEL_STEP 8

struct conv_shape {
	enum conv_pass pass;
	enum cell cell;
	int n;	       /* images */
	int c, h, w;   /* input: (n, c, h, w), c padded */
	int k, kernel; /* filter: (k, c, kernel, kernel), k padded */
	int stride, pad;
};

static inline int channels_padded(int c)
{
	return (c + CHANNEL_STEP - 1) / CHANNEL_STEP * CHANNEL_STEP;
}

static inline int conv_out(int size, const struct conv_shape *s)
{
	return (size + 2 * s->pad - s->kernel) / s->stride + 1;
}

size_t cell_bytes(enum cell cell);
const char *cell_name(enum cell cell); /* "f32", "f16", "bf16" */
const char *conv_pass_name(enum conv_pass pass); /* "fprop", "dgrad", "wgrad" */

/* Operation `op` of the net (OP_CONV or OP_FC) on n images. */
struct conv_shape conv_shape_of(const struct net *net, const struct op *op, enum conv_pass pass, enum cell cell, int n);
/* Every convolution of a training step on n images, in the order of execution, without the input's gradient; caller
 * frees. */
struct conv_shape *conv_shapes_of_net(const struct net *net, enum cell cell, int n, size_t *ret_count);

/* Elements of (n, c, h, w), of (k, c, kernel, kernel) and of the output. */
size_t conv_x_count(const struct conv_shape *s);
size_t conv_w_count(const struct conv_shape *s);
size_t conv_y_count(const struct conv_shape *s);

/* "wgrad bf16 n128 c64 32x32 k64 3x3 stride1 pad1": the key of files and messages.  buf holds CONV_TEXT_MAX bytes;
 * returns buf. */
#define CONV_TEXT_MAX 128
char *conv_text(const struct conv_shape *s, char *buf);
bool conv_shape_eq(const struct conv_shape *a, const struct conv_shape *b);
