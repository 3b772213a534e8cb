/* Convolutions in double, see ref_ops.h: each image is unfolded into a matrix with one row per weight position
 * (channel, ky, kx) and one column per output position, 0 where the kernel hangs over the edge; then all three are
 * matrix products whose inner loop runs over a contiguous row.
 *
 * Order of the sums: over weight positions (fwd), output channels then weight positions (dgrad), images then output
 * positions (wgrad).  Threads share out whole rows of the result, so no sum is ever split.  Tiles
 * of the result stay in registers, and the inner loop is compiled for several instruction sets: neither changes an order. */
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

#define CLONES __attribute__((target_clones("avx2", "default")))
#define TILE   8	    /* columns */
#define ROWS   4	    /* of a tile */
#define SHARE  ((size_t)32) /* channels that a thread takes at a time */

typedef double lanes __attribute__((vector_size(32), aligned(8)));

/* y: (ROWS, TILE) += a: (ROWS) rows of (k) times x: (k, TILE) */
CLONES static void add_tile(double *y, size_t k, const double *const a[ROWS], const double *x)
{
	const double *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3];
	lanes *out = (lanes *)y;
	lanes y0 = out[0], z0 = out[1], y1 = out[2], z1 = out[3], y2 = out[4], z2 = out[5], y3 = out[6], z3 = out[7];
	for (size_t i = 0; i < k; i++, x += TILE) {
		lanes low = ((const lanes *)x)[0], high = ((const lanes *)x)[1];
		y0 += a0[i] * low;
		z0 += a0[i] * high;
		y1 += a1[i] * low;
		z1 += a1[i] * high;
		y2 += a2[i] * low;
		z2 += a2[i] * high;
		y3 += a3[i] * low;
		z3 += a3[i] * high;
	}
	out[0] = y0, out[1] = z0, out[2] = y1, out[3] = z1, out[4] = y2, out[5] = z2, out[6] = y3, out[7] = z3;
}

/* to: (rows, TILE) = columns [first, first + width) of x: (rows, n), zeros behind */
static void pack(double *to, size_t rows, const double *x, size_t n, size_t first, size_t width)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < TILE; j++)
			to[i * TILE + j] = j < width ? x[i * n + first + j] : 0;
}

/* y: (m, n) += a: (m, k) times x: (k, n) */
static void add_product(size_t m, size_t n, double *y, size_t k, const double *a, const double *x)
{
	double *panel = xmalloc(k * TILE * sizeof(*panel));
	for (size_t first = 0; first < n; first += TILE) {
		size_t width = MIN((size_t)TILE, n - first);
		pack(panel, k, x, n, first, width);
		for (size_t i = 0; i < m; i += ROWS) {
			double tile[ROWS * TILE] = {0};
			const double *rows[ROWS]; /* past the end of m: any, the result is not wanted */
			for (size_t r = 0; r < ROWS; r++)
				rows[r] = a + MIN(i + r, m - 1) * k;
			for (size_t r = 0; i + r < m && r < ROWS; r++)
				memcpy(tile + r * TILE, y + (i + r) * n + first, width * sizeof(double));
			add_tile(tile, k, rows, panel);
			for (size_t r = 0; i + r < m && r < ROWS; r++)
				memcpy(y + (i + r) * n + first, tile + r * TILE, width * sizeof(double));
		}
	}
	free(panel);
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
			double *out = y + (size_t)n * (size_t)s->oc * columns;
			unfold(s, x + (size_t)n * x_image, u, false);
			memset(out, 0, (size_t)s->oc * columns * sizeof(*out));
			add_product((size_t)s->oc, columns, out, rows, w, u);
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
		double *du = xmalloc(rows * columns * sizeof(*du)); /* unfolded */
#pragma omp for
		for (int n = 0; n < s->n; n++) {
			memset(du, 0, rows * columns * sizeof(*du));
			add_product(rows, columns, du, channels, wt, dy + (size_t)n * y_image);
			for (size_t r = 0; r < rows; r++)
				fold_row(s, r, du + r * columns, dx + (size_t)n * x_image);
		}
		free(du);
	}
	free(wt);
}

void ref_conv_wgrad(const struct conv_shape *s, const double *x, const double *dy, double *dw)
{
	size_t rows = unfolded_rows(s), columns = positions(s), channels = (size_t)s->oc;
	size_t x_image = (size_t)s->ic * (size_t)(s->ih * s->iw), y_image = channels * columns;
	double *u = xmalloc(rows * columns * sizeof(*u));
	memset(dw, 0, channels * rows * sizeof(*dw));
	for (size_t n = 0; n < (size_t)s->n; n++) {
		unfold(s, x + n * x_image, u, true);
#pragma omp parallel for
		for (size_t o = 0; o < channels; o += SHARE)
			add_product(MIN(SHARE, channels - o), rows, dw + o * rows, columns, dy + n * y_image + o * columns, u);
	}
	free(u);
}
