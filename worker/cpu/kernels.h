/* Elementwise loops over whole tensors, whatever their layout: n counts cells, padding included (padding is 0 and stays
 * 0).  Parallel over the calling thread's OpenMP team; the result does not depend on its size.  bf16 is computed in
 * fp32 and rounded to nearest even; NaN stays NaN, so that a diverged net is seen in its loss. */
#pragma once

#include "dnn.h"
#include "worker/param_spans.h"

/* out = max(a + b, 0); out may be a or b. */
void cells_add_relu(enum cell cell, void *out, const void *a, const void *b, size_t n);
/* grad = out > 0 ? grad : 0: ReLU's backward, in place. */
void cells_relu_mask(enum cell cell, void *grad, const void *out, size_t n);
/* sum += term: where two gradients join. */
void cells_add(enum cell cell, void *sum, const void *term, size_t n);

#define OPTIM_CHUNK ((size_t)16384) /* parameters a thread takes at a time: fits in its caches */

struct optim_arenas { /* of all parameters */
	float *params, *grads, *slots[N_SLOTS];
};
struct optim_spans { /* spans of all parameters (param_spans.h), none longer than OPTIM_CHUNK */
	const struct param_span *items;
	size_t n;
	double *partials; /* (n): scratch */
};
/* One step with coefficients coefs[kind]; gradients are multiplied by grad_scale first. */
void optim_step(enum optimizer optimizer, const struct optim_f32 *coefs, float grad_scale, const struct optim_spans *spans,
		const struct optim_arenas *arenas);
/* Euclidean norm of all gradients. */
double optim_grad_norm(const struct optim_spans *spans, const float *grads);
/* ema = keep * ema + take * values; n of them */
void optim_ema(float *ema, const float *values, size_t n, float keep, float take);
void floats_swap(float *a, float *b, size_t n);
