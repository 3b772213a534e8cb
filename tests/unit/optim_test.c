/* Optimizers against torch's traces. */
#include "golden.h"

#include "worker/optim_loop.h"
#include "worker/scaler.h"
#include "worker/schedule.h"

#define STEPS  5
#define PARAMS 4

static const struct trace {
	const char *key;
	struct optim_settings settings;
	struct step_values values;
	double clip; /* 0: none */
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
	{"sgd_clip0.5", {OPTIMIZER_SGD, .weight_decay = 5e-4, .nesterov = true}, {0.1, 0.9}, 0.5},
	{"adamw_clip2", {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2}, {1e-2, 0.9}, 2},
};

static double clip_scale(const struct trace *t, const double *grads)
{
	double squares = 0;
	for (int i = 0; i < PARAMS; i++)
		squares += grads[i] * grads[i];
	return t->clip > 0 ? optim_clip(sqrt(squares), t->clip) : 1;
}

static void check_f64(const json_t *golden, const struct trace *t, const double *start, const double *grads)
{
	double param[PARAMS], slots[N_SLOTS][PARAMS] = {0};
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, t->key), "torch.float64"), NULL);
	memcpy(param, start, sizeof(param));
	for (int step = 0; step < STEPS; step++) {
		struct optim_f64 c = optim_coefs(&t->settings, &t->values, (uint64_t)step + 1, 1, true);
		double scale = clip_scale(t, grads + step * PARAMS);
		if (t->settings.optimizer == OPTIMIZER_SGD)
			sgd_update_f64(PARAMS, param, slots[0], grads + step * PARAMS, scale, &c);
		else
			adam_update_f64(PARAMS, param, slots[0], slots[1], grads + step * PARAMS, scale, &c);
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
		float scale = (float)clip_scale(t, grads + step * PARAMS);
		for (int i = 0; i < PARAMS; i++)
			grad[i] = (float)grads[step * PARAMS + i];
		if (t->settings.optimizer == OPTIMIZER_SGD)
			sgd_update_f32(PARAMS, param, slots[0], grad, scale, &c);
		else
			adam_update_f32(PARAMS, param, slots[0], slots[1], grad, scale, &c);
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

/* Parameters of two groups: 0 and 1 with a quarter of the rate, 2 and 3 spared of weight decay. */
static void test_groups_of_torch(void **state)
{
	const struct optim_settings settings = {OPTIMIZER_SGD, .nesterov = true, .weight_decay = 5e-4};
	const struct step_values values = {0.1, 0.9};
	json_t *golden = golden_load("optim.json");
	autofree double *param = golden_doubles(golden_get(golden, "P0"), NULL), *grads = golden_doubles(golden_get(golden, "G"), NULL);
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, "groups"), "torch.float64"), NULL);
	double buf[PARAMS] = {0};
	for (int step = 0; step < STEPS; step++)
		for (int i = 0; i < PARAMS; i++) {
			struct optim_f64 c = optim_coefs(&settings, &values, (uint64_t)step + 1, i < 2 ? 0.25 : 1, i < 2);
			sgd_element_f64(&param[i], &buf[i], grads[step * PARAMS + i], &c);
			assert_near(param[i], expected[step * PARAMS + i], 1e-12, 1e-15, "groups");
		}
	json_decref(golden);
}

/* torch's AveragedModel: the first update copies. */
static void test_ema(void **state)
{
	json_t *golden = golden_load("optim.json");
	autofree double *param = golden_doubles(golden_get(golden_get(golden, "sgd_lr0.1_m0.9_wd5e-4"), "torch.float64"), NULL);
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, "ema0.9"), "torch.float64"), NULL);
	double ema[PARAMS] = {7, 7, 7, 7};
	for (int step = 0; step < STEPS; step++) {
		double keep = step == 0 ? 0 : 0.9;
		ema_update_f64(PARAMS, ema, param + step * PARAMS, keep, 1 - keep);
		for (int i = 0; i < PARAMS; i++)
			assert_near(ema[i], expected[step * PARAMS + i], 1e-12, 1e-15, "ema");
	}
	json_decref(golden);
}

/* A rate and a beta1 that change from step to step. */
static void test_one_cycle_adamw(void **state)
{
	const struct optim_settings settings = {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2};
	struct train_config cfg;
	struct schedule schedule;
	struct step_values values[STEPS + 1];
	json_t *golden = golden_load("optim.json");
	autofree double *param = golden_doubles(golden_get(golden, "P0"), NULL), *grads = golden_doubles(golden_get(golden, "G"), NULL);
	autofree double *expected = golden_doubles(golden_get(golden_get(golden, "onecycle_adamw"), "torch.float64"), NULL);
	double slots[N_SLOTS][PARAMS] = {0};
	config_defaults(&cfg);
	cfg.scheduler = SCHEDULER_ONE_CYCLE;
	cfg.optimizer = OPTIMIZER_ADAMW;
	cfg.epochs = 1;
	cfg.lr = 1e-2;
	schedule_init(&schedule, &cfg);
	schedule_values(&schedule, STEPS + 1, values);
	for (int step = 0; step < STEPS; step++) {
		struct optim_f64 c = optim_coefs(&settings, &values[step], (uint64_t)step + 1, 1, true);
		adam_update_f64(PARAMS, param, slots[0], slots[1], grads + step * PARAMS, 1, &c);
		for (int i = 0; i < PARAMS; i++)
			assert_near(param[i], expected[step * PARAMS + i], 1e-11, 1e-14, "onecycle_adamw");
	}
	json_decref(golden);
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

static void check_scaler(const json_t *trace, const char *key)
{
	struct grad_scaler s = {.scale = (float)json_number_value(golden_get(trace, "init"))};
	uint32_t interval = (uint32_t)json_integer_value(golden_get(trace, "interval")), skipped = 0;
	size_t n;
	double param = 8;
	autofree double *rows = golden_doubles(golden_get(trace, "rows"), &n);
	for (const double *row = rows; row < rows + n; row += 4) {
		bool bad = row[0] != 0;
		skipped += bad;
		param -= bad ? 0 : 0.5; /* what a step does, where it is made */
		scaler_update(&s, bad, interval);
		if ((double)s.scale != row[1] || s.good_steps != row[2] || s.skipped_steps != skipped || param != row[3])
			fail_msg("%s, step %zu: scale %g, %u good steps", key, (size_t)(row - rows) / 4 + 1, (double)s.scale,
				 s.good_steps);
	}
}

static void test_scaler(void **state)
{
	json_t *golden = golden_load("scaler.json"), *trace;
	const char *key;
	json_object_foreach(golden, key, trace)
		check_scaler(trace, key);
	assert_int_equal(json_object_size(golden), 4);
	json_decref(golden);
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
		cmocka_unit_test(test_groups_of_torch), cmocka_unit_test(test_ema), cmocka_unit_test(test_one_cycle_adamw),
		cmocka_unit_test(test_scaler),
		cmocka_unit_test(test_power),  cmocka_unit_test(test_loop_equals_elements),
	};
	return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
