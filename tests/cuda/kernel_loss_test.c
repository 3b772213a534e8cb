/* softmax_ce against ref's cross-entropy in double; soft targets as the mixture of two such losses. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "worker/ref/ref_ops.h"

#include <math.h>

static const struct {
	uint32_t n, classes;
} shapes[] = {{1, 10}, {7, 100}, {8, 8}, {33, 100}, {3, 2}};

struct loss {
	struct bench b;
	uint32_t n, classes, c;
	struct array logits, bias, dlogits, dbias;
	int32_t *labels, *partners;
	float *shares;
	double *summed; /* (n, classes): logits + bias */
	struct step_state state;
	/* ref's: */
	double *dwant; /* (n, classes) */
	double loss;
	double correct;
	uint64_t correct5;
};

static void loss_open(struct loss *t, enum cell cell, uint32_t n, uint32_t classes)
{
	*t = (struct loss){.n = n, .classes = classes, .c = (classes + 7) / 8 * 8};
	bench_init(&t->b, cell);
	bench_share(&t->b, &t->state, sizeof(t->state));
	t->logits = array_random(&t->b, cell, (size_t)n * t->c, 0, 4);
	t->bias = array_random(&t->b, CELL_F32, t->c, 0, 1);
	t->dlogits = array_new(&t->b, cell, (size_t)n * t->c);
	t->dbias = array_new(&t->b, CELL_F32, t->c);
	t->labels = bench_alloc(&t->b, n * sizeof(int32_t));
	t->partners = bench_alloc(&t->b, n * sizeof(int32_t));
	t->shares = bench_alloc(&t->b, n * sizeof(float));
	t->summed = bench_alloc(&t->b, (size_t)n * classes * sizeof(double));
	t->dwant = bench_alloc(&t->b, (size_t)n * classes * sizeof(double));
	for (uint32_t i = 0; i < n; i++) {
		t->labels[i] = (int32_t)(bench_random(&t->b) * classes);
		t->partners[i] = (int32_t)(bench_random(&t->b) * classes);
		t->shares[i] = (float)bench_random(&t->b);
		for (uint32_t k = 0; k < classes; k++)
			t->summed[i * classes + k] =
				(double)((float)t->logits.values[i * t->c + k] + (float)t->bias.values[k]);
	}
	t->state = (struct step_state){.scaler.scale = 1,
				       .bad_step = NO_BAD_STEP,
				       .step = 17,
				       .loss = 1000,
				       .correct = 50,
				       .correct5 = 60,
				       .images = 200};
}

/* How many logits of row i come before that of its label in labels: larger, or equal and earlier. */
static uint32_t rank_of(const struct loss *t, uint32_t i, const int32_t *labels)
{
	const double *row = t->summed + (size_t)i * t->classes;
	uint32_t rank = 0;
	for (int32_t k = 0; k < (int32_t)t->classes; k++)
		rank += row[k] > row[labels[i]] || (row[k] == row[labels[i]] && k < labels[i]);
	return rank;
}

/* Fills ref's results; soft: with partners and shares. */
static void loss_reference(struct loss *t, double smoothing, bool soft)
{
	size_t count = (size_t)t->n * t->classes;
	autofree double *a = xcalloc(t->n, sizeof(double)), *b = xcalloc(t->n, sizeof(double));
	autofree double *db = xcalloc(count, sizeof(double));
	struct targets own = targets_of(t->labels, smoothing), other = targets_of(t->partners, smoothing);
	ref_cross_entropy((int)t->n, (int)t->classes, t->summed, &own, a, t->dwant);
	ref_cross_entropy((int)t->n, (int)t->classes, t->summed, &other, b, db);
	t->correct = t->correct5 = 0;
	t->loss = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		double share = soft ? (double)t->shares[i] : 1;
		t->loss += share * a[i] + (1 - share) * b[i];
		t->correct += (rank_of(t, i, t->labels) == 0 ? share : 0) + (rank_of(t, i, t->partners) == 0 ? 1 - share : 0);
		t->correct5 += rank_of(t, i, t->labels) < 5;
		for (size_t k = (size_t)i * t->classes; k < (size_t)(i + 1) * t->classes; k++)
			t->dwant[k] = share * t->dwant[k] + (1 - share) * db[k];
	}
}

static union kernel_args loss_args(struct loss *t, double smoothing, bool soft)
{
	union kernel_args args = {.softmax_ce = {.state = &t->state,
						 .logits = t->logits.data,
						 .bias = t->bias.data,
						 .labels = t->labels,
						 .smoothing = (float)smoothing,
						 .dlogits = t->dlogits.data,
						 .dbias = t->dbias.data,
						 .n = t->n,
						 .classes = t->classes,
						 .c = t->c}};
	args.softmax_ce.partners = soft ? t->partners : NULL;
	args.softmax_ce.shares = soft ? t->shares : NULL;
	bench_scratch(&t->b, KERNEL_SOFTMAX_CE, &args, &args.softmax_ce.partials, &args.softmax_ce.tickets);
	return args;
}

static void check_sums(const struct loss *t, bool soft)
{
	double want = 1000 + t->loss, correct = 50 + t->correct;
	assert_all_near("loss", &t->state.loss, &want, 1, 0, 2e-6 * (double)t->n);
	assert_all_near("correct", &t->state.correct, &correct, 1, 0, soft ? 1e-6 * (double)t->n : 1e-9);
	assert_int_equal(t->state.correct5, 60 + t->correct5);
	assert_int_equal(t->state.images, 200 + t->n);
	assert_int_equal(t->state.bad_step, NO_BAD_STEP);
}

