/* The optimizer against worker/optim.h in double, its bits against the CPU's in float; the loss scale; grad_check; cast. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "worker/optim.h"

#include <math.h>

/* Two segments of each region: the second one has another learning rate; `others` do not decay. */
struct arenas {
	struct bench b;
	uint32_t weights, others;
	struct array params, slots[N_SLOTS], weight_grads, other_grads, copy;
	struct step_state state;
	struct optim_f64 coefs[OPTIM_SEGMENTS];
	struct optim_f32 rounded[OPTIM_SEGMENTS];
	uint32_t ends[OPTIM_SEGMENTS];
};

static const struct optim_settings sgd = {OPTIMIZER_SGD, .weight_decay = 5e-4};
static const struct optim_settings nesterov = {OPTIMIZER_SGD, .nesterov = true, .weight_decay = 5e-4};
static const struct optim_settings dampened = {OPTIMIZER_SGD, .dampening = 0.25, .weight_decay = 5e-4};
static const struct optim_settings adam = {OPTIMIZER_ADAM, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 5e-4};
static const struct optim_settings adamw = {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-6, .weight_decay = 0.05};

static void arenas_open(struct arenas *t, enum cell cell, uint32_t weights, uint32_t others, float scale)
{
	uint32_t half = weights / 16 * 8, ends[] = {half, weights, weights, weights, weights, weights + others};
	*t = (struct arenas){.weights = weights, .others = others, .state = {.scaler.scale = scale, .clip = 1, .steps = 4}};
	memcpy(t->ends, ends, sizeof(ends));
	bench_init(&t->b, cell);
	bench_share(&t->b, &t->state, sizeof(t->state));
	bench_share(&t->b, t->rounded, sizeof(t->rounded));
	t->params = array_random(&t->b, CELL_F32, weights + others, 0, 1);
	t->slots[0] = array_random(&t->b, CELL_F32, weights + others, 0, 0.1);
	t->slots[1] = array_random(&t->b, CELL_F32, weights + others, 1, 0.1);
	t->weight_grads = array_random(&t->b, cell, weights, 0, (double)scale);
	t->other_grads = array_random(&t->b, CELL_F32, others, 0, (double)scale);
	t->copy = array_new(&t->b, cell, weights);
}

static union kernel_args optimizer_args(struct arenas *t, const struct optim_settings *settings, uint32_t growth_interval)
{
	static const double scales[OPTIM_SEGMENTS] = {1, 0.25, 1, 1, 1, 0.5};
	const struct step_values values = {0.05, 0.9};
	for (int i = 0; i < OPTIM_SEGMENTS; i++) {
		t->coefs[i] = optim_coefs(settings, &values, t->state.steps + 1, scales[i], i < N_GROUPS);
		t->rounded[i] = optim_coefs_f32(&t->coefs[i]);
	}
	union kernel_args args = {.optimizer = {.state = &t->state,
						.params = t->params.data,
						.slots = {t->slots[0].data, t->slots[1].data},
						.weight_grads = t->weight_grads.data,
						.other_grads = t->other_grads.data,
						.copy = t->copy.data,
						.weights = t->weights,
						.others = t->others,
						.coefs = t->rounded,
						.optimizer = settings->optimizer,
						.growth_interval = growth_interval}};
	memcpy(args.optimizer.ends, t->ends, sizeof(t->ends));
	bench_scratch(&t->b, KERNEL_OPTIMIZER, &args, NULL, &args.optimizer.tickets);
	return args;
}

static void run_optimizer(struct arenas *t, const union kernel_args *args)
{
	bench_run(&t->b, KERNEL_OPTIMIZER, args,
		  (struct region[]){KEPT(t->params),
				    KEPT(t->slots[0]),
				    KEPT(t->slots[1]),
				    KEPT(t->copy),
				    {&t->state, sizeof(t->state), true}},
		  5);
}

