/* Max pooling on planes in plain row-major order, parallel over the calling thread's OpenMP team.
 *
 * A loop of this project, not a primitive: torch's rules are kept whatever the version of oneDNN (the first of equal
 * maxima gets the gradient, a NaN is larger than any number), and it takes a few thousandths of a step. */
#pragma once

#include "dnn.h"

struct pool {
	int planes;   /* images times channels */
	int ih, iw;   /* in: (planes, ih, iw) */
	int oh, ow;   /* out: (planes, oh, ow) */
	int kernel, stride, pad; /* kernel: at most 16; the padding is never the maximum */
};

/* out = the maximum of each window; taps: (planes, oh, ow), where in its window (row * kernel + column) it was. */
void pool_forward(enum cell cell, const struct pool *pool, void *out, uint8_t *taps, const void *in);
/* din = for each input the sum of dout over the windows whose maximum it was; summed in fp32. */
void pool_backward(enum cell cell, const struct pool *pool, void *din, const void *dout, const uint8_t *taps);
