/* Every operation of the cpu backend alone, forward and backward, against ref's: in the layouts that the convolutions
 * choose, fp32 direct, fp32 with Winograd, bf16.
 *
 * Inputs below 2 that both sides hold exactly: multiples of 1/64 for bf16, else with all of a float's digits, since sums
 * of small whole numbers would not round at all.  At the end the worst of each kind of result is printed beside its
 * limit: docs/parity.md's table. */
#include "bf16.h"
#include "parity.h"
#include "tests/unit/cmocka_all.h"

#include "worker/cpu/dnn.h"
#include "worker/cpu/head.h"
#include "worker/cpu/kernels.h"
#include "worker/ref/ref_ops.h"

#include <math.h>

/* Allowed |cpu - ref| / |ref| (Euclidean).  bf16 keeps 8 bits: rounding a result alone is off by 1.6e-3. */
enum result { CONV_FORWARD, CONV_DGRAD, CONV_WGRAD, BN_FORWARD, BN_STATISTICS, BN_DGRAD, BN_WGRAD, N_RESULTS };
enum how { FP32, WINOGRAD, BF16, N_HOWS };
static const double limits[N_RESULTS][N_HOWS] = {
	/*		    fp32  Winograd  bf16 */
	[CONV_FORWARD] = {3e-6, 3e-5, 2.5e-3},
	[CONV_DGRAD] = {3e-6, 3e-5, 2.5e-3},
	[CONV_WGRAD] = {3e-6, 3e-5, 1e-5}, /* weight gradients are fp32 */
	[BN_FORWARD] = {2e-6, 2e-6, 2.5e-3},
	[BN_STATISTICS] = {2e-6, 2e-6, 2e-6},
	[BN_DGRAD] = {2e-6, 2e-6, 2.5e-3},
	[BN_WGRAD] = {2e-6, 2e-6, 1e-5},
};
static const char *const result_names[N_RESULTS] = {
	[CONV_FORWARD] = "convolution forward",
	[CONV_DGRAD] = "convolution, gradient of the input",
	[CONV_WGRAD] = "convolution, gradient of the weights",
	[BN_FORWARD] = "batch norm (and ReLU) forward",
	[BN_STATISTICS] = "batch norm, mean and variance",
	[BN_DGRAD] = "batch norm (and ReLU), gradient of the input",
	[BN_WGRAD] = "batch norm, gradients of scale and shift",
};
static const char *const how_names[N_HOWS] = {"fp32", "Winograd", "bf16"};
static double worst[N_RESULTS][N_HOWS]; /* 0: not run */

static struct dnn *dnn;