static void check_gradient(struct loss *t, double scale)
{
	enum cell cell = t->b.cell;
	autofree double *columns = xcalloc(t->c, sizeof(double));
	array_read(&t->dlogits);
	for (uint32_t i = 0; i < t->n; i++) {
		const double *row = t->dlogits.values + (size_t)i * t->c;
		double *want = t->dwant + (size_t)i * t->classes;
		for (uint32_t k = 0; k < t->classes; k++)
			want[k] *= scale;
		assert_all_near("dlogits", row, want, t->classes, 1.01 * cell_rounding(cell) + 4e-6,
				1e-6 * scale / t->n + cell_least(cell));
		for (uint32_t k = t->classes; k < t->c; k++)
			assert_true(row[k] == 0);
		for (uint32_t k = 0; k < t->c; k++)
			columns[k] += row[k];
	}
	assert_all_near("dbias", array_read(&t->dbias), columns, t->c, 1e-5, 1e-6 * scale);
}

static void check(enum cell cell, uint32_t n, uint32_t classes, double smoothing, bool soft, float scale)
{
	struct loss t;
	loss_open(&t, cell, n, classes);
	t.state.scaler.scale = scale;
	loss_reference(&t, smoothing, soft);
	union kernel_args args = loss_args(&t, smoothing, soft);
	bench_run(&t.b, KERNEL_SOFTMAX_CE, &args,
		  (struct region[]){REGION(t.dlogits), REGION(t.dbias), {&t.state, sizeof(t.state), true}}, 3);
	check_sums(&t, soft);
	check_gradient(&t, (double)scale);
	bench_fini(&t.b);
}

static void test_losses(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
			check(cell, shapes[i].n, shapes[i].classes, 0, false, 1);
			check(cell, shapes[i].n, shapes[i].classes, 0.1f, false, 1024);
			check(cell, shapes[i].n, shapes[i].classes, 0.2f, true, 128);
		}
	check(CELL_BF16, 9, 1000, 0.1f, true, 1);
	check(CELL_BF16, 530, 10, 0, false, 1); /* blocks take a second round */
}

static void test_evaluation_writes_no_gradient(void **state)
{
	struct loss t;
	loss_open(&t, CELL_BF16, 80, 100);
	loss_reference(&t, 0, false);
	union kernel_args args = loss_args(&t, 0, false);
	args.softmax_ce.dlogits = NULL;
	args.softmax_ce.dbias = NULL;
	bench_run(&t.b, KERNEL_SOFTMAX_CE, &args, (struct region[]){{&t.state, sizeof(t.state), true}}, 1);
	check_sums(&t, false);
	bench_fini(&t.b);
}

static void test_gradient_in_place(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		struct loss t;
		loss_open(&t, cell, 9, 300); /* more vectors than lanes */
		loss_reference(&t, 0.1f, false);
		union kernel_args args = loss_args(&t, 0.1f, false);
		args.softmax_ce.dlogits = t.logits.data;
		bench_run(&t.b, KERNEL_SOFTMAX_CE, &args,
			  (struct region[]){KEPT(t.logits), REGION(t.dbias), {&t.state, sizeof(t.state), true}}, 3);
		t.dlogits = t.logits;
		check_sums(&t, false);
		check_gradient(&t, 1);
		bench_fini(&t.b);
	}
}

/* Equal logits: the first counts as the largest, and only it; five of them come before the sixth. */
static void test_ties(void **state)
{
	for (int32_t label = 0; label < 10; label++) {
		struct loss t;
		loss_open(&t, CELL_F32, 1, 10);
		t.labels[0] = label;
		for (uint32_t k = 0; k < t.c; k++)
			t.logits.values[k] = t.bias.values[k] = 0.25;
		array_fill(&t.logits);
		array_fill(&t.bias);
		union kernel_args args = loss_args(&t, 0, false);
		bench_run(&t.b, KERNEL_SOFTMAX_CE, &args,
			  (struct region[]){REGION(t.dlogits), {&t.state, sizeof(t.state), true}}, 2);
		assert_true(t.state.correct == 50 + (label == 0));
		assert_int_equal(t.state.correct5, 60 + (label < 5));
		bench_fini(&t.b);
	}
}

static void test_a_loss_that_is_not_finite_names_its_step(void **state)
{
	struct loss t;
	loss_open(&t, CELL_F16, 20, 10);
	((uint16_t *)t.logits.data)[5 * t.c + 1] = 0x7e00; /* NaN */
	union kernel_args args = loss_args(&t, 0, false);
	struct region outputs[] = {REGION(t.dlogits), {&t.state, sizeof(t.state), true}};
	bench_run(&t.b, KERNEL_SOFTMAX_CE, &args, outputs, 2);
	assert_int_equal(t.state.bad_step, 17);
	assert_true(isnan(t.state.loss));
	t.state.step = 18; /* the first stays */
	bench_run(&t.b, KERNEL_SOFTMAX_CE, &args, outputs, 2);
	assert_int_equal(t.state.bad_step, 17);
	bench_fini(&t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_evaluation_writes_no_gradient),
		cmocka_unit_test(test_gradient_in_place),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_a_loss_that_is_not_finite_names_its_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