static int segment_of(const struct arenas *t, size_t i)
{
	int segment = 0;
	while (i >= t->ends[segment])
		segment++;
	return segment;
}

struct expected { /* in double, and the CPU's bits in float */
	double *p, *m, *v;
	float *pf, *mf, *vf;
};

static void expect(const struct arenas *t, const struct optim_settings *settings, float scale, struct expected *e)
{
	for (size_t i = 0; i < t->weights + t->others; i++) {
		double g = (i < t->weights ? t->weight_grads.values[i] : t->other_grads.values[i - t->weights]) / (double)scale;
		int s = segment_of(t, i);
		e->pf[i] = (float)(e->p[i] = t->params.values[i]);
		e->mf[i] = (float)(e->m[i] = t->slots[0].values[i]);
		e->vf[i] = (float)(e->v[i] = t->slots[1].values[i]);
		if (settings->optimizer == OPTIMIZER_SGD) {
			sgd_element_f64(&e->p[i], &e->m[i], g, &t->coefs[s]);
			sgd_element_f32(&e->pf[i], &e->mf[i], (float)g, &t->rounded[s]);
		} else {
			adam_element_f64(&e->p[i], &e->m[i], &e->v[i], g, &t->coefs[s]);
			adam_element_f32(&e->pf[i], &e->mf[i], &e->vf[i], (float)g, &t->rounded[s]);
		}
	}
}

static void check_step(enum cell cell, uint32_t weights, uint32_t others, const struct optim_settings *settings, float scale)
{
	struct arenas t;
	arenas_open(&t, cell, weights, others, scale);
	size_t all = weights + others;
	autofree double *doubles = xcalloc(3 * all, sizeof(double));
	autofree float *floats = xcalloc(3 * all, sizeof(float));
	struct expected e = {doubles, doubles + all, doubles + 2 * all, floats, floats + all, floats + 2 * all};
	union kernel_args args = optimizer_args(&t, settings, 0);
	expect(&t, settings, scale, &e);
	run_optimizer(&t, &args);
	assert_all_near("params", array_read(&t.params), e.p, all, 1e-6, 1e-6);
	assert_all_near("slot 0", array_read(&t.slots[0]), e.m, all, 1e-6, 1e-6);
	assert_all_near("slot 1", array_read(&t.slots[1]), e.v, all, 1e-6, 1e-6);
	assert_memory_equal(t.params.data, e.pf, all * sizeof(float)); /* the CPU's bits */
	assert_memory_equal(t.slots[0].data, e.mf, all * sizeof(float));
	assert_memory_equal(t.slots[1].data, e.vf, all * sizeof(float));
	assert_all_near("copy", array_read(&t.copy), t.params.values, weights, cell_rounding(cell), cell_least(cell));
	assert_true((double)t.state.scaler.scale == (double)scale && t.state.scaler.skipped_steps == 0);
	assert_true(t.state.steps == 5 && t.state.moved);
	bench_fini(&t.b);
}

static void test_optimizers(void **state)
{
	static const struct optim_settings *const all[] = {&sgd, &nesterov, &dampened, &adam, &adamw};
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			check_step(cell, 72, 24, all[i], 4);
		check_step(cell, 8, 8, &sgd, 1);
		check_step(cell, 4104, 808, &adamw, 256);
		check_step(cell, 8, 0, &nesterov, 4);
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
		union kernel_args args = optimizer_args(&whole, &nesterov, 0), args2 = optimizer_args(&looped, &nesterov, 0);
		host_kernel_run(KERNEL_OPTIMIZER, CELL_BF16, &args, order);
		assert_int_equal(host_launch(host_kernel(KERNEL_OPTIMIZER, CELL_BF16), shape, &args2, order, &err), 0);
		assert_memory_equal(whole.params.data, looped.params.data, whole.params.count * sizeof(float));
		assert_memory_equal(whole.copy.data, looped.copy.data, whole.copy.count * 2);
		args2.cast = (struct cast_args){looped.slots[0].data, looped.copy.data, looped.weights};
		assert_int_equal(host_launch(host_kernel(KERNEL_CAST, CELL_BF16), shape, &args2, order, &err), 0);
		assert_all_near("cast", array_read(&looped.copy), array_read(&looped.slots[0]), looped.weights, 0x1p-8,
				0);
		bench_fini(&whole.b);
		bench_fini(&looped.b);
	}
}

