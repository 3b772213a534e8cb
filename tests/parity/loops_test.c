/* The cpu backend's own loops against ref's: add+ReLU, its backward, the gradient join, the head; max pooling against
 * torch. */
#include "parity.h"
#include "tests/unit/golden.h"

#include "worker/cpu/head.h"
#include "worker/cpu/kernels.h"
#include "worker/cpu/pool.h"
#include "worker/ref/ref_ops.h"

#include <math.h>

#define FP32_LIMIT 1e-6

static double *values(size_t n, uint32_t seed, double scale)
{
	double *v = xcalloc(n, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		v[i] = scale * ((int)(seed >> 24) - 128) / 64.0;
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

/* --- elementwise --- */

static uint16_t bf16(double v) /* of a value that bf16 holds exactly */
{
	float f = (float)v;
	uint32_t u;
	memcpy(&u, &f, sizeof(u));
	assert_int_equal(u & 0xffff, 0);
	return (uint16_t)(u >> 16);
}

static void *to_cells(enum cell cell, const double *v, size_t n)
{
	if (cell == CELL_F32)
		return to_float(v, n);
	uint16_t *h = xcalloc(n, sizeof(*h));
	for (size_t i = 0; i < n; i++)
		h[i] = bf16(v[i]);
	return h;
}

static double cell_value(enum cell cell, const void *cells, size_t i)
{
	if (cell == CELL_F32)
		return ((const float *)cells)[i];
	uint32_t u = (uint32_t)((const uint16_t *)cells)[i] << 16;
	float f;
	memcpy(&f, &u, sizeof(f));
	return f;
}

/* Sums of two inputs are multiples of 1/64 below 4: bf16 rounds some of them, by at most 2^-7. */
static void assert_cells(enum cell cell, const void *cells, const double *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_close("cell", fabs(cell_value(cell, cells, i) - want[i]), cell == CELL_F32 ? 0 : 0x1p-7);
}

static void test_elementwise(void **state)
{
	enum cell cell = *(enum cell *)*state;
	size_t n = 50007; /* more than two chunks, and a remainder */
	autofree double *a = values(n, 1, 1), *b = values(n, 2, 1), *sum = xcalloc(n, sizeof(double));
	autofree double *y = xcalloc(n, sizeof(double)), *da = xcalloc(n, sizeof(double));
	autofree void *ca = to_cells(cell, a, n), *cb = to_cells(cell, b, n), *out = xcalloc(n, sizeof(float));
	autofree void *grad = to_cells(cell, b, n);
	ref_add_fwd(n, a, b, sum);
	ref_relu_fwd(n, sum, y);
	cells_add_relu(cell, out, ca, cb, n);
	assert_cells(cell, out, y, n);
	ref_relu_bwd(n, y, b, da);
	cells_relu_mask(cell, grad, out, n);
	assert_cells(cell, grad, da, n);
	cells_add(cell, ca, cb, n);
	assert_cells(cell, ca, sum, n);
}

/* Ties go to even; NaN and infinity survive. */
static void test_bf16_rounding(void **state)
{
	static const struct {
		uint16_t a, b, want;
	} cases[] = {
		{0x3f80, 0x3b80, 0x3f80}, /* 1 + 2^-8: a tie, down to even */
		{0x3f81, 0x3b80, 0x3f82}, /* 1 + 2^-7 + 2^-8: a tie, up to even */
		{0x3f80, 0x3bc0, 0x3f81}, /* 1 + 1.5 * 2^-8: up */
		{0x7f7f, 0x7f7f, 0x7f80}, /* past the largest: infinity */
		{0x7f80, 0x3f80, 0x7f80},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint16_t sum = cases[i].a;
		cells_add(CELL_BF16, &sum, &cases[i].b, 1);
		assert_int_equal(sum, cases[i].want);
	}
	uint16_t nan = 0x7fff, one = 0x3f80, out;
	cells_add_relu(CELL_BF16, &out, &nan, &one, 1);
	assert_true(isnan(cell_value(CELL_BF16, &out, 0)));
	float fnan = NAN, fone = 1, fout;
	cells_add_relu(CELL_F32, &fout, &fnan, &fone, 1);
	assert_true(isnan(fout));
}

/* --- max pooling --- */

static void assert_exact(enum cell cell, const void *cells, const double *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(cell_value(cell, cells, i) == want[i]);
}

/* Small whole numbers, which bf16 holds exactly; many are equal.  Then a NaN. */
static void compare_pool(enum cell cell, const json_t *c)
{
	autofree double *x_shape = golden_doubles(golden_get(c, "x_shape"), NULL);
	autofree double *y_shape = golden_doubles(golden_get(c, "y_shape"), NULL);
	struct pool pool = {.planes = (int)x_shape[0], .ih = (int)x_shape[1], .iw = (int)x_shape[2],
			    .oh = (int)y_shape[1], .ow = (int)y_shape[2],
			    .kernel = (int)json_integer_value(golden_get(c, "kernel")),
			    .stride = (int)json_integer_value(golden_get(c, "stride")),
			    .pad = (int)json_integer_value(golden_get(c, "pad"))};
	size_t nx, ny;
	autofree double *x = golden_doubles(golden_get(c, "x"), &nx), *dx = golden_doubles(golden_get(c, "dx"), NULL);
	autofree double *y = golden_doubles(golden_get(c, "y"), &ny), *dy = golden_doubles(golden_get(c, "dy"), NULL);
	autofree void *in = to_cells(cell, x, nx), *dout = to_cells(cell, dy, ny);
	autofree float *out = xcalloc(ny, sizeof(*out)), *din = xmalloc(nx * sizeof(*din));
	autofree uint8_t *taps = xcalloc(ny, 1);
	memset(din, 0xff, nx * sizeof(*din));
	pool_forward(cell, &pool, out, taps, in);
	assert_exact(cell, out, y, ny);
	pool_backward(cell, &pool, din, dout, taps);
	assert_exact(cell, din, dx, nx);
	x[0] = NAN;
	autofree float *floats = to_float(x, nx);
	pool_forward(CELL_F32, &pool, out, taps, floats);
	assert_true(isnan(out[0]));
}

static void test_pool(void **state)
{
	json_t *cases = golden_load("pool.json");
	for (size_t i = 0; i < json_array_size(cases); i++)
		compare_pool(*(enum cell *)*state, json_array_get(cases, i));
	json_decref(cases);
}

/* --- head --- */

struct head_case {
	int n, channels, pixels, classes;
	double smoothing, scale; /* scale: of the weights; 40 makes a saturated softmax */
};

static const struct head_case head_cases[] = {
	{1, 16, 16, 10, 0, 1}, {7, 33, 16, 100, 0.1, 1}, {8, 512, 16, 100, 0, 0.1}, {3, 20, 1, 5, 0.1, 40}};

struct head_truth {
	double *features, *weight, *bias, *pooled, *logits, *loss, *dlogits, *dweight, *dbias, *dfeatures;
	int32_t *labels;
	int correct;
};

static void head_truth_init(struct head_truth *t, const struct head_case *c)
{
	size_t n = (size_t)c->n, channels = (size_t)c->channels, pixels = (size_t)c->pixels,
	       classes = (size_t)c->classes;
	*t = (struct head_truth){.features = values(n * channels * pixels, 1, 1),
				 .weight = values(classes * channels, 2, c->scale),
				 .bias = values(classes, 3, 1),
				 .labels = xcalloc(n, sizeof(int32_t))};
	for (size_t i = 0; i < n; i++)
		t->labels[i] = (int32_t)((7 * i + 1) % classes);
	t->pooled = xcalloc(n * channels, sizeof(double));
	t->logits = xcalloc(n * classes, sizeof(double));
	t->dlogits = xcalloc(n * classes, sizeof(double));
	t->loss = xcalloc(n, sizeof(double));
	t->dweight = xcalloc(classes * channels, sizeof(double));
	t->dbias = xcalloc(classes, sizeof(double));
	t->dfeatures = xcalloc(n * channels * pixels, sizeof(double));
	autofree double *dpooled = xcalloc(n * channels, sizeof(double));
	ref_avgpool_fwd(c->n, c->channels, c->pixels, t->features, t->pooled);
	ref_fc_fwd(c->n, c->channels, c->classes, t->pooled, t->weight, t->bias, t->logits);
	struct targets targets = targets_of(t->labels, c->smoothing);
	t->correct = ref_cross_entropy(c->n, c->classes, t->logits, &targets, t->loss, t->dlogits);
	ref_fc_bwd(c->n, c->channels, c->classes, t->pooled, t->weight, t->dlogits, dpooled, t->dweight, t->dbias);
	ref_avgpool_bwd(c->n, c->channels, c->pixels, dpooled, t->dfeatures);
}

static void head_truth_fini(struct head_truth *t)
{
	double *arrays[] = {t->features, t->weight,  t->bias,	 t->pooled, t->logits,
			    t->loss,	 t->dlogits, t->dweight, t->dbias,  t->dfeatures};
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
		free(arrays[i]);
	free(t->labels);
}

static void compare_head(const struct head_case *c)
{
	struct head_truth t;
	head_truth_init(&t, c);
	size_t n = (size_t)c->n, channels = (size_t)c->channels, classes = (size_t)c->classes;
	size_t features_n = n * channels * (size_t)c->pixels;
	autofree float *features = to_float(t.features, features_n), *weight = to_float(t.weight, classes * channels);
	autofree float *bias = to_float(t.bias, classes), *pooled = xcalloc(n * channels, sizeof(float));
	autofree float *logits = xcalloc(n * classes, sizeof(float));
	autofree float *dweight = xcalloc(classes * channels, sizeof(float)), *dbias = xcalloc(classes, sizeof(float));
	autofree double *losses = xcalloc(n, sizeof(double));
	autofree double *correct = xcalloc(n, sizeof(double));
	struct head head = {.n = c->n, .channels = c->channels, .pixels = c->pixels, .classes = c->classes,
			    .features = features, .pooled = pooled, .logits = logits, .losses = losses,
			    .correct = correct, .weight = weight, .bias = bias, .dweight = dweight, .dbias = dbias};
	head_forward(&head);
	assert_close("pool", distance(pooled, t.pooled, n * channels), FP32_LIMIT);
	assert_close("logits", distance(logits, t.logits, n * classes), FP32_LIMIT);
	struct targets targets = targets_of(t.labels, c->smoothing);
	head_loss(&head, &targets, true);
	assert_close("loss", distance_f64(losses, t.loss, n), FP32_LIMIT);
	assert_close("logits' gradient", distance(logits, t.dlogits, n * classes), 10 * FP32_LIMIT);
	double n_correct = 0;
	for (size_t i = 0; i < n; i++)
		n_correct += correct[i];
	assert_true(n_correct == t.correct);
	head_backward(&head);
	assert_close("weight gradient", distance(dweight, t.dweight, classes * channels), 10 * FP32_LIMIT);
	assert_close("bias gradient", distance(dbias, t.dbias, classes), 10 * FP32_LIMIT);
	assert_close("features' gradient", distance(features, t.dfeatures, features_n), 10 * FP32_LIMIT);
	head_truth_fini(&t);
}

static void test_head(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(head_cases); i++)
		compare_head(&head_cases[i]);
}

int main(void)
{
	static enum cell cells[] = {CELL_F32, CELL_BF16};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_elementwise, &cells[CELL_F32]),
		cmocka_unit_test_prestate(test_elementwise, &cells[CELL_BF16]),
		cmocka_unit_test(test_bf16_rounding),
		cmocka_unit_test_prestate(test_pool, &cells[CELL_F32]),
		cmocka_unit_test_prestate(test_pool, &cells[CELL_BF16]),
		cmocka_unit_test(test_head),
	};
	return cmocka_run_group_tests_name("cpu loops against ref", tests, NULL, NULL);
}
