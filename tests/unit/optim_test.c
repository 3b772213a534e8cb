/* Optimizers against torch's traces. */
#include "golden.h"

#include "worker/optim_loop.h"

#define STEPS  5
#define PARAMS 4

static const struct trace {
	const char *key;
	struct optim_settings settings;
	struct step_values values;
} traces[] = {
	{"sgd_lr0.1", {OPTIMIZER_SGD}, {0.1, 0}},
	{"sgd_lr0.1_m0.9_wd5e-4", {OPTIMIZER_SGD, .weight_decay = 5e-4}, {0.1, 0.9}},
	{"sgd_lr0.1_m0.9_wd5e-4_nesterov", {OPTIMIZER_SGD, .weight_decay = 5e-4, .nesterov = true}, {0.1, 0.9}},
	{"sgd_lr0.1_m0.9_damp0.1", {OPTIMIZER_SGD, .dampening = 0.1}, {0.1, 0.9}},
	{"adamw_default", {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2}, {1e-3, 0.9}},
	{"adamw_lr1e-2_wd0.05_b(0.9,0.95)_eps1e-6",
	 {OPTIMIZER_ADAMW, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.05},
	 {1e-2, 0.9}},
	{"adam_lr1e-3_wd5e-4", {OPTIMIZER_ADAM, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 5e-4}, {1e-3, 0.9}},
};

static void check_f64(const json_t *golden, const struct trace *t, const double *start, const double *grads)
{
	double param[PARAMS], slots[N_SLOTS][PARAMS] = {0};
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, t->key), "torch.float64"), NULL);
	memcpy(param, start, sizeof(param));
	for (int step = 0; step < STEPS; step++) {
		struct optim_f64 c = optim_coefs(&t->settings, &t->values, (uint64_t)step + 1, 1, true);
		if (t->settings.optimizer == OPTIMIZER_SGD)
			sgd_update_f64(PARAMS, param, slots[0], grads + step * PARAMS, 1, &c);
		else
			adam_update_f64(PARAMS, param, slots[0], slots[1], grads + step * PARAMS, 1, &c);
		for (int i = 0; i < PARAMS; i++)
			assert_near(param[i], expected[step * PARAMS + i], 1e-12, 1e-15, t->key);
	}
}

static void check_f32(const json_t *golden, const struct trace *t, const double *start, const double *grads)
{
	float param[PARAMS], slots[N_SLOTS][PARAMS] = {0}, grad[PARAMS];
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, t->key), "torch.float32"), NULL);
	for (int i = 0; i < PARAMS; i++)
		param[i] = (float)start[i];
	for (int step = 0; step < STEPS; step++) {
		struct optim_f64 exact = optim_coefs(&t->settings, &t->values, (uint64_t)step + 1, 1, true);
		struct optim_f32 c = optim_coefs_f32(&exact);
		for (int i = 0; i < PARAMS; i++)
			grad[i] = (float)grads[step * PARAMS + i];
		if (t->settings.optimizer == OPTIMIZER_SGD)
			sgd_update_f32(PARAMS, param, slots[0], grad, 1, &c);
		else
			adam_update_f32(PARAMS, param, slots[0], slots[1], grad, 1, &c);
		for (int i = 0; i < PARAMS; i++) /* a few roundings of values below 1, which may cancel */
			assert_near(param[i], expected[step * PARAMS + i], 2e-7, 6e-8, t->key);
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

static void test_double(void **state)
{
	check_all(check_f64);
}

static void test_float(void **state)
{
	check_all(check_f32);
}

/* Groups: lr * scale is the group's learning rate; what does not decay is as without weight decay. */
static void test_groups(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(traces); i++) {
		struct optim_settings bare = traces[i].settings;
		bare.weight_decay = 0;
		const struct step_values quarter = {traces[i].values.lr * 0.25, traces[i].values.momentum};
		struct optim_f64 a = optim_coefs(&traces[i].settings, &traces[i].values, 3, 0.25, true);
		struct optim_f64 b = optim_coefs(&traces[i].settings, &quarter, 3, 1, true);
		assert_memory_equal(&a, &b, offsetof(struct optim_f64, nesterov));
		a = optim_coefs(&traces[i].settings, &traces[i].values, 3, 1, false);
		b = optim_coefs(&bare, &traces[i].values, 3, 1, true);
		assert_memory_equal(&a, &b, offsetof(struct optim_f64, nesterov));
	}
}

static void test_power(void **state)
{
	assert_true(optim_power(0.9, 0) == 1 && optim_power(0.9, 1) == 0.9);
	for (uint64_t n = 2; n < 100000; n = n * 3 / 2)
		assert_near(optim_power(0.999, n), pow(0.999, (double)n), 1e-14 * (double)n, 0, "0.999^n");
	assert_true(optim_power(0, 5) == 0 && optim_power(0.5, 5000) == 0);
}

/* The SIMD loop and its tail compute what the element function does. */
static void test_loop_equals_elements(void **state)
{
	enum { N = 1003 };
	static float param[N], buf[N], grad[N];
	struct optim_f32 c = {.lr = 0.05f, .first = 0.9f, .first_new = 1, .decay = 5e-4f, .nesterov = true};
	for (int i = 0; i < N; i++) {
		param[i] = (float)golden_u(1, (uint64_t)i);
		buf[i] = (float)golden_u(2, (uint64_t)i);
		grad[i] = (float)golden_u(3, (uint64_t)i);
	}
	sgd_update_f32(N, param, buf, grad, 0.5f, &c);
	for (int i = 0; i < N; i++) {
		float p = (float)golden_u(1, (uint64_t)i), b = (float)golden_u(2, (uint64_t)i);
		sgd_element_f32(&p, &b, 0.5f * grad[i], &c);
		assert_true(p == param[i] && b == buf[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_double), cmocka_unit_test(test_float), cmocka_unit_test(test_groups),
		cmocka_unit_test(test_power),  cmocka_unit_test(test_loop_equals_elements),
	};
	return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
