/* Batch norm's kernels against ref's batch norm in double, on the values as the cell type holds them.
 *
 * Tolerances: per-channel results (fp32 sums of up to 1200 values) 2e-5 of their scale; tensors additionally half a
 * unit in the last place of the cell type. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "worker/model.h"
#include "worker/ref/ref_ops.h"

#include <math.h>

#define SUMS 2e-5

static const struct bn_shape shapes[] = {
	{1, 8, 2},                  /* the least */
	{3, 16, 35},                /* two vectors, a tail of rows */
	{1, 24, 49},                /* three vectors: a tile with an idle column */
	{5, 72, 13},                /* nine: a second group, mostly idle */
	{2, 136, 81}, {4, 64, 300}, /* ten blocks */
};

struct bn { /* one layer on one shape, with ref's results beside it */
	struct bench b;
	struct bn_shape s;
	size_t count, rows;
	struct array x, gamma, beta;
	struct array mean, inv_std, scale, shift, running_mean, running_var;
	double *ref_y, *ref_mean, *ref_inv_std, *ref_running_mean, *ref_running_var; /* ref_y: (n, c, hw) */
};

static void bn_reference(struct bn *t)
{
	size_t c = (size_t)t->s.c;
	t->ref_y = bench_alloc(&t->b, t->count * sizeof(double));
	double **vectors[] = {&t->ref_mean, &t->ref_inv_std, &t->ref_running_mean, &t->ref_running_var};
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		*vectors[i] = bench_alloc(&t->b, c * sizeof(double));
	memcpy(t->ref_running_mean, t->running_mean.values, c * sizeof(double));
	memcpy(t->ref_running_var, t->running_var.values, c * sizeof(double));
	ref_bn_train(&t->s, to_nchw(&t->b, t->x.values, (size_t)t->s.n, c, (size_t)t->s.hw), t->gamma.values,
		     t->beta.values, t->ref_y, t->ref_mean, t->ref_inv_std, t->ref_running_mean, t->ref_running_var);
}

/* mean, spread: of x.  Runs bn_stats. */
static void bn_open(struct bn *t, enum cell cell, const struct bn_shape *s, double mean, double spread)
{
	size_t c = (size_t)s->c;
	*t = (struct bn){.s = *s, .rows = (size_t)s->n * (size_t)s->hw};
	t->count = t->rows * c;
	bench_init(&t->b, cell);
	t->x = array_random(&t->b, cell, t->count, mean, spread);
	t->gamma = array_random(&t->b, CELL_F32, c, 1, 0.5);
	t->beta = array_random(&t->b, CELL_F32, c, 0, 0.5);
	t->running_mean = array_random(&t->b, CELL_F32, c, 0, 1);
	t->running_var = array_random(&t->b, CELL_F32, c, 1, 0.5);
	struct array *results[] = {&t->mean, &t->inv_std, &t->scale, &t->shift};
	for (size_t i = 0; i < ARRAY_LEN(results); i++)
		*results[i] = array_new(&t->b, CELL_F32, c);
	bn_reference(t);
	union kernel_args args = {.bn_stats = {t->x.data, (uint32_t)t->rows, (uint32_t)c, t->gamma.data, t->beta.data,
					       t->mean.data, t->inv_std.data, t->scale.data, t->shift.data,
					       t->running_mean.data, t->running_var.data, BN_EPS, BN_MOMENTUM}};
	bench_scratch(&t->b, KERNEL_BN_STATS, &args, &args.bn_stats.partials, &args.bn_stats.tickets);
	bench_run(&t->b, KERNEL_BN_STATS, &args,
		  (struct region[]){REGION(t->mean), REGION(t->inv_std), REGION(t->scale), REGION(t->shift),
				    KEPT(t->running_mean), KEPT(t->running_var)},
		  6);
}

static void bn_close(struct bn *t)
{
	bench_fini(&t->b);
}

#define FOR_CELLS_AND_SHAPES(cell, s)                                                                                  \
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)                                                            \
		for (const struct bn_shape *s = shapes; s < shapes + ARRAY_LEN(shapes); s++)

static void check_stats(struct bn *t, double tolerance)
{
	size_t c = (size_t)t->s.c;
	assert_all_near("mean", array_read(&t->mean), t->ref_mean, c, 1e-6, tolerance);
	assert_all_near("inv_std", array_read(&t->inv_std), t->ref_inv_std, c, tolerance, 0);
	assert_all_near("running_mean", array_read(&t->running_mean), t->ref_running_mean, c, 1e-6, tolerance);
	assert_all_near("running_var", array_read(&t->running_var), t->ref_running_var, c, tolerance, 0);
}

