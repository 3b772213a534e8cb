/* The reference operations: against torch where there are golden numbers, else against a loop that follows the
 * definition, and gradients against differences. */
#include "golden.h"

#include "worker/ref/ref_ops.h"

#include <math.h>

static double *random_values(uint64_t tid, size_t n)
{
	double *v = xcalloc(n, sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i] = golden_u(tid, i);
	return v;
}

static void assert_all_near(const double *actual, const double *expected, size_t n, double relative, double absolute,
			    const char *what)
{
	for (size_t i = 0; i < n; i++)
		assert_near(actual[i], expected[i], relative, absolute, what);
}

/* --- convolution --- */

static const struct conv_shape shapes[] = {
	{2, 3, 7, 5, 4, 7, 5, 3, 1, 1}, /* odd sizes, rows longer than a block of four */
	{3, 2, 8, 8, 5, 4, 4, 3, 2, 1}, /* stride */
	{1, 5, 7, 7, 3, 4, 4, 3, 2, 1}, /* stride that leaves no rest */
	{2, 6, 4, 3, 7, 4, 3, 1, 1, 0}, /* 1x1 */
	{2, 3, 7, 6, 2, 4, 3, 1, 2, 0}, /* 1x1 with stride: downsample */
	{1, 1, 1, 1, 1, 1, 1, 3, 1, 1}, /* the kernel sees one pixel */
	{2, 3, 9, 8, 4, 5, 4, 7, 2, 3}, /* the ImageNet stem */
};

struct conv_tap { /* one product of a convolution */
	size_t x, w, y;
};

/* Calls f for every product that the definition names. */
static void each_tap(const struct conv_shape *s, void (*f)(struct conv_tap, void *), void *arg)
{
	int taps = s->kernel * s->kernel, total = s->n * s->oc * s->oh * s->ow * s->ic * taps;
	for (int i = 0; i < total; i++) {
		int tap = i % taps, c = i / taps % s->ic, q = i / taps / s->ic;
		int ox = q % s->ow, oy = q / s->ow % s->oh, o = q / s->ow / s->oh % s->oc, n = q / s->ow / s->oh / s->oc;
		int y = oy * s->stride - s->pad + tap / s->kernel, x = ox * s->stride - s->pad + tap % s->kernel;
		if (y >= 0 && y < s->ih && x >= 0 && x < s->iw)
			f((struct conv_tap){.x = (size_t)(((n * s->ic + c) * s->ih + y) * s->iw + x),
					    .w = (size_t)((o * s->ic + c) * taps + tap), .y = (size_t)q}, arg);
	}
}

struct conv_case {
	double *x, *w, *dy;
	double *y, *dx, *dw; /* expected */
};

static void add_tap(struct conv_tap t, void *arg)
{
	struct conv_case *c = arg;
	c->y[t.y] += c->x[t.x] * c->w[t.w];
	c->dx[t.x] += c->dy[t.y] * c->w[t.w];
	c->dw[t.w] += c->dy[t.y] * c->x[t.x];
}

static void check_conv(const struct conv_shape *s)
{
	size_t nx = (size_t)(s->n * s->ic * s->ih * s->iw), ny = (size_t)(s->n * s->oc * s->oh * s->ow);
	size_t nw = (size_t)(s->oc * s->ic * s->kernel * s->kernel);
	struct conv_case c = {
		.x = random_values(1, nx), .w = random_values(2, nw), .dy = random_values(3, ny),
		.y = xcalloc(ny, sizeof(double)), .dx = random_values(4, nx), .dw = xcalloc(nw, sizeof(double)),
	};
	double *y = random_values(5, ny), *dx = random_values(4, nx), *dw = random_values(6, nw); /* =, +=, = */
	each_tap(s, add_tap, &c);
	ref_conv_fwd(s, c.x, c.w, y);
	ref_conv_dgrad(s, c.dy, c.w, dx);
	ref_conv_wgrad(s, c.x, c.dy, dw);
	assert_all_near(y, c.y, ny, 0, 1e-13, "convolution");
	assert_all_near(dx, c.dx, nx, 0, 1e-13, "convolution dx");
	assert_all_near(dw, c.dw, nw, 0, 1e-13, "convolution dw");
	double *all[] = {c.x, c.w, c.dy, c.y, c.dx, c.dw, y, dx, dw};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
}

static void test_convolution(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		check_conv(&shapes[i]);
}

/* --- batch normalization --- */

