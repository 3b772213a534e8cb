/* Elementwise loops.  The inner ones are compiled for several instruction sets and chosen when the program is loaded;
 * without fused multiply-add (the meson file says so), so that all of them give the same bits. */
#include "kernels.h"

#include "bf16.h"
#include "worker/optim_loop.h"

#include <math.h>

#define CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
#define LANES  16
#define CHUNK  ((size_t)16384) /* cells a thread takes at a time: fits in its L1 and L2 caches */

CLONES static void add_relu_f32(float *out, const float *a, const float *b, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++) {
		float sum = a[i] + b[i];
		out[i] = sum < 0 ? 0 : sum;
	}
}

CLONES static void add_relu_bf16(uint16_t *out, const uint16_t *a, const uint16_t *b, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++) {
		float sum = from_bf16(a[i]) + from_bf16(b[i]);
		out[i] = to_bf16(sum < 0 ? 0 : sum);
	}
}

CLONES static void relu_mask_f32(float *grad, const float *out, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		grad[i] = out[i] > 0 ? grad[i] : 0;
}

/* A bf16 is above 0 exactly when it is, as a signed integer, above 0 and not a NaN. */
CLONES static void relu_mask_bf16(uint16_t *grad, const uint16_t *out, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		grad[i] = (int16_t)out[i] > 0 && out[i] <= 0x7f80 ? grad[i] : 0;
}

CLONES static void add_f32(float *sum, const float *term, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		sum[i] += term[i];
}

CLONES static void add_bf16(uint16_t *sum, const uint16_t *term, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		sum[i] = to_bf16(from_bf16(sum[i]) + from_bf16(term[i]));
}

CLONES static void sgd_f32(const struct optim_f32 *c, float *params, float *buf, const float *grads, float scale, size_t n)
{
	sgd_update_f32(n, params, buf, grads, scale, c);
}

CLONES static void adam_f32(const struct optim_f32 *c, float *params, float *avg, float *avg_sq, const float *grads, float scale,
			    size_t n)
{
	adam_update_f32(n, params, avg, avg_sq, grads, scale, c);
}

CLONES static void ema_f32(float *ema, const float *values, size_t n, float keep, float take)
{
	ema_update_f32(n, ema, values, keep, take);
}

CLONES static void swap_f32(float *a, float *b, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++) {
		float was = a[i];
		a[i] = b[i];
		b[i] = was;
	}
}

/* In LANES interleaved partial sums: the same order on every instruction set. */
CLONES static double squares(const float *v, size_t n)
{
	double lanes[LANES] = {0}, sum = 0;
	for (size_t i = 0; i < n; i += LANES)
		for (size_t l = 0; l < LANES; l++) {
			double x = i + l < n ? (double)v[i + l] : 0;
			lanes[l] += x * x;
		}
	for (size_t l = 0; l < LANES; l++)
		sum += lanes[l];
	return sum;
}

void cells_add_relu(enum cell cell, void *out, const void *a, const void *b, size_t n)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t m = MIN(CHUNK, n - i);
		if (cell == CELL_F32)
			add_relu_f32((float *)out + i, (const float *)a + i, (const float *)b + i, m);
		else
			add_relu_bf16((uint16_t *)out + i, (const uint16_t *)a + i, (const uint16_t *)b + i, m);
	}
}

void cells_relu_mask(enum cell cell, void *grad, const void *out, size_t n)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t m = MIN(CHUNK, n - i);
		if (cell == CELL_F32)
			relu_mask_f32((float *)grad + i, (const float *)out + i, m);
		else
			relu_mask_bf16((uint16_t *)grad + i, (const uint16_t *)out + i, m);
	}
}

void cells_add(enum cell cell, void *sum, const void *term, size_t n)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t m = MIN(CHUNK, n - i);
		if (cell == CELL_F32)
			add_f32((float *)sum + i, (const float *)term + i, m);
		else
			add_bf16((uint16_t *)sum + i, (const uint16_t *)term + i, m);
	}
}

void optim_step(enum optimizer optimizer, const struct optim_f32 *coefs, float grad_scale, const struct optim_spans *spans,
		const struct optim_arenas *arenas)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < spans->n; i++) {
		size_t at = spans->items[i].offset, n = spans->items[i].count;
		const struct optim_f32 *c = &coefs[spans->items[i].kind];
		float *params = arenas->params + at, *first = arenas->slots[0] + at;
		if (optimizer == OPTIMIZER_SGD)
			sgd_f32(c, params, first, arenas->grads + at, grad_scale, n);
		else
			adam_f32(c, params, first, arenas->slots[1] + at, arenas->grads + at, grad_scale, n);
	}
}

double optim_grad_norm(const struct optim_spans *spans, const float *grads)
{
	double sum = 0;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < spans->n; i++)
		spans->partials[i] = squares(grads + spans->items[i].offset, spans->items[i].count);
	for (size_t i = 0; i < spans->n; i++)
		sum += spans->partials[i];
	return sqrt(sum);
}

void optim_ema(float *ema, const float *values, size_t n, float keep, float take)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += CHUNK)
		ema_f32(ema + i, values + i, MIN(CHUNK, n - i), keep, take);
}

void floats_swap(float *a, float *b, size_t n)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += CHUNK)
		swap_f32(a + i, b + i, MIN(CHUNK, n - i));
}
