/* Elementwise loops over whole tensors, whatever their layout: n counts cells, padding included (padding is 0 and stays
 * 0).  Parallel over the calling thread's OpenMP team; the result does not depend on its size.  bf16 is computed in
 * fp32 and rounded to nearest even; NaN stays NaN, so that a diverged net is seen in its loss. */
#pragma once

#include "dnn.h"
#include "worker/optim.h"

/* out = max(a + b, 0); out may be a or b. */
void cells_add_relu(enum cell cell, void *out, const void *a, const void *b, size_t n);
/* grad = out > 0 ? grad : 0: ReLU's backward, in place. */
void cells_relu_mask(enum cell cell, void *grad, const void *out, size_t n);
/* sum += term: where two gradients join. */
void cells_add(enum cell cell, void *sum, const void *term, size_t n);

/* One step of SGD on n parameters. */
void sgd_step(const struct sgd_f32 *sgd, float *params, float *momentum, const float *grads, size_t n);