static void test_no_copy(void **state)
{
	struct arenas t;
	arenas_open(&t, CELL_F32, 72, 24, 1);
	union kernel_args args = optimizer_args(&t, &sgd, 0);
	args.optimizer.copy = NULL;
	autofree float *before = xmalloc(72 * sizeof(float));
	memcpy(before, t.copy.data, 72 * sizeof(float));
	run_optimizer(&t, &args);
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

/* Clipped gradients are the ones that optim_clip() gives, and the optimizer uses them. */
static void check_clip(enum cell cell, uint32_t weights, uint32_t others, double max_norm, float scale)
{
	struct arenas t;
	arenas_open(&t, cell, weights, others, scale);
	double squares = 0;
	for (size_t i = 0; i < weights + others; i++) {
		double g = (i < weights ? t.weight_grads.values[i] : t.other_grads.values[i - weights]) / (double)scale;
		squares += g * g;
	}
	union kernel_args args = {.grad_norm = {.state = &t.state,
						.weight_grads = t.weight_grads.data,
						.other_grads = t.other_grads.data,
						.weights = weights,
						.others = others,
						.max_norm = (float)max_norm}};
	bench_scratch(&t.b, KERNEL_GRAD_NORM, &args, &args.grad_norm.partials, &args.grad_norm.tickets);
	bench_run(&t.b, KERNEL_GRAD_NORM, &args, (struct region[]){{&t.state, sizeof(t.state), true}}, 1);
	double clip = (double)t.state.clip, expected = optim_clip(sqrt(squares), max_norm);
	assert_true(fabs(clip - expected) <= 1e-6 * expected);
	for (size_t i = 0; i < weights; i++)
		t.weight_grads.values[i] = 0;
	for (size_t i = 0; i < others; i++)
		t.other_grads.values[i] = (double)scale;
	array_fill(&t.weight_grads);
	array_fill(&t.other_grads);
	const struct optim_settings plain = {OPTIMIZER_SGD};
	args = optimizer_args(&t, &plain, 0);
	run_optimizer(&t, &args);
	double rate = (double)t.rounded[OPTIM_SEGMENTS - 1].lr, first = (double)t.rounded[OPTIM_SEGMENTS - 1].first;
	size_t at = weights + others - 1; /* a gradient of 1, clipped, behind the momentum there was */
	double before = t.params.values[at], buf = first * t.slots[0].values[at] + clip;
	assert_true(fabs(array_read(&t.params)[at] - (before - rate * buf)) <= 1e-6);
	bench_fini(&t.b);
}

static void test_clip(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		check_clip(cell, 72, 24, 0.5, 4);
		check_clip(cell, 72, 24, 1e9, 4); /* nothing to clip */
		check_clip(cell, 4104, 808, 3, 256);
	}
	check_clip(CELL_BF16, 300 * 256 * 8, 64, 10, 1); /* threads loop */
}

