#include "recipes.h"

#include "worker/state.h"

#include <math.h>

enum { TRAIN = 14, TEST = 6, BATCH = 4, STEPS = 4, CLASSES = 10, DATA_SETS = 4 };

static const struct recipe_case {
	const char *name;
	struct recipe recipe;
	double momentum;
	bool mixed;
} cases[] = {
	{"plain SGD", {.lr_scale = LR_SCALES_ONE}, 0},
	{"SGD, dampening", {.optim = {.dampening = 0.3, .weight_decay = 5e-4}, .lr_scale = LR_SCALES_ONE}, 0.9},
	{"SGD, Nesterov, groups, spared",
	 {.optim = {.nesterov = true, .weight_decay = 5e-2}, .lr_scale = {0.25, 0.5, 1}, .spare_bn_bias = true},
	 0.9},
	{"SGD, clipped, averaged",
	 {.optim.weight_decay = 5e-4, .lr_scale = LR_SCALES_ONE, .clip_norm = 0.7, .ema_decay = 0.6},
	 0.9},
	/* eps: where gradients are nearly 0, their rounding would otherwise decide */
	{"Adam", {.optim = {OPTIMIZER_ADAM, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 5e-4}, .lr_scale = LR_SCALES_ONE}, 0.9},
	{"AdamW, all of it",
	 {.optim = {OPTIMIZER_ADAMW, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.05},
	  .lr_scale = {0.25, 0.5, 1},
	  .spare_bn_bias = true,
	  .clip_norm = 0.5,
	  .ema_decay = 0.9,
	  .label_smoothing = 0.1},
	 0.9},
	{"mixed, strong augmentation",
	 {.lr_scale = LR_SCALES_ONE,
	  .label_smoothing = 0.1,
	  .augment = {.crop = CROP_RESIZED, .crop_scale = 0.3f, .flip = true, .trivial = true, .erasing = 0.5f,
		      .jitter = {0.4f, 0.4f, 0.4f, 0.1f}}},
	 0.9,
	 true},
};

static const struct mix mixes[STEPS] = {
	{.kind = MIX_MIXUP, .lambda = 0.3f}, {.kind = MIX_NONE, .lambda = 1}, {.kind = MIX_CUTMIX, .lambda = 0.7f, .box = {3, 0, 20, 17}},
	{.kind = MIX_MIXUP, .lambda = 0.9f},
};

/* Thirds of the parameters: as model.c would. */
static void set_groups(struct net *net)
{
	for (int i = 0; i < net->n_params; i++)
		net->params[i].group = i * N_GROUPS / net->n_params;
}

static void open_job(struct job *job, const char *backend, const struct recipe_case *c, const struct net *net,
		     const struct dataset *data)
{
	struct err err;
	struct recipe recipe = c->recipe;
	struct job_options options = {.backend = backend, .batch = BATCH, .threads = 1, .direct = true, .lr = 0.01,
				      .momentum = c->momentum};
	if (!c->mixed)
		recipe.augment = (struct augment_settings)AUGMENT_CROP_FLIP;
	recipe.seed = 5;
	job_open(job, &options, net, data, &recipe);
	for (int i = 0; i < STEPS; i++) /* other values in every step */
		job->values[i] = (struct step_values){0.01 * (1 + i), i < 2 ? c->momentum : c->momentum * 0.9};
	job->tables.mixes = c->mixed ? mixes : NULL;
	assert_int_equal(job->backend->begin_epoch(job->plan, &job->tables, &err), 0);
}

static double evaluate(struct job *job, bool ema)
{
	struct err err;
	struct sums sums = {0};
	const struct eval_options options = {.ema = ema};
	assert_int_equal(job->backend->evaluate(job->plan, SPLIT_TEST, &options, 0, (TEST + BATCH - 1) / BATCH, &sums, &err), 0);
	assert_int_equal(sums.images, TEST);
	return sums.loss;
}

static double off(const struct state *tested, const void *a, const void *b, size_t n)
{
	if (!a)
		return 0;
	return tested->dtype == DTYPE_F64 ? distance_f64(a, b, n) : distance(a, b, n);
}

static bool within(const struct recipe_case *c, const char *what, double d, double limit)
{
	if (d > 0)
		print_message("# %s: %s off by %.2g of %.2g\n", c->name, what, d, limit);
	return d <= limit; /* a NaN is not */
}

