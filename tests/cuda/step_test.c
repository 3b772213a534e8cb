/* The cuda backend's whole training step, as launch lists that the host runs, against ref: loss, every gradient,
 * parameters, running statistics, evaluation; small networks of every shape that the builder tells apart.
 *
 * Gradients are read from the momentum after the first step, where without weight decay they are the same. */
#include "tests/parity/recipes.h"

#include "tests/cuda/runner_host.h"
#include "tests/cuda/target.h"
#include "worker/cuda/plan.h"
#include "worker/ref/ref.h"

#include <math.h>

enum measure { LOSS, GRAD, ALL_GRADS, PARAMS, BUFFERS, EVAL, MIRROR, N_MEASURES };
static const char *const measure_names[N_MEASURES] = {"loss",	      "worst gradient",	    "gradients as a whole",
						      "parameters",   "running statistics", "loss of the evaluation",
						      "loss of the mirrored evaluation"};

/* Allowed |host - ref| / |ref|: fp32 as the cpu backend's (tests/parity/net_test.c); of half precision, where a ReLU may
 * part (a different sign of what is nearly 0), only the gradients as a whole say much. */
static const double f32_limits[N_MEASURES] = {5e-7, 2e-5, 1e-5, 5e-7, 1e-6, 5e-7, 5e-7};
static const double half_limits[N_MEASURES] = {2e-3, 8e-1, 4e-1, 5e-3, 1e-2, 5e-3, 5e-3};

/* The host, or the GPU of $TEST_GPU; fp16 where direct is asked for, else bf16. */
static int tested_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	const char *gpu = target_name();
	if (!gpu || str_eq(gpu, "host"))
		return backend_host.open(ret, spec, err);
	return target_gpu_device(ret, gpu, spec->direct ? CELL_F16 : CELL_BF16, err);
}

static const struct backend tested = {
	.name = "host",
	.open = tested_open,
	CUDA_VERBS,
};

const struct backend *backend_find(const char *name)
{
	return strcmp(name, "ref") == 0 ? &backend_ref : &tested;
}

struct step_case {
	const char *name;
	enum stem stem;
	int size;
	bool bottleneck;
	int blocks[4], width, batch;
	size_t train, test;
	double smoothing;
	bool nesterov;
	enum cell cell;
};

static const struct step_case cases[] = {
	{"basic f32", STEM_CIFAR, 32, false, {1, 1, 1, 1}, 16, 6, 15, 8, 0, false, CELL_F32},
	{"odd width, tails, f32", STEM_CIFAR, 32, false, {1, 1, 1, 1}, 12, 5, 17, 7, 0.1, true, CELL_F32},
	{"two blocks f32", STEM_CIFAR, 32, false, {2, 1, 2, 1}, 8, 4, 10, 4, 0, true, CELL_F32},
	{"bottleneck f32", STEM_CIFAR, 32, true, {1, 2, 1, 1}, 8, 3, 7, 5, 0.1, false, CELL_F32},
	{"fewer images than the batch, f32", STEM_CIFAR, 32, false, {1, 1, 1, 1}, 8, 16, 7, 3, 0, false, CELL_F32},
	{"ImageNet stem f32", STEM_IMAGENET, 32, false, {1, 1, 0, 0}, 8, 6, 15, 8, 0, true, CELL_F32},
	{"ImageNet stem f16", STEM_IMAGENET, 32, true, {1, 1, 0, 0}, 8, 6, 15, 8, 0.1, true, CELL_F16},
	{"basic bf16", STEM_CIFAR, 32, false, {1, 1, 1, 1}, 16, 6, 15, 8, 0.1, true, CELL_BF16},
	{"bottleneck bf16", STEM_CIFAR, 32, true, {1, 1, 1, 1}, 12, 5, 12, 8, 0, false, CELL_BF16},
	{"basic f16", STEM_CIFAR, 32, false, {1, 1, 1, 1}, 16, 6, 15, 8, 0.1, true, CELL_F16},
};

static double relative(double a, double b)
{
	return fabs(a - b) / fabs(b);
}

static double worst_gradient(const struct net *net, const struct state *host, const struct state *ref)
{
	double worst = 0;
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		double d = distance((float *)host->slots[0] + p->offset, (double *)ref->slots[0] + p->offset, p->count);
		worst = d > worst || isnan(d) ? d : worst;
	}
	return worst;
}