static void check(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

static void note(enum result result, enum how how, double d)
{
	worst[result][how] = fmax(worst[result][how], d);
	assert_close(result_names[result], d, limits[result][how]);
}

static void print_table(void)
{
	for (int i = 0; i < N_RESULTS; i++)
		for (int how = 0; how < N_HOWS; how++)
			if (worst[i][how] > 0)
				report(result_names[i], how_names[how], worst[i][how], limits[i][how]);
}

static double *values(size_t n, uint32_t seed, enum how how)
{
	double *v = xcalloc(n, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		v[i] = how == BF16 ? ((int)(seed >> 24) - 128) / 64.0 : (float)((int32_t)seed * 0x1p-30);
	}
	return v;
}

static float *to_float(const double *v, size_t n)
{
	float *f = xcalloc(n, sizeof(*f));
	for (size_t i = 0; i < n; i++)
		f[i] = (float)v[i];
	return f;
}

/* A reorder, made, run and freed. */
static void convert(const struct layout *from, void *src, const struct layout *to, void *dst)
{
	struct err err = {0};
	struct prim *prim;
	check(prim_reorder(dnn, from, to, &prim, &err), &err);
	prim_bind(prim, ARG_SRC, src);
	prim_bind(prim, ARG_DST, dst);
	autofree void *scratch = NULL;
	if (prim_layout(prim, ARG_SCRATCH)) {
		scratch = xmalloc(layout_bytes(prim_layout(prim, ARG_SCRATCH)));
		prim_bind(prim, ARG_SCRATCH, scratch);
	}
	check(prim_run(prim, &err), &err);
	prim_free(prim);
}

struct bench { /* a primitive with memory for each of its arguments */
	struct prim *prim;
	void *data[N_PRIM_ARGS];
};

static void bench_init(struct bench *bench, struct prim *prim)
{
	*bench = (struct bench){.prim = prim};
	for (int i = 0; i < N_PRIM_ARGS; i++) {
		const struct layout *layout = prim_layout(prim, (enum prim_arg)i);
		if (!layout)
			continue;
		size_t bytes = (layout_bytes(layout) + 63) / 64 * 64;
		bench->data[i] = aligned_alloc(64, bytes);
		memset(bench->data[i], 0xff, bytes);
		prim_bind(prim, (enum prim_arg)i, bench->data[i]);
	}
}

static void bench_run(struct bench *bench)
{
	struct err err = {0};
	check(prim_run(bench->prim, &err), &err);
}

static void bench_fini(struct bench *bench)
{
	prim_free(bench->prim);
	for (int i = 0; i < N_PRIM_ARGS; i++)
		free(bench->data[i]);
}

static void bench_set(struct bench *bench, enum prim_arg arg, const int *dims, const double *v)
{
	size_t n = (size_t)dims[0] * (size_t)dims[1] * (size_t)dims[2] * (size_t)dims[3];
	autofree float *f = to_float(v, n);
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, dims);
	convert(plain, f, prim_layout(bench->prim, arg), bench->data[arg]);
}

static void bench_set_vector(struct bench *bench, enum prim_arg arg, int n, const double *v)
{
	for (int i = 0; i < n; i++)
		((float *)bench->data[arg])[i] = (float)v[i];
}

static void bench_compare(struct bench *bench, enum prim_arg arg, const int *dims, const double *want, enum result result,
			  enum how how)
{
	size_t n = (size_t)dims[0] * (size_t)dims[1] * (size_t)dims[2] * (size_t)dims[3];
	autofree float *f = xcalloc(n, sizeof(*f));
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, dims);
	convert(prim_layout(bench->prim, arg), bench->data[arg], plain, f);
	note(result, how, distance(f, want, n));
}

/* --- convolution --- */

struct conv_case {
	int n, ci, size, co, kernel, stride;
};

static const struct conv_case conv_cases[] = {
	{2, 3, 32, 64, 7, 2},  {2, 3, 32, 64, 3, 1},  {3, 16, 9, 32, 3, 2},	{2, 64, 16, 64, 3, 1}, {1, 12, 7, 20, 3, 1},
	{5, 32, 8, 64, 1, 1},  {2, 64, 16, 128, 1, 2},	{2, 24, 11, 8, 1, 2},  {4, 128, 8, 128, 3, 1},
	{2, 256, 4, 256, 3, 1}, {1, 64, 8, 64, 3, 2},
};

