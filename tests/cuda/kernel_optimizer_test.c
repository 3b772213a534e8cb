/* sgd against worker/optim.h in double, its bits against the CPU's in float; the loss scale; grad_check; cast. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "worker/optim.h"

#include <math.h>

#define LR 0.05f
#define MOMENTUM 0.9f
#define WEIGHT_DECAY 5e-4f

struct arenas {
	struct bench b;
	uint32_t weights, others;
	struct array params, momentum, weight_grads, other_grads, copy;
	struct step_state state;
};

static void arenas_open(struct arenas *t, enum cell cell, uint32_t weights, uint32_t others, float scale)
{
	*t = (struct arenas){.weights = weights, .others = others, .state = {.loss_scale = scale, .lr = LR}};
	bench_init(&t->b, cell);
	bench_share(&t->b, &t->state, sizeof(t->state));
	t->params = array_random(&t->b, CELL_F32, weights + others, 0, 1);
	t->momentum = array_random(&t->b, CELL_F32, weights + others, 0, 0.1);
	t->weight_grads = array_random(&t->b, cell, weights, 0, (double)scale);
	t->other_grads = array_random(&t->b, CELL_F32, others, 0, (double)scale);
	t->copy = array_new(&t->b, cell, weights);
}

static union kernel_args sgd_args(struct arenas *t, bool nesterov, uint32_t growth_interval)
{
	union kernel_args args = {.sgd = {.state = &t->state,
					  .params = t->params.data,
					  .momentum = t->momentum.data,
					  .weight_grads = t->weight_grads.data,
					  .other_grads = t->other_grads.data,
					  .copy = t->copy.data,
					  .weights = t->weights,
					  .others = t->others,
					  .momentum_factor = MOMENTUM,
					  .weight_decay = WEIGHT_DECAY,
					  .nesterov = nesterov,
					  .growth_interval = growth_interval}};
	bench_scratch(&t->b, KERNEL_SGD, &args, NULL, &args.sgd.tickets);
	return args;
}

static void run_sgd(struct arenas *t, const union kernel_args *args)
{
	bench_run(&t->b, KERNEL_SGD, args,
		  (struct region[]){
			  KEPT(t->params), KEPT(t->momentum), KEPT(t->copy), {&t->state, sizeof(t->state), true}},
		  4);
}

static void check_sgd(enum cell cell, uint32_t weights, uint32_t others, bool nesterov, float scale)
{
	struct arenas t;
	arenas_open(&t, cell, weights, others, scale);
	size_t all = weights + others;
	autofree double *p = xcalloc(all, sizeof(double)), *m = xcalloc(all, sizeof(double)),
			*g = xcalloc(all, sizeof(double));
	autofree float *pf = xcalloc(all, sizeof(float)), *mf = xcalloc(all, sizeof(float));
	memcpy(p, t.params.values, all * sizeof(double));
	memcpy(m, t.momentum.values, all * sizeof(double));
	for (size_t i = 0; i < all; i++) {
		g[i] = (i < weights ? t.weight_grads.values[i] : t.other_grads.values[i - weights]) / (double)scale;
		pf[i] = (float)p[i];
		mf[i] = (float)m[i];
		sgd_element_f32(&pf[i], &mf[i], (float)g[i], LR, MOMENTUM, WEIGHT_DECAY, nesterov);
		sgd_element_f64(&p[i], &m[i], g[i], (double)LR, (double)MOMENTUM, (double)WEIGHT_DECAY, nesterov);
	}
	union kernel_args args = sgd_args(&t, nesterov, 0);
	run_sgd(&t, &args);
	assert_all_near("params", array_read(&t.params), p, all, 1e-6, 1e-6);
	assert_all_near("momentum", array_read(&t.momentum), m, all, 1e-6, 1e-6);
	assert_memory_equal(t.params.data, pf, all * sizeof(float)); /* the CPU's bits */
	assert_memory_equal(t.momentum.data, mf, all * sizeof(float));
	assert_all_near("copy", array_read(&t.copy), t.params.values, weights, cell_rounding(cell), cell_least(cell));
	assert_true((double)t.state.loss_scale == (double)scale && t.state.skipped_steps == 0);
	bench_fini(&t.b);
}

static void test_sgd(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		check_sgd(cell, 8, 8, false, 1);
		check_sgd(cell, 72, 24, true, 1);
		check_sgd(cell, 4104, 808, false, 256);
		check_sgd(cell, 8, 0, true, 4);
	}
}

