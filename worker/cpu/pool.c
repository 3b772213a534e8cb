/* See pool.h. */
#include "pool.h"

#include "bf16.h"

#include <math.h>

static size_t in_plane(const struct pool *p)
{
	return (size_t)p->ih * (size_t)p->iw;
}

static size_t out_plane(const struct pool *p)
{
	return (size_t)p->oh * (size_t)p->ow;
}

/* The tap of the maximum in the window of output (oy, ox); x: (ih, iw). */
static uint8_t window_max(const struct pool *p, const float *x, int oy, int ox)
{
	int top = oy * p->stride - p->pad, left = ox * p->stride - p->pad;
	int ky0 = MAX(0, -top), kx0 = MAX(0, -left);
	int ky1 = MIN(p->kernel, p->ih - top), kx1 = MIN(p->kernel, p->iw - left);
	float best = -INFINITY;
	int tap = ky0 * p->kernel + kx0;
	for (int ky = ky0; ky < ky1; ky++)
		for (int kx = kx0; kx < kx1; kx++) {
			float v = x[(top + ky) * p->iw + left + kx];
			if (v > best || isnan(v)) {
				best = v;
				tap = ky * p->kernel + kx;
			}
		}
	return (uint8_t)tap;
}

/* Index in the plane of a tap of output (oy, ox). */
static int tap_index(const struct pool *p, uint8_t tap, int oy, int ox)
{
	int y = oy * p->stride - p->pad + tap / p->kernel, x = ox * p->stride - p->pad + tap % p->kernel;
	return y * p->iw + x;
}

static void plane_forward(const struct pool *p, float *out, uint8_t *taps, const float *in)
{
	for (int oy = 0; oy < p->oh; oy++)
		for (int ox = 0; ox < p->ow; ox++) {
			*taps = window_max(p, in, oy, ox);
			*out++ = in[tap_index(p, *taps++, oy, ox)];
		}
}

static void plane_backward(const struct pool *p, float *din, const float *dout, const uint8_t *taps)
{
	memset(din, 0, in_plane(p) * sizeof(*din));
	for (int oy = 0; oy < p->oh; oy++)
		for (int ox = 0; ox < p->ow; ox++)
			din[tap_index(p, *taps++, oy, ox)] += *dout++;
}

static void widen(float *to, const uint16_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from_bf16(from[i]);
}

static void narrow(uint16_t *to, const float *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = to_bf16(from[i]);
}

void pool_forward(enum cell cell, const struct pool *p, void *out, uint8_t *taps, const void *in)
{
	size_t from = in_plane(p), to = out_plane(p);
#pragma omp parallel
	{
		autofree float *wide = cell == CELL_BF16 ? xmalloc((from + to) * sizeof(*wide)) : NULL;
#pragma omp for schedule(static)
		for (int i = 0; i < p->planes; i++) {
			size_t plane = (size_t)i;
			if (cell == CELL_F32) {
				plane_forward(p, (float *)out + plane * to, taps + plane * to,
					      (const float *)in + plane * from);
				continue;
			}
			widen(wide, (const uint16_t *)in + plane * from, from);
			plane_forward(p, wide + from, taps + plane * to, wide);
			narrow((uint16_t *)out + plane * to, wide + from, to);
		}
	}
}

void pool_backward(enum cell cell, const struct pool *p, void *din, const void *dout, const uint8_t *taps)
{
	size_t to = in_plane(p), from = out_plane(p);
#pragma omp parallel
	{
		autofree float *wide = cell == CELL_BF16 ? xmalloc((from + to) * sizeof(*wide)) : NULL;
#pragma omp for schedule(static)
		for (int i = 0; i < p->planes; i++) {
			size_t plane = (size_t)i;
			if (cell == CELL_F32) {
				plane_backward(p, (float *)din + plane * to, (const float *)dout + plane * from,
					       taps + plane * from);
				continue;
			}
			widen(wide, (const uint16_t *)dout + plane * from, from);
			plane_backward(p, wide + from, wide, taps + plane * from);
			narrow((uint16_t *)din + plane * to, wide + from, to);
		}
	}
}