static void compare_conv(const struct conv_case *c, enum how how)
{
	struct err err = {0};
	int pad = c->kernel / 2, out = (c->size + 2 * pad - c->kernel) / c->stride + 1;
	struct conv_shape rs = {c->n, c->ci, c->size, c->size, c->co, out, out, c->kernel, c->stride, pad};
	struct dnn_conv s = {.n = c->n, .ci = c->ci, .hi = c->size, .wi = c->size, .co = c->co, .ho = out, .wo = out,
			     .kernel = c->kernel, .stride = c->stride, .pad = pad,
			     .cell = how == BF16 ? CELL_BF16 : CELL_F32, .direct = how != WINOGRAD};
	int x_dims[] = {c->n, c->ci, c->size, c->size}, y_dims[] = {c->n, c->co, out, out};
	int w_dims[] = {c->co, c->ci, c->kernel, c->kernel};
	size_t nx = (size_t)c->n * (size_t)c->ci * (size_t)(c->size * c->size);
	size_t ny = (size_t)c->n * (size_t)c->co * (size_t)(out * out);
	size_t nw = (size_t)c->co * (size_t)c->ci * (size_t)(c->kernel * c->kernel);
	autofree double *x = values(nx, 1, how), *w = values(nw, 2, how), *dy = values(ny, 3, how);
	autofree double *y = xcalloc(ny, sizeof(double)), *dx = xcalloc(nx, sizeof(double));
	autofree double *dw = xcalloc(nw, sizeof(double));
	ref_conv_fwd(&rs, x, w, y);
	ref_conv_dgrad(&rs, dy, w, dx);
	ref_conv_wgrad(&rs, x, dy, dw);

	struct prim *prim;
	struct bench forward, dgrad, wgrad;
	check(prim_conv_forward(dnn, &s, &prim, &err), &err);
	bench_init(&forward, prim);
	check(prim_conv_dgrad(dnn, &s, forward.prim, &prim, &err), &err);
	bench_init(&dgrad, prim);
	check(prim_conv_wgrad(dnn, &s, forward.prim, &prim, &err), &err);
	bench_init(&wgrad, prim);
	print_message("# %s: n %d ci %d %dx%d co %d k %d s %d: %s | %s | %s\n", how_names[how], c->n, c->ci, c->size,
		      c->size, c->co, c->kernel, c->stride, prim_name(forward.prim), prim_name(dgrad.prim),
		      prim_name(wgrad.prim));
	bench_set(&forward, ARG_SRC, x_dims, x);
	bench_set(&forward, ARG_WEIGHTS, w_dims, w);
	bench_run(&forward);
	bench_compare(&forward, ARG_DST, y_dims, y, CONV_FORWARD, how);
	bench_set(&dgrad, ARG_DIFF_DST, y_dims, dy);
	bench_set(&dgrad, ARG_WEIGHTS, w_dims, w);
	bench_run(&dgrad);
	bench_compare(&dgrad, ARG_DIFF_SRC, x_dims, dx, CONV_DGRAD, how);
	bench_set(&wgrad, ARG_SRC, x_dims, x);
	bench_set(&wgrad, ARG_DIFF_DST, y_dims, dy);
	bench_run(&wgrad);
	bench_compare(&wgrad, ARG_DIFF_WEIGHTS, w_dims, dw, CONV_WGRAD, how);
	bench_fini(&forward);
	bench_fini(&dgrad);
	bench_fini(&wgrad);
}

static void test_conv(void **state)
{
	enum how how = *(enum how *)*state;
	for (size_t i = 0; i < ARRAY_LEN(conv_cases); i++)
		compare_conv(&conv_cases[i], how);
}

/* --- batch norm --- */

struct bn_case {
	int n, channels, size;
	bool relu;
};

static const struct bn_case bn_cases[] = {{4, 64, 8, true}, {3, 32, 5, false}, {2, 20, 7, true},
					  {1, 16, 4, false}, {8, 128, 4, true}};

/* The layout in which a convolution leaves (n, channels, size, size). */
static struct layout *blocked(const struct bn_case *c, enum cell cell)
{
	struct err err = {0};
	struct dnn_conv s = {.n = c->n, .ci = 32, .hi = c->size, .wi = c->size, .co = c->channels, .ho = c->size,
			     .wo = c->size, .kernel = 3, .stride = 1, .pad = 1, .cell = cell, .direct = true};
	struct prim *prim;
	check(prim_conv_forward(dnn, &s, &prim, &err), &err);
	struct layout *layout = layout_copy(prim_layout(prim, ARG_DST));
	prim_free(prim);
	return layout;
}