static void test_batch_normalization(void **state)
{
	enum { C = 3, COUNT = 24 };
	json_t *g = golden_load("bn.json");
	static const char *const keys[] = {"x", "dy", "weight", "bias", "y", "dx", "dw", "db", "running_mean",
					   "running_var", "y_eval_after"};
	enum { X, DY, WEIGHT, BIAS, Y, DX, DW, DB, RUNNING_MEAN, RUNNING_VAR, Y_EVAL };
	double *v[ARRAY_LEN(keys)];
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		v[i] = golden_doubles(golden_get(g, keys[i]), NULL);
	struct bn_shape s = {.n = 2, .c = C, .hw = 4};
	double y[COUNT], dx[COUNT] = {0}, mean[C], inv_std[C], dw[C], db[C], running_mean[C] = {0};
	double running_var[C] = {1, 1, 1};
	ref_bn_train(&s, v[X], v[WEIGHT], v[BIAS], y, mean, inv_std, running_mean, running_var);
	assert_all_near(y, v[Y], COUNT, 1e-12, 1e-13, "y");
	assert_all_near(running_mean, v[RUNNING_MEAN], C, 1e-12, 0, "running_mean");
	assert_all_near(running_var, v[RUNNING_VAR], C, 1e-12, 0, "running_var");
	ref_bn_bwd(&s, v[X], v[DY], v[WEIGHT], mean, inv_std, dx, dw, db);
	assert_all_near(dx, v[DX], COUNT, 1e-12, 1e-13, "dx");
	assert_all_near(dw, v[DW], C, 1e-12, 1e-13, "dgamma");
	assert_all_near(db, v[DB], C, 1e-12, 1e-13, "dbeta");
	ref_bn_eval(&s, v[X], v[WEIGHT], v[BIAS], running_mean, running_var, y);
	assert_all_near(y, v[Y_EVAL], COUNT, 1e-12, 1e-13, "y in evaluation");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		free(v[i]);
	json_decref(g);
}

/* --- loss --- */

static void check_cross_entropy(const json_t *g, const char *key, double smoothing)
{
	size_t n, count;
	autofree double *logits = golden_doubles(golden_get(g, "logits"), &count);
	autofree double *hard = golden_doubles(golden_get(g, "hard"), &n);
	autofree double *grad = golden_doubles(golden_get(golden_get(g, key), "grad"), NULL);
	double loss[3], dlogits[12], mean = 0;
	int32_t labels[3];
	assert_true(n == ARRAY_LEN(labels) && count == ARRAY_LEN(dlogits));
	for (size_t i = 0; i < n; i++)
		labels[i] = (int32_t)hard[i];
	struct targets targets = targets_of(labels, smoothing);
	assert_true(ref_cross_entropy(3, 4, logits, &targets, loss, dlogits) == 1); /* rows have their largest logits at 0, 3, 1; labels are 0, 1, 3 */
	for (size_t i = 0; i < n; i++)
		mean += loss[i] / 3;
	assert_near(mean, json_number_value(golden_get(golden_get(g, key), "loss")), 1e-14, 0, key);
	assert_all_near(dlogits, grad, count, 0, 1e-15, key);
	ref_cross_entropy(3, 4, logits, &targets, loss, NULL); /* evaluation */
}

static void test_cross_entropy(void **state)
{
	json_t *g = golden_load("ce.json");
	check_cross_entropy(g, "hard_eps0.0", 0);
	check_cross_entropy(g, "hard_eps0.1", 0.1);
	json_decref(g);
}

static void test_cross_entropy_of_large_logits(void **state)
{
	double logits[] = {1000, -1000, 0}, loss, dlogits[3];
	struct targets targets = targets_of(&(int32_t){1}, 0);
	assert_true(ref_cross_entropy(1, 3, logits, &targets, &loss, dlogits) == 0);
	assert_near(loss, 2000, 1e-15, 0, "loss");
	assert_near(dlogits[0], 1, 1e-15, 0, "gradient");
	assert_near(dlogits[1], -1, 1e-15, 0, "gradient");
}

/* Of mixed images: loss and gradient are the mixture of two losses, each with smoothing; correct counts by shares. */
static void test_cross_entropy_of_mixed_images(void **state)
{
	enum { N = 4, CLASSES = 5 };
	double logits[N * CLASSES], loss[N], a[N], b[N], d[N * CLASSES], da[N * CLASSES], db[N * CLASSES];
	int32_t labels[N] = {0, 3, 2, 1}, partners[N] = {1, 0, 2, 4};
	for (int i = 0; i < N * CLASSES; i++)
		logits[i] = 3 * golden_u(77, (uint64_t)i);
	for (int i = 0; i < N; i++) /* largest: the label, the partner, both, neither */
		logits[i * CLASSES + (int[]){0, 0, 2, 3}[i]] = 4;
	struct targets own = targets_of(labels, 0.1), other = targets_of(partners, 0.1);
	struct targets mixed = {labels, partners, 0.7, 0.1};
	ref_cross_entropy(N, CLASSES, logits, &own, a, da);
	ref_cross_entropy(N, CLASSES, logits, &other, b, db);
	assert_near(ref_cross_entropy(N, CLASSES, logits, &mixed, loss, d), 0.7 + 0.3 + 1, 1e-15, 0, "correct");
	for (int i = 0; i < N; i++)
		assert_near(loss[i], 0.7 * a[i] + 0.3 * b[i], 1e-14, 0, "loss");
	for (int i = 0; i < N * CLASSES; i++)
		assert_near(d[i], 0.7 * da[i] + 0.3 * db[i], 0, 1e-15, "gradient");
}

