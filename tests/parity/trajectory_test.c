/* Fifty steps of training on real images, or three of fine-tuning at 224 pixels with a learning rate for each group of
 * layers, on the cpu backend in fp32, against torch's float64 (golden/trajectory.json, made by trajectory.py): the loss and
 * every gradient of step 1; after 10 and 50 (1 and 3) steps the losses, parameters and running statistics may be no farther from float64 than twice the worst of torch's own five float32 runs (threads, memory formats,
 * oneDNN), since rounding grows from step to step in all of them.
 *
 *   trajectory_test NAME     ends with 77, skipped, where the data set is not on this machine */
#include "parity.h"
#include "tests/unit/golden.h"

#include "common/datasets.h"
#include "worker/cpu/plan.h"
#include "worker/state.h"

#include <math.h>

#define REAL_CIFAR "/work/shared/data/cifar-100-binary" /* .xz, the training set in three parts */

enum { MAX_STEPS = 50, NOT_HERE = 77 };

/* Step 1: of the loss; of gradients, whose ReLUs may part, in torch's runs too (the worst of its five: 1.6e-2 and 8.8e-3).
 * golden_test.c holds gradients tighter where the ReLUs are the same. */
static const double first_loss_limit = 5e-6, worst_gradient_limit = 6e-2, mean_gradient_limit = 3e-2;

struct fixture {
	const char *name;
	json_t *file;
	const json_t *golden;
	struct dataset *data;
	struct net *net;
	struct job job;
	double losses[MAX_STEPS];
	int steps;
};