static void measure(const struct step_case *c, const struct net *net, struct job *host, struct job *ref, double *ret)
{
	struct err err = {0};
	uint32_t steps = (uint32_t)((c->train + (size_t)c->batch - 1) / (size_t)c->batch);
	uint32_t batches = (uint32_t)((c->test + (size_t)c->batch - 1) / (size_t)c->batch);
	struct sums a = {0}, b = {0}, mirror_a = {0}, mirror_b = {0};
	int32_t classes_a[64], classes_b[64];
	struct eval_options options = {.mirror = &mirror_a, .predicted = classes_a};
	job_run(host, 0, 1, &a);
	job_run(ref, 0, 1, &b);
	ret[LOSS] = relative(a.loss, b.loss);
	ret[GRAD] = worst_gradient(net, job_state(host), job_state(ref));
	ret[ALL_GRADS] = distance(host->state.slots[0], ref->state.slots[0], net->param_count);
	if (steps > 1) {
		job_run(host, 1, steps - 1, &a);
		job_run(ref, 1, steps - 1, &b);
	}
	assert_int_equal(a.images, c->train);
	const struct state *x = job_state(host), *y = job_state(ref);
	assert_int_equal(x->batches_tracked, steps);
	ret[PARAMS] = distance(x->params, y->params, net->param_count);
	ret[BUFFERS] = distance(x->buffers, y->buffers, net->buffer_count);
	a = b = (struct sums){0};
	assert_int_equal(host->backend->evaluate(host->plan, SPLIT_TEST, &options, 0, batches, &a, &err), 0);
	options.mirror = &mirror_b;
	options.predicted = classes_b;
	assert_int_equal(ref->backend->evaluate(ref->plan, SPLIT_TEST, &options, 0, batches, &b, &err), 0);
	assert_int_equal(a.images, c->test);
	ret[EVAL] = relative(a.loss, b.loss);
	ret[MIRROR] = relative(mirror_a.loss, mirror_b.loss);
	assert_true(mirror_a.images == c->test && mirror_b.images == c->test && mirror_b.loss != b.loss);
	if (c->cell == CELL_F32) {
		assert_true(a.correct5 == b.correct5 && mirror_a.correct5 == mirror_b.correct5);
		assert_true(a.correct == b.correct && mirror_a.correct == mirror_b.correct);
		assert_memory_equal(classes_a, classes_b, c->test * sizeof(*classes_a));
	}
	for (size_t i = 0; i < c->test; i++)
		assert_in_range(classes_a[i], 0, 9);
}

static void test_step(void **state)
{
	const struct step_case *c = *state;
	const double *limits = c->cell == CELL_F32 ? f32_limits : half_limits;
	double found[N_MEASURES];
	struct net *net = net_new_custom(c->stem, c->bottleneck, c->blocks, c->width, c->size, 10);
	struct dataset *data = made_dataset(c->train, c->test, 10, 3);
	struct recipe recipe = {.optim.nesterov = c->nesterov, .lr_scale = LR_SCALES_ONE, .label_smoothing = c->smoothing,
				.augment = AUGMENT_CROP_FLIP, .seed = 5, .amp = c->cell != CELL_F32, .mirror = true};
	struct job_options options = {.backend = "host", .batch = c->batch, .threads = 1, .direct = c->cell == CELL_F16,
				      .lr = 0.01, .momentum = 0.9};
	struct job host, ref;
	job_open(&host, &options, net, data, &recipe);
	options.backend = "ref";
	job_open(&ref, &options, net, data, &recipe);
	struct err err;
	assert_int_equal(cuda_poison(host.plan, &err), 0);
	measure(c, net, &host, &ref, found);
	bool good = true;
	for (int m = 0; m < N_MEASURES; m++) {
		print_message("# %s: %s off by %.2g of %.2g\n", c->name, measure_names[m], found[m], limits[m]);
		good &= found[m] <= limits[m]; /* a NaN is not */
	}
	job_close(&host);
	job_close(&ref);
	made_free(data);
	net_free(net);
	assert_true(good);
}

/* --- what may not show in a number --- */