static void test_statistics(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, s) {
		struct bn t;
		bn_open(&t, cell, s, 0.7, 1.5);
		check_stats(&t, SUMS);
		for (int c = 0; c < s->c; c++) {
			double scale = t.gamma.values[c] * t.inv_std.values[c];
			assert_all_near("scale", &array_read(&t.scale)[c], &scale, 1, 1e-6, 0);
			double shift = t.beta.values[c] - t.mean.values[c] * scale;
			assert_all_near("shift", &array_read(&t.shift)[c], &shift, 1, 1e-6, 1e-6);
		}
		bn_close(&t);
	}
}

/* The mean a thousand standard deviations from 0: a plain sum of squares in fp32 would lose the variance. */
static void test_statistics_far_from_zero(void **state)
{
	struct bn t;
	bn_open(&t, CELL_F32, &shapes[3], 500, 0.9);
	check_stats(&t, 1e-4);
	bn_close(&t);
}

static void test_constant_channels(void **state)
{
	struct bn t;
	bn_open(&t, CELL_F32, &shapes[1], 3, 0);
	check_stats(&t, 1e-5); /* variance 0 */
	bn_close(&t);
}

/* residual: 0 none, 1 as it is, 2 through a batch norm of its own */
static void check_apply(struct bn *t, int residual, bool relu, bool in_place)
{
	size_t c = (size_t)t->s.c, mark = t->b.n_owned;
	struct array r = array_random(&t->b, t->b.cell, t->count, 0, 1),
		     y = in_place ? r : array_new(&t->b, t->b.cell, t->count);
	struct array res_scale = array_random(&t->b, CELL_F32, c, 1, 0.3),
		     res_shift = array_random(&t->b, CELL_F32, c, 0, 1);
	double *want = to_nhwc(&t->b, t->ref_y, (size_t)t->s.n, c, (size_t)t->s.hw);
	for (size_t i = 0; residual && i < t->count; i++) {
		double through = r.values[i] * res_scale.values[i % c] + res_shift.values[i % c];
		want[i] += residual == 2 ? through : r.values[i];
	}
	if (relu)
		ref_relu_fwd(t->count, want, want);
	union kernel_args args = {.bn_apply = {.x = t->x.data,
					       .scale = t->scale.data,
					       .shift = t->shift.data,
					       .y = y.data,
					       .rows = (uint32_t)t->rows,
					       .c = (uint32_t)c,
					       .relu = relu}};
	args.bn_apply.residual = residual ? r.data : NULL;
	args.bn_apply.res_scale = residual == 2 ? res_scale.data : NULL;
	args.bn_apply.res_shift = residual == 2 ? res_shift.data : NULL;
	struct region output = REGION(y);
	output.keep = in_place;
	bench_run(&t->b, KERNEL_BN_APPLY, &args, &output, 1);
	assert_all_near("y", array_read(&y), want, t->count, 1.01 * cell_rounding(t->b.cell),
			SUMS + cell_least(t->b.cell));
	while (t->b.n_owned > mark)
		free(t->b.owned[--t->b.n_owned].data);
}

static void test_apply(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, s) {
		struct bn t;
		bn_open(&t, cell, s, 0.7, 1.5);
		for (int residual = 0; residual <= 2; residual++)
			for (int relu = 0; relu <= 1; relu++)
				check_apply(&t, residual, relu, false);
		check_apply(&t, 1, true, true);
		bn_close(&t);
	}
}

static void test_relu_keeps_nan(void **state)
{
	struct bn t;
	bn_open(&t, CELL_BF16, &shapes[0], 0, 1);
	((uint16_t *)t.x.data)[3] = 0x7fff;
	struct array y = array_new(&t.b, CELL_BF16, t.count);
	union kernel_args args = {.bn_apply = {.x = t.x.data,
					       .scale = t.scale.data,
					       .shift = t.shift.data,
					       .y = y.data,
					       .rows = (uint32_t)t.rows,
					       .c = 8,
					       .relu = 1}};
	bench_run(&t.b, KERNEL_BN_APPLY, &args, (struct region[]){REGION(y)}, 1);
	array_read(&y);
	for (size_t i = 0; i < t.count; i++)
		assert_int_equal(isnan(y.values[i]) != 0, i == 3);
	bn_close(&t);
}

/* --- backward --- */

struct backward {
	struct array y, dy_a, dy_b, dz, dx, dgamma, dbeta, coef;
	double *want_dz, *want_dx, *want_dgamma, *want_dbeta; /* tensors (rows, c) */
};