static int integer(const json_t *object, const char *key)
{
	return (int)json_integer_value(golden_get(object, key));
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(golden_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(golden_get(object, key));
}

/* --- data --- */

/* The first images of REAL_CIFAR in dir, whose files have their full length, zeros behind. */
static bool unpack_cifar100(const char *dir, size_t images)
{
	autofree char *command = xasprintf("cd %s 2>/dev/null && xz -dc train-1.bin.xz 2>/dev/null | head -c %zu >%s/train.bin "
					   "&& truncate -s 153700000 %s/train.bin && truncate -s 30740000 %s/test.bin",
					   REAL_CIFAR, images * 3074, dir, dir, dir);
	return system(command) == 0;
}

/* NULL: not on this machine. */
static struct dataset *open_data(const char *name, size_t images)
{
	struct err err = {0};
	struct dataset *data = NULL;
	char *unpacked = temp_dir();
	autofree char *dir = NULL;
	if (datasets_find(name, NULL, &dir, &err) < 0 && str_eq(name, "cifar100") && unpack_cifar100(unpacked, images))
		dir = xstrdup(unpacked);
	if (dir && dataset_open(&data, name, dir, images, 1, &err) < 0)
		fail_msg("%s", err.text);
	temp_dir_remove(unpacked);
	return data;
}

/* --- the run --- */

static void fixture_open(struct fixture *f)
{
	enum stem stem = str_eq(text(f->golden, "stem"), "imagenet") ? STEM_IMAGENET : STEM_CIFAR;
	struct recipe recipe = {.optim.weight_decay = number(f->golden, "weight_decay"), .lr_scale = LR_SCALES_ONE};
	struct job_options options = {.backend = "cpu", .batch = integer(f->golden, "batch"), .threads = 2, .direct = true,
				      .lr = number(f->golden, "lr"), .momentum = number(f->golden, "momentum")};
	const json_t *scales = json_object_get(f->golden, "lr_scale"), *size = json_object_get(f->golden, "size");
	for (size_t g = 0; g < json_array_size(scales); g++)
		recipe.lr_scale[g] = json_number_value(json_array_get(scales, g));
	int side = size ? (int)json_integer_value(size) : f->data->size;
	f->net = net_new(text(f->golden, "model"), stem, side, f->data->classes);
	job_open(&f->job, &options, f->net, f->data, &recipe); /* with the weights of seed 7 */
	assert_int_equal(integer(f->golden, "seed"), 7);
	for (uint32_t i = 0; i < f->job.tables.n_order; i++)
		f->job.order[i] = i;
	assert_int_equal(f->job.backend->begin_epoch(f->job.plan, &f->job.tables, NULL), 0);
}

static void fixture_close(struct fixture *f)
{
	job_close(&f->job);
	net_free(f->net);
}

static void run_to(struct fixture *f, uint32_t first, uint32_t end)
{
	for (uint32_t step = first; step < end; step++) {
		struct sums sums = {0};
		job_run(&f->job, step, 1, &sums);
		f->losses[step] = sums.loss / (double)sums.images;
	}
}

static void note(const struct fixture *f, int step, const char *what, double off, double limit)
{
	autofree char *row = xasprintf("%s, step %d: %s", f->name, step, what);
	report(row, "fp32", off, limit);
	assert_close(row, off, limit);
}

/* --- against golden --- */

static void compare(const json_t *stats, const float *v, size_t n, double *difference, double *norm)
{
	autofree double *d = xcalloc(n, sizeof(*d));
	values_copy(d, DTYPE_F64, v, DTYPE_F32, n);
	golden_compare(stats, d, n, difference, norm);
}

/* Of every parameter's stats from an arena in net order. */
static void compare_params(const struct fixture *f, const json_t *stats, const float *arena, double *difference,
			   double *norm)
{
	assert_int_equal(json_object_size(stats), f->net->n_params);
	for (int i = 0; i < f->net->n_params; i++) {
		const struct net_param *p = &f->net->params[i];
		compare(golden_get(stats, p->name), arena + p->offset, p->count, difference, norm);
	}
}

static void check_initial(struct fixture *f)
{
	double difference = 0, norm = 0;
	compare_params(f, golden_get(f->golden, "initial"), job_state(&f->job)->params, &difference, &norm);
	note(f, 0, "parameters", sqrt(difference / norm), 1e-8); /* libm and numpy may round a few the other way */
}

static void check_first_step(struct fixture *f)
{
	const json_t *stats = golden_get(f->golden, "gradients");
	double worst = 0, sum = 0, loss = json_number_value(json_array_get(golden_get(f->golden, "losses"), 0));
	for (int i = 0; i < f->net->n_params; i++) {
		const struct net_param *p = &f->net->params[i];
		double difference = 0, norm = 0;
		compare(golden_get(stats, p->name), f->job.plan->arenas.grads + p->offset, p->count, &difference, &norm);
		worst = fmax(worst, sqrt(difference / norm));
		sum += sqrt(difference / norm);
	}
	note(f, 1, "loss", fabs(f->losses[0] / loss - 1), first_loss_limit);
	note(f, 1, "worst gradient", worst, worst_gradient_limit);
	note(f, 1, "gradients in the mean", sum / f->net->n_params, mean_gradient_limit);
}

/* Twice what the worst of torch's float32 runs is off by. */
static double allowed(const struct fixture *f, const char *step, const char *what)
{
	const json_t *runs = golden_get(f->golden, "float32_off");
	double worst = 0;
	for (size_t i = 0; i < json_array_size(runs); i++)
		worst = fmax(worst, number(golden_get(json_array_get(runs, i), step), what));
	return 2 * worst;
}

/* Root mean square of the relative difference over the first steps. */
static double losses_off(const struct fixture *f, int steps)
{
	double squares = 0;
	for (int i = 0; i < steps; i++) {
		double truth = json_number_value(json_array_get(golden_get(f->golden, "losses"), (size_t)i));
		squares += (f->losses[i] / truth - 1) * (f->losses[i] / truth - 1);
	}
	return sqrt(squares / steps);
}

static double statistics_off(const struct fixture *f, const json_t *stats, const float *buffers)
{
	double difference = 0, norm = 0;
	for (int i = 0; i < 2 * f->net->n_bns; i++) {
		const struct net_bn *bn = &f->net->bns[i / 2];
		size_t c = (size_t)bn->channels;
		autofree char *name = xasprintf("%s.running_%s", bn->name, i % 2 ? "var" : "mean");
		compare(golden_get(stats, name), buffers + bn->offset + (i % 2 ? c : 0), c, &difference, &norm);
	}
	return sqrt(difference / norm);
}

static void check_step(struct fixture *f, int step)
{
	autofree char *key = xasprintf("%d", step);
	const json_t *golden = golden_get(golden_get(f->golden, "steps"), key);
	const struct state *state = job_state(&f->job);
	double difference = 0;
	compare_params(f, golden_get(golden, "parameters"), state->params, &difference, NULL);
	note(f, step, "losses so far", losses_off(f, step), allowed(f, key, "loss"));
	note(f, step, "parameters, of the way they went", sqrt(difference) / number(golden, "moved"),
	     allowed(f, key, "parameters"));
	note(f, step, "running statistics", statistics_off(f, golden_get(golden, "statistics"), state->buffers),
	     allowed(f, key, "statistics"));
}

static void test_trajectory(void **state)
{
	struct fixture *f = *state;
	const char *key;
	json_t *unused;
	uint32_t done = 1;
	fixture_open(f);
	check_initial(f);
	run_to(f, 0, done);
	check_first_step(f);
	json_object_foreach((json_t *)golden_get(f->golden, "steps"), key, unused) {
		uint32_t end = (uint32_t)atoi(key);
		run_to(f, done, end);
		check_step(f, (int)end);
		done = end;
	}
	assert_int_equal(done, f->steps);
	fixture_close(f);
}

int main(int argc, char **argv)
{
	struct fixture f = {.name = argc > 1 ? argv[1] : "", .file = golden_load("trajectory.json")};
	f.golden = golden_get(f.file, f.name);
	f.steps = (int)json_array_size(golden_get(f.golden, "losses"));
	f.data = open_data(text(f.golden, "dataset"), (size_t)(f.steps * integer(f.golden, "batch")));
	const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_trajectory, &f)};
	int r = f.data ? cmocka_run_group_tests_name("cpu against torch", tests, NULL, NULL) : NOT_HERE;
	dataset_free(f.data);
	json_decref(f.file);
	return r;
}