struct bn_truth { /* ref's */
	int dims[4];
	size_t n;
	double *x, *dy, *y, *dx; /* (N, C, H, W) */
	double *gamma, *beta, *mean, *variance, *dgamma, *dbeta, *y_infer;
};

static void bn_truth_init(struct bn_truth *t, const struct bn_case *c, enum how how)
{
	size_t channels = (size_t)c->channels, n = (size_t)c->n * channels * (size_t)(c->size * c->size);
	struct bn_shape s = {c->n, c->channels, c->size * c->size};
	*t = (struct bn_truth){.dims = {c->n, c->channels, c->size, c->size}, .n = n, .x = values(n, 4, how),
			       .dy = values(n, 5, how), .gamma = values(channels, 6, how), .beta = values(channels, 7, how)};
	t->y = xcalloc(n, sizeof(double));
	t->dx = xcalloc(n, sizeof(double));
	t->y_infer = xcalloc(n, sizeof(double));
	t->mean = xcalloc(channels, sizeof(double));
	t->variance = xcalloc(channels, sizeof(double));
	t->dgamma = xcalloc(channels, sizeof(double));
	t->dbeta = xcalloc(channels, sizeof(double));
	autofree double *inv_std = xcalloc(channels, sizeof(double)), *running = xcalloc(2 * channels, sizeof(double));
	autofree double *pre = xcalloc(n, sizeof(double)), *dpre = xcalloc(n, sizeof(double));
	ref_bn_train(&s, t->x, t->gamma, t->beta, pre, t->mean, inv_std, running, running + channels);
	for (size_t i = 0; i < channels; i++)
		t->variance[i] = 1 / (inv_std[i] * inv_std[i]) - BN_EPS;
	ref_bn_eval(&s, t->x, t->gamma, t->beta, t->beta, t->variance, t->y_infer); /* mean: any other numbers */
	memcpy(t->y, pre, n * sizeof(double));
	memcpy(dpre, t->dy, n * sizeof(double));
	if (c->relu) {
		autofree double *infer = steal_ptr(t->y_infer);
		t->y_infer = xcalloc(n, sizeof(double));
		ref_relu_fwd(n, infer, t->y_infer);
		ref_relu_fwd(n, pre, t->y);
		memset(dpre, 0, n * sizeof(double));
		ref_relu_bwd(n, t->y, t->dy, dpre);
	}
	ref_bn_bwd(&s, t->x, dpre, t->gamma, t->mean, inv_std, t->dx, t->dgamma, t->dbeta);
}

static void bn_truth_fini(struct bn_truth *t)
{
	double *arrays[] = {t->x, t->dy, t->y, t->dx, t->gamma, t->beta, t->mean, t->variance, t->dgamma, t->dbeta,
			    t->y_infer};
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
		free(arrays[i]);
}