enum { PIECES_TRAIN = 14, PIECES_BATCH = 4, PIECES_STEPS = 4 };

static void open_pieces(struct job *job, struct net *net, struct dataset *data)
{
	struct recipe recipe = {.optim.weight_decay = 5e-4, .lr_scale = LR_SCALES_ONE, .augment = AUGMENT_CROP_FLIP, .seed = 5,
				.amp = true};
	struct job_options options = {.backend = "host", .batch = PIECES_BATCH, .threads = 1, .direct = true, .lr = 0.01, .momentum = 0.9};
	job_open(job, &options, net, data, &recipe);
}

/* Steps in one run, and in pieces in two plans with the state carried over: the same bits. */
static void test_pieces(void **state)
{
	struct err err;
	struct sums whole = {0}, pieces = {0};
	struct job first, second;
	struct net *net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 0, 0}, 8, 32, 10);
	struct dataset *data = made_dataset(PIECES_TRAIN, 3, 10, 3);
	open_pieces(&first, net, data);
	job_run(&first, 0, PIECES_STEPS, &whole);
	struct state expected;
	cuda_state_alloc(first.plan, &expected);
	assert_int_equal(cuda_state_get(first.plan, &expected, &err), 0);
	job_close(&first);

	open_pieces(&first, net, data);
	assert_int_equal(cuda_poison(first.plan, &err), 0);
	job_run(&first, 0, 1, &pieces);
	open_pieces(&second, net, data);
	assert_int_equal(cuda_state_set(second.plan, job_state(&first), &err), 0);
	job_run(&second, 1, PIECES_STEPS - 1, &pieces);
	const struct state *s = job_state(&second);
	assert_memory_equal(s->params, expected.params, s->param_count * sizeof(float));
	assert_memory_equal(s->slots[0], expected.slots[0], s->param_count * sizeof(float));
	assert_memory_equal(s->buffers, expected.buffers, s->buffer_count * sizeof(float));
	assert_memory_equal(&s->scaler, &expected.scaler, sizeof(s->scaler));
	assert_memory_equal(&whole, &pieces, sizeof(whole));
	assert_true(s->scaler.scale == SCALER_INIT && s->scaler.good_steps == PIECES_STEPS);
	state_fini(&expected);
	job_close(&first);
	job_close(&second);
	made_free(data);
	net_free(net);
}

/* Gradients beyond fp16: the step changes no parameter and halves the scale, as GradScaler does. */
static void test_scale_too_large(void **state)
{
	struct err err;
	struct sums sums = {0};
	struct job job;
	struct net *net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 0, 0}, 8, 32, 10);
	struct dataset *data = made_dataset(PIECES_TRAIN, 3, 10, 3);
	open_pieces(&job, net, data);
	struct state before;
	cuda_state_alloc(job.plan, &before);
	assert_int_equal(cuda_state_get(job.plan, &before, &err), 0);
	before.scaler = (struct grad_scaler){.scale = 0x1p40f, .good_steps = 7, .skipped_steps = 2};
	assert_int_equal(cuda_state_set(job.plan, &before, &err), 0);
	job_run(&job, 0, 1, &sums);
	const struct state *s = job_state(&job);
	assert_memory_equal(s->params, before.params, s->param_count * sizeof(float));
	assert_memory_equal(s->slots[0], before.slots[0], s->param_count * sizeof(float));
	assert_true(s->scaler.scale == 0x1p39f && s->scaler.good_steps == 0 && s->scaler.skipped_steps == 3);
	assert_true(s->steps == 0 && s->batches_tracked == 1 && sums.skipped == 1);
	assert_true(isfinite(sums.loss) && sums.images == PIECES_BATCH);
	state_fini(&before);
	job_close(&job);
	made_free(data);
	net_free(net);
}

static void test_recipes(void **state)
{
	recipes_check("host");
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(cases) + 3] = {
		[ARRAY_LEN(cases)] = cmocka_unit_test(test_pieces),
		[ARRAY_LEN(cases) + 1] = cmocka_unit_test(test_scale_too_large),
		[ARRAY_LEN(cases) + 2] = cmocka_unit_test(test_recipes),
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = test_step,
					       .initial_state = (void *)&cases[i]};
	return cmocka_run_group_tests_name("cuda-step", tests, NULL, NULL);
}