static bool compare(const struct recipe_case *c, struct job *tested, struct job *ref)
{
	bool ema = c->recipe.ema_decay > 0;
	double loss[2] = {evaluate(tested, false), evaluate(ref, false)};
	double average[2] = {ema ? evaluate(tested, true) : 1, ema ? evaluate(ref, true) : 1};
	const struct state *a = job_state(tested), *b = job_state(ref);
	assert_true(a->steps == STEPS && b->steps == STEPS && (a->ema_params != NULL) == ema);
	if (ema)
		assert_true(fabs(average[0] - loss[0]) > 1e-4 * loss[0]); /* it is another model */
	return within(c, "parameters", off(a, a->params, b->params, a->param_count), 5e-6) &
	       within(c, "first slot", off(a, a->slots[0], b->slots[0], a->param_count), 1e-4) &
	       within(c, "second slot", off(a, a->slots[1], b->slots[1], a->param_count), 1e-4) &
	       within(c, "average", off(a, a->ema_params, b->ema_params, a->param_count), 5e-6) &
	       within(c, "averaged statistics", off(a, a->ema_buffers, b->ema_buffers, a->buffer_count), 1e-5) &
	       within(c, "loss of the test", fabs(loss[0] - loss[1]) / loss[1], 5e-6) &
	       within(c, "loss of the averaged test", fabs(average[0] - average[1]) / average[1], 5e-6);
}

static void assert_same_bits(const struct state *a, const struct state *b)
{
	size_t size = a->dtype == DTYPE_F64 ? sizeof(double) : sizeof(float);
	assert_memory_equal(a->params, b->params, a->param_count * size);
	assert_memory_equal(a->buffers, b->buffers, a->buffer_count * size);
	for (int i = 0; i < N_SLOTS; i++)
		if (a->slots[i])
			assert_memory_equal(a->slots[i], b->slots[i], a->param_count * size);
	if (a->ema_params) {
		assert_memory_equal(a->ema_params, b->ema_params, a->param_count * size);
		assert_memory_equal(a->ema_buffers, b->ema_buffers, a->buffer_count * size);
	}
	assert_true(a->steps == b->steps && a->batches_tracked == b->batches_tracked);
}

/* The state behind each step in a new plan, where a test of the average came between. */
static void check_resume(const char *backend, const struct recipe_case *c, const struct net *net, const struct dataset *data,
			 const struct state *expected)
{
	struct err err;
	struct job jobs[2];
	struct sums sums = {0};
	open_job(&jobs[0], backend, c, net, data);
	for (uint32_t step = 0; step < STEPS; step++) {
		struct job *now = &jobs[step % 2], *next = &jobs[(step + 1) % 2];
		job_run(now, step, 1, &sums);
		if (c->recipe.ema_decay > 0)
			evaluate(now, true);
		open_job(next, backend, c, net, data);
		assert_int_equal(next->backend->state_set(next->plan, job_state(now), &err), 0);
		job_close(now);
	}
	assert_same_bits(job_state(&jobs[STEPS % 2]), expected);
	job_close(&jobs[STEPS % 2]);
}

static bool compare_records(const struct recipe_case *c, const struct job *tested, const struct job *ref)
{
	bool good = true;
	for (int i = 0; i < STEPS; i++) {
		const struct step_record *a = &tested->records[i], *b = &ref->records[i];
		good &= within(c, "loss of a step", fabs(a->loss - b->loss) / b->loss, 5e-6);
		if (c->recipe.clip_norm > 0)
			good &= within(c, "norm of a step's gradients", fabs(a->grad_norm - b->grad_norm) / b->grad_norm, 1e-4);
	}
	return good;
}

/* Whether the backend's numbers are ref's; its bits must go on in any case. */
static bool check_case(const char *backend, const struct recipe_case *c, const struct net *net, const struct dataset *data)
{
	struct job tested, ref;
	struct sums a = {0}, b = {0};
	open_job(&tested, backend, c, net, data);
	open_job(&ref, "ref", c, net, data);
	job_run(&tested, 0, STEPS, &a);
	job_run(&ref, 0, STEPS, &b);
	bool good = compare(c, &tested, &ref) & within(c, "training loss", fabs(a.loss - b.loss) / b.loss, 5e-6) &
		    within(c, "images correct", fabs(a.correct - b.correct), 1e-6) & compare_records(c, &tested, &ref);
	check_resume(backend, c, net, data, job_state(&tested));
	job_close(&tested);
	job_close(&ref);
	return good;
}

void recipes_check(const char *backend)
{
	struct net *net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 0, 0}, 8, 32, CLASSES);
	set_groups(net);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool good = false;
		for (uint64_t seed = 0; seed < DATA_SETS && !good; seed++) {
			struct dataset *data = made_dataset(TRAIN, TEST, CLASSES, 3 + seed);
			good = check_case(backend, &cases[i], net, data);
			made_free(data);
		}
		if (!good)
			fail_msg("%s: not within the limits on any of %d data sets", cases[i].name, DATA_SETS);
	}
	net_free(net);
}
