/* The ref backend through its verbs, on a small network and made-up images. */
#include "golden.h"
#include "images.h"

#include "worker/augment.h"
#include "worker/ref/ref.h"

#include <math.h>

enum { TRAIN = 44, TEST = 13, BATCH = 8, STEPS = 6, CLASSES = 5 };

static const struct backend *const backend = &backend_ref;

struct fixture {
	struct dataset *data;
	struct net *net;
	struct device *device;
	uint32_t order[TRAIN];
	struct epoch_tables tables;
	struct step_values values[STEPS];
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->data = images_new(TRAIN, TEST, CLASSES, true);
	f->net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 1, 1}, 2, 32, CLASSES);
	epoch_order(f->order, TRAIN, 3, 0);
	f->tables = (struct epoch_tables){.order = f->order, .n_order = TRAIN, .steps = f->values};
	for (int i = 0; i < STEPS; i++)
		f->values[i] = (struct step_values){0.05, 0.9};
	assert_int_equal(backend->open(&f->device, &(struct device_spec){.threads = 2}, &f->err), 0);
	assert_int_equal(backend->load(f->device, f->data, &f->err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	backend->close(f->device);
	net_free(f->net);
	images_free(f->data);
	free(f);
	return 0;
}

static struct plan *new_plan(struct fixture *f, int workers)
{
	struct recipe recipe = {.optim = {.nesterov = true, .weight_decay = 5e-4}, .lr_scale = LR_SCALES_ONE, .label_smoothing = 0.1,
				.augment = AUGMENT_CROP_FLIP, .seed = 3, .num_workers = workers};
	struct state fresh;
	struct plan *plan;
	assert_int_equal(backend->prepare(f->device, f->net, &recipe, BATCH, &plan, &f->err), 0);
	state_init(&fresh, f->net, 3);
	assert_int_equal(backend->state_set(plan, &fresh, &f->err), 0);
	state_fini(&fresh);
	assert_int_equal(backend->begin_epoch(plan, &f->tables, &f->err), 0);
	return plan;
}

static void run(struct fixture *f, struct plan *plan, uint32_t first, uint32_t n, struct sums *sums)
{
	if (backend->run(plan, first, n, sums, &f->err) < 0)
		fail_msg("%s", f->err.text);
}

static struct state get(struct plan *plan)
{
	struct state s;
	backend->state_alloc(plan, &s);
	assert_int_equal(backend->state_get(plan, &s, NULL), 0);
	return s;
}

static void assert_states_equal(const struct state *a, const struct state *b)
{
	assert_true(a->dtype == DTYPE_F64 && a->param_count == b->param_count && a->buffer_count == b->buffer_count);
	assert_memory_equal(a->params, b->params, a->param_count * sizeof(double));
	assert_memory_equal(a->slots[0], b->slots[0], a->param_count * sizeof(double));
	assert_memory_equal(a->buffers, b->buffers, a->buffer_count * sizeof(double));
	assert_true(a->steps == b->steps && a->batches_tracked == b->batches_tracked);
}

/* The whole split, from batch `first` on in a second call. */
static struct sums evaluate(struct fixture *f, struct plan *plan, enum split split, uint32_t first)
{
	const struct eval_options options = {0};
	struct sums sums = {0};
	uint32_t n = (uint32_t)((f->data->sets[split].count + BATCH - 1) / BATCH);
	assert_int_equal(backend->evaluate(plan, split, &options, 0, first, &sums, &f->err), 0);
	assert_int_equal(backend->evaluate(plan, split, &options, first, n - first, &sums, &f->err), 0);
	return sums;
}

/* A whole epoch in one run. */
static struct state straight(struct fixture *f, int workers, struct sums *sums)
{
	struct plan *plan = new_plan(f, workers);
	run(f, plan, 0, STEPS, sums);
	struct state s = get(plan);
	backend->release(plan);
	return s;
}

static void test_run_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct sums whole = {0};
	struct state expected = straight(f, 0, &whole);
	assert_true(whole.images == TRAIN && isfinite(whole.loss) && whole.correct <= TRAIN);
	assert_true(expected.batches_tracked == STEPS && expected.steps == STEPS);
	for (int workers = 0; workers <= 3; workers += 3) {
		struct sums pieces = {0};
		struct plan *plan = new_plan(f, workers);
		run(f, plan, 0, 1, &pieces);
		run(f, plan, 1, 3, &pieces);
		evaluate(f, plan, SPLIT_TEST, 0);
		run(f, plan, 4, STEPS - 4, &pieces);
		struct state s = get(plan);
		assert_states_equal(&s, &expected);
		assert_memory_equal(&pieces, &whole, sizeof(whole));
		state_fini(&s);
		backend->release(plan);
	}
	state_fini(&expected);
}

