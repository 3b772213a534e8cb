/* The cpu backend's verbs: bits must not depend on how a training is cut into calls, on what lay in memory before, on
 * loader threads, or on another plan at work beside it.  fp32, fp32 direct and bf16. */
#include "bf16.h"
#include "parity.h"

#include "worker/cpu/plan.h"

#include <pthread.h>

enum { TRAIN = 29, TEST = 11, BATCH = 8, STEPS = 4, TEST_STEPS = 2, CLASSES = 10 };

struct how {
	bool direct, amp;
};

struct fixture {
	struct net *net;
	struct dataset *data;
	struct recipe recipe;
	struct job_options options;
	struct sums sums; /* of the epoch in one call, as the following */
	struct step_record records[STEPS];
	struct state expected;
};

static void open_job(const struct fixture *f, struct job *job, int workers)
{
	struct recipe recipe = f->recipe;
	recipe.num_workers = workers;
	job_open(job, &f->options, f->net, f->data, &recipe);
}

static void assert_same(struct job *job, const struct fixture *f, const struct sums *sums)
{
	const struct state *s = job_state(job), *e = &f->expected;
	assert_memory_equal(s->params, e->params, s->param_count * sizeof(float));
	assert_memory_equal(s->slots[0], e->slots[0], s->param_count * sizeof(float));
	assert_memory_equal(s->buffers, e->buffers, s->buffer_count * sizeof(float));
	assert_true(s->batches_tracked == e->batches_tracked && s->steps == e->steps);
	assert_memory_equal(sums, &f->sums, sizeof(*sums));
	for (int i = 0; i < STEPS; i++) /* 0: made by another plan */
		assert_true(job->records[i].loss == f->records[i].loss || job->records[i].loss == 0);
}

static void fixture_init(struct fixture *f, const struct how *how)
{
	struct job job;
	*f = (struct fixture){
		.net = net_new_custom(STEM_CIFAR, true, (int[]){1, 1, 1, 1}, 16, 32, CLASSES),
		.data = made_dataset(TRAIN, TEST, CLASSES, 4),
		.recipe = {.optim = {.nesterov = true, .weight_decay = 5e-4}, .lr_scale = LR_SCALES_ONE, .label_smoothing = 0.1,
			   .augment = AUGMENT_CROP_FLIP, .seed = 5, .amp = how->amp},
		.options = {.backend = "cpu", .batch = BATCH, .threads = 2, .direct = how->direct, .lr = 0.05, .momentum = 0.9},
	};
	open_job(f, &job, 0);
	job_run(&job, 0, STEPS, &f->sums);
	memcpy(f->records, job.records, sizeof(f->records));
	job.backend->state_alloc(job.plan, &f->expected);
	assert_int_equal(job.backend->state_get(job.plan, &f->expected, NULL), 0);
	assert_true(f->sums.images == TRAIN && f->expected.batches_tracked == STEPS && f->expected.steps == STEPS);
	job_close(&job);
}

static void fixture_fini(struct fixture *f)
{
	state_fini(&f->expected);
	made_free(f->data);
	net_free(f->net);
}

static void evaluate(struct job *job, enum split split, uint32_t n, struct sums *sums)
{
	const struct eval_options options = {0};
	struct err err;
	assert_int_equal(job->backend->evaluate(job->plan, split, &options, 0, n, sums, &err), 0);
}

static void test_pieces_poison_and_loader_threads(void **state)
{
	struct fixture f;
	fixture_init(&f, *state);
	for (int workers = 0; workers <= 3; workers += 3) {
		struct job job;
		struct sums sums = {0}, eval = {0}, again = {0};
		open_job(&f, &job, workers);
		plan_poison(job.plan);
		job_run(&job, 0, 1, &sums);
		plan_poison(job.plan);
		job_run(&job, 1, 2, &sums);
		evaluate(&job, SPLIT_TEST, TEST_STEPS, &eval);
		plan_poison(job.plan);
		evaluate(&job, SPLIT_TEST, TEST_STEPS, &again);
		assert_memory_equal(&again, &eval, sizeof(eval));
		assert_int_equal(eval.images, TEST);
		job_run(&job, 3, 1, &sums);
		assert_same(&job, &f, &sums);
		job_close(&job);
	}
	fixture_fini(&f);
}

/* As after a crash: the state of step 2, in a plan that knows nothing else. */
static void test_resume_in_a_new_plan(void **state)
{
	struct fixture f;
	struct job first, second;
	struct sums sums = {0};
	fixture_init(&f, *state);
	open_job(&f, &first, 2);
	open_job(&f, &second, 0);
	job_run(&first, 0, 2, &sums);
	assert_int_equal(second.backend->state_set(second.plan, job_state(&first), NULL), 0);
	job_run(&second, 2, 2, &sums);
	assert_same(&second, &f, &sums);
	job_close(&first);
	job_close(&second);
	fixture_fini(&f);
}

static void test_evaluation_moves_nothing(void **state)
{
	struct fixture f;
	struct job job;
	struct sums sums = {0}, eval = {0};
	fixture_init(&f, *state);
	open_job(&f, &job, 1);
	job_run(&job, 0, STEPS, &sums);
	evaluate(&job, SPLIT_TRAIN, STEPS, &eval);
	evaluate(&job, SPLIT_TEST, TEST_STEPS, &eval);
	assert_int_equal(eval.images, TRAIN + TEST);
	assert_same(&job, &f, &sums);
	job_close(&job);
	fixture_fini(&f);
}

static void *train_epoch(void *arg)
{
	const struct fixture *f = arg;
	struct job *job = xcalloc(1, sizeof(*job));
	open_job(f, job, 1);
	struct sums *sums = xcalloc(1, sizeof(*sums));
	for (uint32_t step = 0; step < STEPS; step++)
		job_run(job, step, 1, sums);
	assert_same(job, f, sums);
	job_close(job);
	free(job);
	free(sums);
	return NULL;
}

/* Each thread has its own OpenMP team. */
static void test_two_plans_side_by_side(void **state)
{
	struct fixture f;
	pthread_t threads[2];
	fixture_init(&f, *state);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, train_epoch, &f), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	fixture_fini(&f);
}

static void test_divergence_leaves_the_weights(void **state)
{
	struct fixture f;
	struct job job;
	struct sums sums = {0};
	struct err err;
	fixture_init(&f, *state);
	f.options.lr = 1e30;
	open_job(&f, &job, 0);
	job_run(&job, 0, 1, &sums);
	assert_int_equal(job.backend->run(job.plan, 1, 1, &sums, &err), -EDOM);
	assert_non_null(strstr(err.text, "step 2 of epoch 1"));
	assert_int_equal(job_state(&job)->batches_tracked, 1);
	job_close(&job);
	fixture_fini(&f);
}

int main(int argc, char **argv)
{
	static struct how hows[] = {{false, false}, {true, false}, {false, true}};
	static const CMUnitTestFunction functions[] = {test_pieces_poison_and_loader_threads, test_resume_in_a_new_plan,
						       test_evaluation_moves_nothing, test_two_plans_side_by_side,
						       test_divergence_leaves_the_weights};
	struct CMUnitTest tests[ARRAY_LEN(hows) * ARRAY_LEN(functions)];
	bool bf16 = bf16_run(argc, argv);
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		if (hows[i % ARRAY_LEN(hows)].amp == bf16)
			tests[n++] = (struct CMUnitTest){.name = "plan", .test_func = functions[i / ARRAY_LEN(hows)],
							 .initial_state = &hows[i % ARRAY_LEN(hows)]};
	return _cmocka_run_group_tests("cpu plan", tests, n, NULL, NULL);
}