/* The layer's output y = relu(bn(x)) as the device stores it, and ref's gradients with its mask. */
static void backward_reference(struct bn *t, struct backward *w, enum bn_mask mask, bool join)
{
	size_t n = (size_t)t->s.n, c = (size_t)t->s.c, hw = (size_t)t->s.hw;
	double *summed = bench_alloc(&t->b, t->count * sizeof(double));
	w->want_dz = bench_alloc(&t->b, t->count * sizeof(double));
	for (size_t i = 0; i < t->count; i++) {
		summed[i] = w->dy_a.values[i] + (join ? w->dy_b.values[i] : 0);
		w->want_dz[i] = 0;
	}
	if (mask == BN_MASK_NONE)
		memcpy(w->want_dz, summed, t->count * sizeof(double));
	else
		ref_relu_bwd(t->count, w->y.values, summed, w->want_dz);
	double *dx = bench_alloc(&t->b, t->count * sizeof(double));
	memset(dx, 0, t->count * sizeof(double));
	w->want_dgamma = bench_alloc(&t->b, c * sizeof(double));
	w->want_dbeta = bench_alloc(&t->b, c * sizeof(double));
	ref_bn_bwd(&t->s, to_nchw(&t->b, t->x.values, n, c, hw), to_nchw(&t->b, w->want_dz, n, c, hw), t->gamma.values,
		   t->ref_mean, t->ref_inv_std, dx, w->want_dgamma, w->want_dbeta);
	w->want_dx = to_nhwc(&t->b, dx, n, c, hw);
}

static void backward_open(struct bn *t, struct backward *w, enum bn_mask mask, bool join)
{
	size_t c = (size_t)t->s.c;
	w->y = array_new(&t->b, t->b.cell, t->count);
	union kernel_args apply = {.bn_apply = {.x = t->x.data,
						.scale = t->scale.data,
						.shift = t->shift.data,
						.y = w->y.data,
						.rows = (uint32_t)t->rows,
						.c = (uint32_t)c,
						.relu = 1}};
	bench_run(&t->b, KERNEL_BN_APPLY, &apply, (struct region[]){REGION(w->y)}, 1);
	array_read(&w->y);
	w->dy_a = array_random(&t->b, t->b.cell, t->count, 0.1, 1);
	w->dy_b = array_random(&t->b, t->b.cell, t->count, 0, 1);
	w->dz = array_new(&t->b, t->b.cell, t->count);
	w->dx = array_new(&t->b, t->b.cell, t->count);
	w->dgamma = array_new(&t->b, CELL_F32, c);
	w->dbeta = array_new(&t->b, CELL_F32, c);
	w->coef = array_new(&t->b, CELL_F32, 3 * c);
	backward_reference(t, w, mask, join);
}

static void run_reduce(struct bn *t, struct backward *w, enum bn_mask mask, bool join, bool store)
{
	union kernel_args args = {.bn_backward_reduce = {.dy_a = w->dy_a.data,
							 .dy_b = join ? w->dy_b.data : NULL,
							 .x = t->x.data,
							 .y = mask == BN_MASK_Y ? w->y.data : NULL,
							 .mask = mask,
							 .scale = t->scale.data,
							 .shift = t->shift.data,
							 .gamma = t->gamma.data,
							 .mean = t->mean.data,
							 .inv_std = t->inv_std.data,
							 .dz = store ? w->dz.data : NULL,
							 .dgamma = w->dgamma.data,
							 .dbeta = w->dbeta.data,
							 .coef = w->coef.data,
							 .rows = (uint32_t)t->rows,
							 .c = (uint32_t)t->s.c}};
	bench_scratch(&t->b, KERNEL_BN_BACKWARD_REDUCE, &args, &args.bn_backward_reduce.partials,
		      &args.bn_backward_reduce.tickets);
	bench_run(&t->b, KERNEL_BN_BACKWARD_REDUCE, &args,
		  (struct region[]){REGION(w->dgamma), REGION(w->dbeta), REGION(w->coef), REGION(w->dz)},
		  store ? 4 : 3);
}

static void run_apply(struct bn *t, struct backward *w, enum bn_mask mask, bool join, bool stored)
{
	union kernel_args args = {.bn_backward_apply = {.dy_a = stored ? w->dz.data : w->dy_a.data,
							.dy_b = join && !stored ? w->dy_b.data : NULL,
							.x = t->x.data,
							.y = mask == BN_MASK_Y && !stored ? w->y.data : NULL,
							.mask = stored ? BN_MASK_NONE : mask,
							.scale = t->scale.data,
							.shift = t->shift.data,
							.coef = w->coef.data,
							.dx = w->dx.data,
							.rows = (uint32_t)t->rows,
							.c = (uint32_t)t->s.c}};
	bench_run(&t->b, KERNEL_BN_BACKWARD_APPLY, &args, (struct region[]){REGION(w->dx)}, 1);
}