/* As after a crash: the state of step 2 in a new plan, from a process that knows nothing else. */
static void test_resume_in_a_new_plan(void **state)
{
	struct fixture *f = *state;
	struct sums whole = {0}, pieces = {0};
	struct state expected = straight(f, 2, &whole);
	struct plan *first = new_plan(f, 2), *second = new_plan(f, 1);
	run(f, first, 0, 2, &pieces);
	struct state middle = get(first);
	backend->release(first);
	assert_int_equal(backend->state_set(second, &middle, &f->err), 0);
	run(f, second, 2, STEPS - 2, &pieces);
	struct state s = get(second);
	assert_states_equal(&s, &expected);
	assert_memory_equal(&pieces, &whole, sizeof(whole));
	backend->release(second);
	state_fini(&s);
	state_fini(&middle);
	state_fini(&expected);
}

static void test_evaluation_moves_nothing(void **state)
{
	struct fixture *f = *state;
	struct sums sums = {0};
	struct plan *plan = new_plan(f, 1);
	run(f, plan, 0, 3, &sums);
	struct state before = get(plan);
	struct sums a = evaluate(f, plan, SPLIT_TEST, 0), train = evaluate(f, plan, SPLIT_TRAIN, 2),
		    b = evaluate(f, plan, SPLIT_TEST, 1);
	struct state after = get(plan);
	assert_states_equal(&after, &before);
	assert_true(a.images == TEST && train.images == TRAIN && a.loss > 0);
	assert_memory_equal(&a, &b, sizeof(a));
	state_fini(&before);
	state_fini(&after);
	backend->release(plan);
}

static void test_state_round_trip(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = new_plan(f, 0);
	struct state fresh = get(plan), s = get(plan);
	assert_true(fresh.steps == 0 && fresh.batches_tracked == 0);
	for (size_t i = 0; i < s.param_count; i++) {
		((double *)s.params)[i] = golden_u(1, i);
		((double *)s.slots[0])[i] = golden_u(2, i);
	}
	for (size_t i = 0; i < s.buffer_count; i++)
		((double *)s.buffers)[i] = golden_u(3, i);
	s.steps = 12;
	s.batches_tracked = 1234567890123;
	assert_int_equal(backend->state_set(plan, &s, &f->err), 0);
	struct state back = get(plan);
	assert_states_equal(&back, &s);
	assert_int_equal(backend->state_set(plan, &fresh, &f->err), 0); /* no step was made: the old momentum is gone */
	state_fini(&back);
	back = get(plan);
	assert_states_equal(&back, &fresh);
	state_fini(&fresh);
	state_fini(&back);
	state_fini(&s);
	backend->release(plan);
}

static void test_learns(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = new_plan(f, 2);
	double first = 0, last = 0;
	for (int epoch = 0; epoch < 12; epoch++) {
		struct sums sums = {0};
		f->tables.epoch = epoch;
		epoch_order(f->order, TRAIN, 3, (uint32_t)epoch);
		assert_int_equal(backend->begin_epoch(plan, &f->tables, &f->err), 0);
		run(f, plan, 0, STEPS, &sums);
		*(epoch == 0 ? &first : &last) = sums.loss / TRAIN;
	}
	assert_true(last < 0.75 * first);
	backend->release(plan);
}

static void test_divergence_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct sums sums = {0};
	struct plan *plan = new_plan(f, 1);
	for (int i = 0; i < STEPS; i++)
		f->values[i].lr = 1e200;
	assert_int_equal(backend->begin_epoch(plan, &f->tables, &f->err), 0);
	assert_int_equal(backend->run(plan, 0, STEPS, &sums, &f->err), -EDOM);
	assert_non_null(strstr(f->err.text, "not finite"));
	assert_non_null(strstr(f->err.text, "step"));
	backend->release(plan);
}

#define BACKEND_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BACKEND_TEST(test_state_round_trip),	     BACKEND_TEST(test_run_in_pieces),
		BACKEND_TEST(test_resume_in_a_new_plan),     BACKEND_TEST(test_evaluation_moves_nothing),
		BACKEND_TEST(test_learns),		     BACKEND_TEST(test_divergence_is_an_error),
	};
	return cmocka_run_group_tests_name("ref_backend", tests, NULL, NULL);
}