/* --- the rest --- */

static void test_relu_and_add(void **state)
{
	double x[] = {-1, -0.0, 2, NAN}, y[4], dy[] = {5, 6, 7, 8}, dx[] = {1, 1, 1, 1}, db[4] = {0};
	ref_relu_fwd(4, x, y);
	assert_true(y[0] == 0 && y[1] == 0 && y[2] == 2 && isnan(y[3])); /* as torch: NaN goes through */
	ref_relu_bwd(3, y, dy, dx);
	assert_true(dx[0] == 1 && dx[1] == 1 && dx[2] == 8);
	ref_add_fwd(3, dy, dx, y);
	assert_true(y[0] == 6 && y[1] == 7 && y[2] == 15);
	ref_add_bwd(3, dy, dx, db);
	assert_true(dx[0] == 6 && dx[2] == 15 && db[0] == 5 && db[2] == 7);
}

static void test_average_pool(void **state)
{
	double x[] = {1, 2, 3, 6, /**/ 0, 0, 0, 1}, y[2], dy[] = {4, 8}, dx[8] = {1};
	ref_avgpool_fwd(1, 2, 4, x, y);
	assert_true(y[0] == 3 && y[1] == 0.25);
	ref_avgpool_bwd(1, 2, 4, dy, dx);
	assert_true(dx[0] == 2 && dx[3] == 1 && dx[7] == 2);
}

static void test_classifier(void **state)
{
	double x[] = {1, 2, 3, 4}, w[] = {1, 10, 2, 20, 3, 30}, b[] = {100, 200, 300}, y[6];
	double dy[] = {1, 0, 2, 0, 1, 0}, dx[4] = {1000}, dw[6], db[3];
	ref_fc_fwd(2, 2, 3, x, w, b, y);
	static const double expected_y[] = {121, 242, 363, 143, 286, 429};
	assert_all_near(y, expected_y, 6, 0, 0, "y");
	ref_fc_bwd(2, 2, 3, x, w, dy, dx, dw, db);
	static const double expected_dx[] = {1007, 70, 2, 20}, expected_dw[] = {1, 2, 3, 4, 2, 4};
	assert_all_near(dx, expected_dx, 4, 0, 0, "dx");
	assert_all_near(dw, expected_dw, 6, 0, 0, "dw");
	assert_true(db[0] == 1 && db[1] == 1 && db[2] == 2);
}

/* Against torch, in which many values are equal; then NaN, which JSON does not have. */
static void check_max_pool(const json_t *c)
{
	autofree double *x_shape = golden_doubles(golden_get(c, "x_shape"), NULL);
	autofree double *y_shape = golden_doubles(golden_get(c, "y_shape"), NULL);
	struct pool_shape s = {.n = 1, .c = (int)x_shape[0], .ih = (int)x_shape[1], .iw = (int)x_shape[2],
			       .oh = (int)y_shape[1], .ow = (int)y_shape[2],
			       .kernel = (int)json_integer_value(golden_get(c, "kernel")),
			       .stride = (int)json_integer_value(golden_get(c, "stride")),
			       .pad = (int)json_integer_value(golden_get(c, "pad"))};
	size_t nx, ny;
	autofree double *x = golden_doubles(golden_get(c, "x"), &nx), *dx = golden_doubles(golden_get(c, "dx"), NULL);
	autofree double *y = golden_doubles(golden_get(c, "y"), &ny), *dy = golden_doubles(golden_get(c, "dy"), NULL);
	autofree double *found = xcalloc(ny, sizeof(double)), *gradient = xcalloc(nx, sizeof(double));
	autofree int32_t *index = xcalloc(ny, sizeof(*index));
	ref_maxpool_fwd(&s, x, found, index);
	assert_all_near(found, y, ny, 0, 0, "y");
	ref_maxpool_bwd(&s, dy, index, gradient);
	assert_all_near(gradient, dx, nx, 0, 0, "dx");
	x[0] = NAN;
	ref_maxpool_fwd(&s, x, found, index);
	assert_true(isnan(found[0]) && index[0] == 0);
}

static void test_max_pool(void **state)
{
	json_t *cases = golden_load("pool.json");
	for (size_t i = 0; i < json_array_size(cases); i++)
		check_max_pool(json_array_get(cases, i));
	json_decref(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relu_and_add),
		cmocka_unit_test(test_average_pool),
		cmocka_unit_test(test_max_pool),
		cmocka_unit_test(test_classifier),
		cmocka_unit_test(test_convolution),
		cmocka_unit_test(test_batch_normalization),
		cmocka_unit_test(test_cross_entropy),
		cmocka_unit_test(test_cross_entropy_of_large_logits),
		cmocka_unit_test(test_cross_entropy_of_mixed_images),
	};
	return cmocka_run_group_tests_name("ref_ops", tests, NULL, NULL);
}