static void check_backward(enum cell cell, const struct bn_shape *s, enum bn_mask mask, bool join, bool store)
{
	struct bn t;
	struct backward w;
	bn_open(&t, cell, s, 0.7, 1.5);
	backward_open(&t, &w, mask, join);
	run_reduce(&t, &w, mask, join, store);
	run_apply(&t, &w, mask, join, store);
	size_t c = (size_t)s->c;
	double unit = cell_rounding(cell), sums = SUMS * sqrt((double)t.rows);
	assert_all_near("dgamma", array_read(&w.dgamma), w.want_dgamma, c, SUMS, sums);
	assert_all_near("dbeta", array_read(&w.dbeta), w.want_dbeta, c, SUMS, sums);
	if (store)
		assert_all_near("dz", array_read(&w.dz), w.want_dz, t.count, 1.01 * unit, 1e-7 + cell_least(cell));
	/* A stored dz was rounded once more (values up to 2, times up to 4 of scale where two rows make the variance).
	 */
	double extra = store && join ? 8 * unit : 0;
	double largest = 0;
	for (size_t i = 0; i < c; i++)
		largest = fmax(largest, t.ref_inv_std[i]);
	assert_all_near("dx", array_read(&w.dx), w.want_dx, t.count, 1.01 * unit,
			(1e-5 * fmax(1, largest) + extra) * fmax(1, largest) + cell_least(cell));
	bn_close(&t);
}

static void test_backward(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, s)
		for (enum bn_mask mask = BN_MASK_NONE; mask <= BN_MASK_X; mask++)
			for (int join = 0; join <= 1; join++)
				if (s->n * s->hw < 1024 || (mask == BN_MASK_Y && join))
					check_backward(cell, s, mask, join, join);
	check_backward(CELL_BF16, &shapes[2], BN_MASK_Y, false, true);
	check_backward(CELL_F16, &shapes[2], BN_MASK_X, true, false);
}

/* The mask of x * scale + shift is that of the stored output, bit for bit. */
static void test_both_masks_agree(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		struct bn t;
		struct backward w;
		bn_open(&t, cell, &shapes[4], 0.7, 1.5);
		backward_open(&t, &w, BN_MASK_Y, false);
		run_reduce(&t, &w, BN_MASK_Y, false, true);
		autofree void *by_y = xmalloc(t.count * cell_size(cell));
		memcpy(by_y, w.dz.data, t.count * cell_size(cell));
		run_reduce(&t, &w, BN_MASK_X, false, true);
		assert_memory_equal(by_y, w.dz.data, t.count * cell_size(cell));
		bn_close(&t);
	}
}

/* dz over dy_a, dx over dz: the arrays of the gradients are few. */
static void test_backward_in_place(void **state)
{
	struct bn t;
	struct backward w, apart;
	bn_open(&t, CELL_BF16, &shapes[1], 0.7, 1.5);
	backward_open(&t, &w, BN_MASK_Y, true);
	apart = w;
	run_reduce(&t, &apart, BN_MASK_Y, true, true);
	run_apply(&t, &apart, BN_MASK_Y, true, true);
	union kernel_args reduce = {.bn_backward_reduce = {.dy_a = w.dy_a.data,
							   .dy_b = w.dy_b.data,
							   .x = t.x.data,
							   .y = w.y.data,
							   .mask = BN_MASK_Y,
							   .gamma = t.gamma.data,
							   .mean = t.mean.data,
							   .inv_std = t.inv_std.data,
							   .dz = w.dy_a.data,
							   .dgamma = w.dgamma.data,
							   .dbeta = w.dbeta.data,
							   .coef = w.coef.data,
							   .rows = (uint32_t)t.rows,
							   .c = (uint32_t)t.s.c}};
	bench_scratch(&t.b, KERNEL_BN_BACKWARD_REDUCE, &reduce, &reduce.bn_backward_reduce.partials,
		      &reduce.bn_backward_reduce.tickets);
	bench_run(&t.b, KERNEL_BN_BACKWARD_REDUCE, &reduce, (struct region[]){KEPT(w.dy_a), REGION(w.coef)}, 2);
	union kernel_args apply = {.bn_backward_apply = {.dy_a = w.dy_a.data,
							 .x = t.x.data,
							 .coef = w.coef.data,
							 .dx = w.dy_a.data,
							 .rows = (uint32_t)t.rows,
							 .c = (uint32_t)t.s.c}};
	bench_run(&t.b, KERNEL_BN_BACKWARD_APPLY, &apply, (struct region[]){KEPT(w.dy_a)}, 1);
	assert_memory_equal(w.dy_a.data, apart.dx.data, t.count * 2);
	bn_close(&t);
}

