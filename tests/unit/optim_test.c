/* Optimizers against torch's traces. */
#include "golden.h"

#include "worker/optim.h"

#define STEPS  5
#define PARAMS 4

static const struct trace {
	const char *key;
	double momentum, weight_decay;
	bool nesterov;
} traces[] = {
	{"sgd_lr0.1", 0, 0, false},
	{"sgd_lr0.1_m0.9_wd5e-4", 0.9, 5e-4, false},
	{"sgd_lr0.1_m0.9_wd5e-4_nesterov", 0.9, 5e-4, true},
};

static void check_f64(const json_t *golden, const struct trace *t, const double *start, const double *grads)
{
	double param[PARAMS], buf[PARAMS] = {0};
	struct sgd_f64 sgd = {.lr = 0.1, .momentum = t->momentum, .weight_decay = t->weight_decay,
			      .nesterov = t->nesterov};
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, t->key), "torch.float64"), NULL);
	memcpy(param, start, sizeof(param));
	for (int step = 0; step < STEPS; step++) {
		sgd_update_f64(PARAMS, param, buf, grads + step * PARAMS, &sgd);
		for (int i = 0; i < PARAMS; i++)
			assert_near(param[i], expected[step * PARAMS + i], 1e-12, 1e-15, t->key);
	}
}

static void check_f32(const json_t *golden, const struct trace *t, const double *start, const double *grads)
{
	float param[PARAMS], buf[PARAMS] = {0}, grad[PARAMS];
	struct sgd_f32 sgd = {.lr = 0.1f, .momentum = (float)t->momentum, .weight_decay = (float)t->weight_decay,
			      .nesterov = t->nesterov};
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, t->key), "torch.float32"), NULL);
	for (int i = 0; i < PARAMS; i++)
		param[i] = (float)start[i];
	for (int step = 0; step < STEPS; step++) {
		for (int i = 0; i < PARAMS; i++)
			grad[i] = (float)grads[step * PARAMS + i];
		sgd_update_f32(PARAMS, param, buf, grad, &sgd);
		for (int i = 0; i < PARAMS; i++) /* a few roundings of values below 1, which may cancel */
			assert_near(param[i], expected[step * PARAMS + i], 1e-7, 6e-8, t->key);
	}
}

static void check_all(void (*check)(const json_t *, const struct trace *, const double *, const double *))
{
	json_t *golden = golden_load("optim.json");
	size_t n_start, n_grads;
	autofree double *start = golden_doubles(golden_get(golden, "P0"), &n_start);
	autofree double *grads = golden_doubles(golden_get(golden, "G"), &n_grads);
	assert_true(n_start == PARAMS && n_grads == STEPS * PARAMS);
	for (size_t i = 0; i < ARRAY_LEN(traces); i++)
		check(golden, &traces[i], start, grads);
	json_decref(golden);
}

static void test_sgd_double(void **state)
{
	check_all(check_f64);
}

static void test_sgd_float(void **state)
{
	check_all(check_f32);
}

/* The SIMD loop and its tail compute what the element function does. */
static void test_loop_equals_elements(void **state)
{
	enum { N = 1003 };
	static float param[N], buf[N], grad[N];
	struct sgd_f32 c = {.lr = 0.05f, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true};
	for (int i = 0; i < N; i++) {
		param[i] = (float)golden_u(1, (uint64_t)i);
		buf[i] = (float)golden_u(2, (uint64_t)i);
		grad[i] = (float)golden_u(3, (uint64_t)i);
	}
	sgd_update_f32(N, param, buf, grad, &c);
	for (int i = 0; i < N; i++) {
		float p = (float)golden_u(1, (uint64_t)i), b = (float)golden_u(2, (uint64_t)i);
		sgd_element_f32(&p, &b, grad[i], c.lr, c.momentum, c.weight_decay, c.nesterov);
		assert_true(p == param[i] && b == buf[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sgd_double),
		cmocka_unit_test(test_sgd_float),
		cmocka_unit_test(test_loop_equals_elements),
	};
	return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