static void bn_train(const struct bn_case *c, const struct bn_truth *t, const struct layout *data, enum how how)
{
	struct err err = {0};
	struct dnn_bn shape = {.channels = c->channels, .relu = c->relu};
	size_t channels = (size_t)c->channels;
	struct prim *prim;
	struct bench forward, backward;
	check(prim_bn_forward(dnn, &shape, data, &prim, &err), &err);
	bench_init(&forward, prim);
	check(prim_bn_backward(dnn, &shape, data, prim, &prim, &err), &err);
	bench_init(&backward, prim);
	bench_set(&forward, ARG_SRC, t->dims, t->x);
	bench_set_vector(&forward, ARG_SCALE, c->channels, t->gamma);
	bench_set_vector(&forward, ARG_SHIFT, c->channels, t->beta);
	bench_run(&forward);
	bench_compare(&forward, ARG_DST, t->dims, t->y, BN_FORWARD, how);
	note(BN_STATISTICS, how, distance(forward.data[ARG_MEAN], t->mean, channels));
	note(BN_STATISTICS, how, distance(forward.data[ARG_VARIANCE], t->variance, channels));
	bench_set(&backward, ARG_SRC, t->dims, t->x);
	bench_set(&backward, ARG_DIFF_DST, t->dims, t->dy);
	bench_set_vector(&backward, ARG_SCALE, c->channels, t->gamma);
	if (prim_layout(backward.prim, ARG_SHIFT)) /* oneDNN 2.x reads it */
		bench_set_vector(&backward, ARG_SHIFT, c->channels, t->beta);
	memcpy(backward.data[ARG_MEAN], forward.data[ARG_MEAN], channels * sizeof(float));
	memcpy(backward.data[ARG_VARIANCE], forward.data[ARG_VARIANCE], channels * sizeof(float));
	if (c->relu)
		memcpy(backward.data[ARG_WORKSPACE], forward.data[ARG_WORKSPACE],
		       layout_bytes(prim_layout(backward.prim, ARG_WORKSPACE)));
	bench_run(&backward);
	bench_compare(&backward, ARG_DIFF_SRC, t->dims, t->dx, BN_DGRAD, how);
	note(BN_WGRAD, how, distance(backward.data[ARG_DIFF_SCALE], t->dgamma, channels));
	note(BN_WGRAD, how, distance(backward.data[ARG_DIFF_SHIFT], t->dbeta, channels));
	bench_fini(&forward);
	bench_fini(&backward);
}

static void bn_infer(const struct bn_case *c, const struct bn_truth *t, const struct layout *data, enum how how)
{
	struct err err = {0};
	struct dnn_bn shape = {.channels = c->channels, .relu = c->relu, .global_stats = true};
	struct prim *prim;
	struct bench infer;
	check(prim_bn_forward(dnn, &shape, data, &prim, &err), &err);
	bench_init(&infer, prim);
	bench_set(&infer, ARG_SRC, t->dims, t->x);
	bench_set_vector(&infer, ARG_SCALE, c->channels, t->gamma);
	bench_set_vector(&infer, ARG_SHIFT, c->channels, t->beta);
	bench_set_vector(&infer, ARG_MEAN, c->channels, t->beta);
	bench_set_vector(&infer, ARG_VARIANCE, c->channels, t->variance);
	bench_run(&infer);
	bench_compare(&infer, ARG_DST, t->dims, t->y_infer, BN_FORWARD, how);
	bench_fini(&infer);
}

static void test_bn(void **state)
{
	enum how how = *(enum how *)*state;
	for (size_t i = 0; i < ARRAY_LEN(bn_cases); i++) {
		struct bn_truth truth;
		bn_truth_init(&truth, &bn_cases[i], how);
		autolayout struct layout *data = blocked(&bn_cases[i], how == BF16 ? CELL_BF16 : CELL_F32);
		bn_train(&bn_cases[i], &truth, data, how);
		bn_infer(&bn_cases[i], &truth, data, how);
		bn_truth_fini(&truth);
	}
}

int main(int argc, char **argv)
{
	bool bf16 = bf16_run(argc, argv);
	static enum how hows[] = {FP32, WINOGRAD, BF16};
	struct err err = {0};
	check(dnn_new(&dnn, &err), &err);
	const struct CMUnitTest fp32_tests[] = {
		cmocka_unit_test_prestate(test_conv, &hows[FP32]), cmocka_unit_test_prestate(test_conv, &hows[WINOGRAD]),
		cmocka_unit_test_prestate(test_bn, &hows[FP32]),
	};
	const struct CMUnitTest bf16_tests[] = {
		cmocka_unit_test_prestate(test_conv, &hows[BF16]), cmocka_unit_test_prestate(test_bn, &hows[BF16]),
	};
	int failed = bf16 ? cmocka_run_group_tests_name("cpu primitives against ref, bf16", bf16_tests, NULL, NULL)
			  : cmocka_run_group_tests_name("cpu primitives against ref", fp32_tests, NULL, NULL);
	print_table();
	dnn_free(dnn);
	return failed;
}