/* Channels that are padding (gamma, beta and x are 0) hold 0 afterwards, forward and backward. */
static void test_padding_stays_zero(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		struct bn t;
		struct backward w;
		bn_open(&t, cell, &shapes[1], 0, 0);
		t.gamma = array_of(&t.b, CELL_F32, 16, 0);
		t.scale = array_of(&t.b, CELL_F32, 16, 0);
		t.shift = array_of(&t.b, CELL_F32, 16, 0);
		backward_open(&t, &w, BN_MASK_Y, true);
		run_reduce(&t, &w, BN_MASK_Y, true, true);
		run_apply(&t, &w, BN_MASK_Y, true, true);
		array_read(&w.dx);
		for (size_t i = 0; i < t.count; i++)
			assert_true(w.y.values[i] == 0 && w.dx.values[i] == 0);
		array_read(&w.dgamma);
		for (size_t c = 0; c < 16; c++)
			assert_true(w.dgamma.values[c] == 0);
		bn_close(&t);
	}
}

static void test_running(void **state)
{
	struct bench b;
	enum { LAYERS = 3 };
	static const uint32_t channels[LAYERS] = {8, 520, 64};
	struct bn_layer layers[LAYERS];
	struct array gamma[LAYERS], beta[LAYERS], mean[LAYERS], var[LAYERS], scale[LAYERS], shift[LAYERS];
	struct region outputs[2 * LAYERS];
	bench_init(&b, CELL_F32);
	bench_share(&b, layers, sizeof(layers));
	for (int l = 0; l < LAYERS; l++) {
		gamma[l] = array_random(&b, CELL_F32, channels[l], 1, 0.5);
		beta[l] = array_random(&b, CELL_F32, channels[l], 0, 0.5);
		mean[l] = array_random(&b, CELL_F32, channels[l], 0, 2);
		var[l] = array_random(&b, CELL_F32, channels[l], 1, 0.9);
		scale[l] = array_new(&b, CELL_F32, channels[l]);
		shift[l] = array_new(&b, CELL_F32, channels[l]);
		layers[l] = (struct bn_layer){gamma[l].data, beta[l].data,  mean[l].data, var[l].data,
					      scale[l].data, shift[l].data, channels[l]};
		outputs[2 * l] = (struct region)REGION(scale[l]);
		outputs[2 * l + 1] = (struct region)REGION(shift[l]);
	}
	union kernel_args args = {.bn_running = {layers, LAYERS, BN_EPS}};
	bench_run(&b, KERNEL_BN_RUNNING, &args, outputs, 2 * LAYERS);
	for (int l = 0; l < LAYERS; l++) { /* at x = 1 and x = 0 */
		struct bn_shape s = {1, (int)channels[l], 1};
		struct array x = array_of(&b, CELL_F32, channels[l], 1), at1 = array_new(&b, CELL_F32, channels[l]);
		struct array zero = array_of(&b, CELL_F32, channels[l], 0), at0 = array_new(&b, CELL_F32, channels[l]);
		ref_bn_eval(&s, x.values, gamma[l].values, beta[l].values, mean[l].values, var[l].values, at1.values);
		ref_bn_eval(&s, zero.values, gamma[l].values, beta[l].values, mean[l].values, var[l].values,
			    at0.values);
		array_read(&scale[l]);
		assert_all_near("shift", array_read(&shift[l]), at0.values, channels[l], 1e-6, 2e-6);
		for (uint32_t c = 0; c < channels[l]; c++)
			scale[l].values[c] += shift[l].values[c];
		assert_all_near("scale + shift", scale[l].values, at1.values, channels[l], 1e-6, 2e-6);
	}
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statistics),         cmocka_unit_test(test_statistics_far_from_zero),
		cmocka_unit_test(test_constant_channels),  cmocka_unit_test(test_apply),
		cmocka_unit_test(test_relu_keeps_nan),     cmocka_unit_test(test_backward),
		cmocka_unit_test(test_both_masks_agree),   cmocka_unit_test(test_backward_in_place),
		cmocka_unit_test(test_padding_stays_zero), cmocka_unit_test(test_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