/* Averages only after a step that was made; after the first one copies. */
static void check_ema(uint64_t steps, bool moved, size_t params, size_t running)
{
	struct bench b;
	struct step_state s = {.steps = steps, .moved = moved};
	bench_init(&b, CELL_F32);
	bench_share(&b, &s, sizeof(s));
	struct array from[] = {array_random(&b, CELL_F32, params, 0, 1), array_random(&b, CELL_F32, running, 0, 1)};
	struct array ema[] = {array_random(&b, CELL_F32, params, 0, 1), array_random(&b, CELL_F32, running, 0, 1)};
	union kernel_args args = {.ema = {&s, from[0].data, from[1].data, ema[0].data, ema[1].data, (uint32_t)params,
					  (uint32_t)running, 0.75}};
	double keep = !moved ? 1 : steps == 1 ? 0 : 0.75;
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < ema[k].count; i++)
			from[k].values[i] = keep * ema[k].values[i] + (1 - keep) * from[k].values[i];
	bench_run(&b, KERNEL_EMA, &args, (struct region[]){KEPT(ema[0]), KEPT(ema[1])}, 2);
	for (int k = 0; k < 2; k++)
		assert_all_near("average", array_read(&ema[k]), from[k].values, ema[k].count, 1e-6, 1e-6);
	bench_fini(&b);
}

static void test_ema(void **state)
{
	check_ema(1, true, 4104, 808);
	check_ema(2, true, 8, 0);
	check_ema(7, true, 264, 40);
	check_ema(7, false, 264, 40);
}

static void test_exchange(void **state)
{
	struct bench b;
	bench_init(&b, CELL_F32);
	struct array x = array_random(&b, CELL_F32, 4104, 0, 1), y = array_random(&b, CELL_F32, 4104, 5, 1);
	union kernel_args args = {.exchange = {x.data, y.data, 4104}};
	autofree double *was = xmalloc(4104 * sizeof(double));
	memcpy(was, x.values, 4104 * sizeof(double));
	autofree double *other = xmalloc(4104 * sizeof(double));
	memcpy(other, y.values, 4104 * sizeof(double));
	bench_run(&b, KERNEL_EXCHANGE, &args, (struct region[]){KEPT(x), KEPT(y)}, 2);
	assert_all_near("x", array_read(&x), other, 4104, 1e-7, 0);
	assert_all_near("y", array_read(&y), was, 4104, 1e-7, 0);
	bench_fini(&b);
}

/* Found: nothing moves, the scale is halved.  Then it doubles after as many good steps as asked. */
static void test_loss_scale(void **state)
{
	struct arenas t;
	arenas_open(&t, CELL_F16, 4104, 808, 256);
	union kernel_args args = optimizer_args(&t, &sgd, 2);
	autofree float *before = xmalloc(4912 * sizeof(float));
	memcpy(before, t.params.data, 4912 * sizeof(float));
	t.state.found_inf = 1;
	t.state.scaler.good_steps = 1;
	run_optimizer(&t, &args);
	assert_memory_equal(t.params.data, before, 4912 * sizeof(float));
	assert_int_equal(t.state.found_inf, 0);
	assert_int_equal(t.state.scaler.skipped_steps, 1);
	assert_true(t.state.steps == 4 && !t.state.moved);
	assert_true(t.state.scaler.scale == 128);
	run_optimizer(&t, &args);
	assert_true(t.state.scaler.scale == 128 && t.state.scaler.good_steps == 1);
	assert_memory_not_equal(t.params.data, before, 4912 * sizeof(float));
	run_optimizer(&t, &args);
	assert_true(t.state.scaler.scale == 256 && t.state.scaler.good_steps == 0);
	args.optimizer.growth_interval = 0; /* fixed: the step is left out, the scale stays */
	t.state.found_inf = 1;
	run_optimizer(&t, &args);
	assert_true(t.state.scaler.scale == 256 && t.state.scaler.skipped_steps == 2);
	args.optimizer.growth_interval = 1; /* it never becomes infinite */
	t.state.scaler.scale = 0x1p127f;
	run_optimizer(&t, &args);
	assert_true(t.state.scaler.scale == 0x1p127f);
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
		cmocka_unit_test(test_optimizers),       cmocka_unit_test(test_threads_loop), cmocka_unit_test(test_no_copy),
		cmocka_unit_test(test_clip),	   cmocka_unit_test(test_ema),		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_grad_check), cmocka_unit_test(test_loss_scale),   cmocka_unit_test(test_cast),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
