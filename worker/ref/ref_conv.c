/* Convolutions in double, see ref_ops.h: each image is unfolded into a matrix with one row per weight position
 * (channel, ky, kx) and one column per output position, 0 where the kernel hangs over the edge; then all three are
 * matrix products whose inner loop runs over a contiguous row.
 *
 * Order of the sums: over weight positions (fwd), output channels then weight positions (dgrad), images then output
 * positions (wgrad).  Threads share out whole rows of the result, so no sum is ever split. */
#include "ref_ops.h"

#include "common/base.h"

static size_t unfolded_rows(const struct conv_shape *s)
{
	return (size_t)s->ic * (size_t)(s->kernel * s->kernel);
}

static size_t positions(const struct conv_shape *s)
{
	return (size_t)s->oh * (size_t)s->ow;
}

/* y: (n) += a: (k) times x: (k, n); four rows at a time, in the same order as one by one. */
static void add_rows(size_t n, double *restrict y, size_t k, const double *restrict a, const double *restrict x)
{
	size_t i = 0;
	for (; i + 4 <= k; i += 4) {
		double a0 = a[i], a1 = a[i + 1], a2 = a[i + 2], a3 = a[i + 3];
		const double *x0 = x + i * n, *x1 = x0 + n, *x2 = x1 + n, *x3 = x2 + n;
		for (size_t j = 0; j < n; j++)
			y[j] = y[j] + a0 * x0[j] + a1 * x1[j] + a2 * x2[j] + a3 * x3[j];
	}
	for (; i < k; i++)
		for (size_t j = 0; j < n; j++)
			y[j] += a[i] * x[i * n + j];
}

/* Row r, column q of the unfolded image at x: its index in x, or -1 in the padding. */
static ptrdiff_t unfolded_index(const struct conv_shape *s, size_t r, int oy, int ox)
{
	int area = s->kernel * s->kernel, tap = (int)r % area, c = (int)r / area;
	int y = oy * s->stride - s->pad + tap / s->kernel, x = ox * s->stride - s->pad + tap % s->kernel;
	if (y < 0 || y >= s->ih || x < 0 || x >= s->iw)
		return -1;
	return ((ptrdiff_t)c * s->ih + y) * s->iw + x;
}

/* u: (rows, positions) = the unfolded x: (ic, ih, iw); transposed: (positions, rows) */
static void unfold(const struct conv_shape *s, const double *x, double *u, bool transposed)
{
	size_t rows = unfolded_rows(s), columns = positions(s);
	for (size_t r = 0; r < rows; r++)
		for (int oy = 0, q = 0; oy < s->oh; oy++)
			for (int ox = 0; ox < s->ow; ox++, q++) {
				ptrdiff_t from = unfolded_index(s, r, oy, ox);
				size_t to = transposed ? (size_t)q * rows + r : r * columns + (size_t)q;
				u[to] = from < 0 ? 0 : x[from];
			}
}

/* dx: (ic, ih, iw) += row r of du: (rows, positions) */
static void fold_row(const struct conv_shape *s, size_t r, const double *du, double *dx)
{
	for (int oy = 0; oy < s->oh; oy++)
		for (int ox = 0; ox < s->ow; ox++, du++) {
			ptrdiff_t to = unfolded_index(s, r, oy, ox);
			if (to >= 0)
				dx[to] += *du;
		}
}

void ref_conv_fwd(const struct conv_shape *s, const double *x, const double *w, double *y)
{
	size_t rows = unfolded_rows(s), columns = positions(s);
	size_t x_image = (size_t)s->ic * (size_t)(s->ih * s->iw);
#pragma omp parallel
	{
		double *u = xmalloc(rows * columns * sizeof(*u));
#pragma omp for
		for (int n = 0; n < s->n; n++) {
			unfold(s, x + (size_t)n * x_image, u, false);
			for (size_t o = 0; o < (size_t)s->oc; o++) {
				double *out = y + ((size_t)n * (size_t)s->oc + o) * columns;
				memset(out, 0, columns * sizeof(*out));
				add_rows(columns, out, rows, w + o * rows, u);
			}
		}
		free(u);
	}
}

/* wt: (columns, rows) = w: (rows, columns) */
static void transpose(size_t rows, size_t columns, const double *w, double *wt)
{
	for (size_t c = 0; c < columns; c++)
		for (size_t r = 0; r < rows; r++)
			wt[c * rows + r] = w[r * columns + c];
}

void ref_conv_dgrad(const struct conv_shape *s, const double *dy, const double *w, double *dx)
{
	size_t rows = unfolded_rows(s), columns = positions(s), channels = (size_t)s->oc;
	size_t x_image = (size_t)s->ic * (size_t)(s->ih * s->iw), y_image = channels * columns;
	double *wt = xmalloc(rows * channels * sizeof(*wt));
	transpose(channels, rows, w, wt);
#pragma omp parallel
	{
		double *du = xmalloc(columns * sizeof(*du)); /* one unfolded row */
#pragma omp for
		for (int n = 0; n < s->n; n++)
			for (size_t r = 0; r < rows; r++) {
				memset(du, 0, columns * sizeof(*du));
				add_rows(columns, du, channels, wt + r * channels, dy + (size_t)n * y_image);
				fold_row(s, r, du, dx + (size_t)n * x_image);
			}
		free(du);
	}
	free(wt);
}

void ref_conv_wgrad(const struct conv_shape *s, const double *x, const double *dy, double *dw)
{
	size_t rows = unfolded_rows(s), columns = positions(s), channels = (size_t)s->oc;
	size_t x_image = (size_t)s->ic * (size_t)(s->ih * s->iw);
	double *u = xmalloc(rows * columns * sizeof(*u));
	memset(dw, 0, channels * rows * sizeof(*dw));
	for (size_t n = 0; n < (size_t)s->n; n++) {
		unfold(s, x + n * x_image, u, true);
#pragma omp parallel for
		for (size_t o = 0; o < channels; o++)
			add_rows(rows, dw + o * rows, columns, dy + (n * channels + o) * columns, u);
	}
	free(u);
}