/* As with arenas of more vectors than the grid has threads: here the grid is small instead. */
static void test_threads_loop(void **state)
{
	struct kernel_shape shape = {{2, 1, 1}, {256, 1, 1}};
	for (enum host_order order = 0; order < HOST_ORDERS; order++) {
		struct arenas whole, looped;
		struct err err;
		arenas_open(&whole, CELL_BF16, 9000 * 8, 64, 1);
		arenas_open(&looped, CELL_BF16, 9000 * 8, 64, 1);
		union kernel_args args = sgd_args(&whole, true, 0), args2 = sgd_args(&looped, true, 0);
		host_kernel_run(KERNEL_SGD, CELL_BF16, &args, order);
		assert_int_equal(host_launch(host_kernel(KERNEL_SGD, CELL_BF16), shape, &args2, order, &err), 0);
		assert_memory_equal(whole.params.data, looped.params.data, whole.params.count * sizeof(float));
		assert_memory_equal(whole.copy.data, looped.copy.data, whole.copy.count * 2);
		args2.cast = (struct cast_args){looped.momentum.data, looped.copy.data, looped.weights};
		assert_int_equal(host_launch(host_kernel(KERNEL_CAST, CELL_BF16), shape, &args2, order, &err), 0);
		assert_all_near("cast", array_read(&looped.copy), array_read(&looped.momentum), looped.weights, 0x1p-8,
				0);
		bench_fini(&whole.b);
		bench_fini(&looped.b);
	}
}

static void test_no_copy(void **state)
{
	struct arenas t;
	arenas_open(&t, CELL_F32, 72, 24, 1);
	union kernel_args args = sgd_args(&t, false, 0);
	args.sgd.copy = NULL;
	autofree float *before = xmalloc(72 * sizeof(float));
	memcpy(before, t.copy.data, 72 * sizeof(float));
	run_sgd(&t, &args);
	assert_memory_equal(t.copy.data, before, 72 * sizeof(float));
	bench_fini(&t.b);
}

static void run_grad_check(struct arenas *t)
{
	union kernel_args args = {
		.grad_check = {&t->state, t->weight_grads.data, t->other_grads.data, t->weights, t->others}};
	bench_run(&t->b, KERNEL_GRAD_CHECK, &args, (struct region[]){{&t->state, sizeof(t->state), true}}, 1);
}

static void test_grad_check(void **state)
{
	static const double bad[] = {NAN, INFINITY, -INFINITY};
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			struct arenas t;
			arenas_open(&t, cell, 4104, 808, 256);
			run_grad_check(&t);
			assert_int_equal(t.state.found_inf, 0);
			t.weight_grads.values[4103] = bad[i];
			array_fill(&t.weight_grads);
			run_grad_check(&t);
			assert_int_equal(t.state.found_inf, 1);
			t.weight_grads.values[4103] = 1;
			array_fill(&t.weight_grads);
			t.other_grads.values[800] = bad[i];
			array_fill(&t.other_grads);
			t.state.found_inf = 0;
			run_grad_check(&t);
			assert_int_equal(t.state.found_inf, 1);
			bench_fini(&t.b);
		}
}

/* Found: nothing moves, the scale is halved.  Then it doubles after as many good steps as asked. */
static void test_loss_scale(void **state)
{
	struct arenas t;
	arenas_open(&t, CELL_F16, 4104, 808, 256);
	union kernel_args args = sgd_args(&t, false, 2);
	autofree float *before = xmalloc(4912 * sizeof(float));
	memcpy(before, t.params.data, 4912 * sizeof(float));
	t.state.found_inf = 1;
	t.state.good_steps = 1;
	run_sgd(&t, &args);
	assert_memory_equal(t.params.data, before, 4912 * sizeof(float));
	assert_int_equal(t.state.found_inf, 0);
	assert_int_equal(t.state.skipped_steps, 1);
	assert_true(t.state.loss_scale == 128);
	run_sgd(&t, &args);
	assert_true(t.state.loss_scale == 128 && t.state.good_steps == 1);
	assert_memory_not_equal(t.params.data, before, 4912 * sizeof(float));
	run_sgd(&t, &args);
	assert_true(t.state.loss_scale == 256 && t.state.good_steps == 0);
	args.sgd.growth_interval = 0; /* fixed: the step is left out, the scale stays */
	t.state.found_inf = 1;
	run_sgd(&t, &args);
	assert_true(t.state.loss_scale == 256 && t.state.skipped_steps == 2);
	args.sgd.growth_interval = 1; /* it never becomes infinite */
	t.state.loss_scale = 0x1p127f;
	run_sgd(&t, &args);
	assert_true(t.state.loss_scale == 0x1p127f);
	bench_fini(&t.b);
}

static void test_cast(void **state)
{
	static const size_t counts[] = {8, 264, 40000};
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)
		for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
			struct bench b;
			bench_init(&b, cell);
			struct array from = array_random(&b, CELL_F32, counts[i], 0, 2),
				     to = array_new(&b, cell, counts[i]);
			union kernel_args args = {.cast = {from.data, to.data, (uint32_t)counts[i]}};
			bench_run(&b, KERNEL_CAST, &args, (struct region[]){REGION(to)}, 1);
			assert_all_near("to", array_read(&to), from.values, counts[i], cell_rounding(cell),
					cell_least(cell));
			bench_fini(&b);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sgd),        cmocka_unit_test(test_threads_loop), cmocka_unit_test(test_no_copy),
		cmocka_unit_test(test_grad_check), cmocka_unit_test(test_loss_scale),   cmocka_unit_test(test_cast),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
