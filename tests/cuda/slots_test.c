/* Several plans of the cuda backend side by side, as the slots of a worker: the same bits as alone, in turn and in threads;
 * a data set on the device once; one that fails, at its start or in the middle, leaves the other alone.  And what a run
 * records of its plan. */
#include "tests/parity/parity.h"

#include "common/fs.h"
#include "common/json.h"
#include "tests/cuda/runner_host.h"
#include "worker/cuda/plan.h"
#include "worker/plan_record.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRAIN = 11, TEST = 5, BATCH = 4, STEPS = 3, TESTS = 2 };

static struct resident_store *store;
static struct net *net;
static struct dataset *data;
static const struct recipe recipe = {.optim.nesterov = true, .lr_scale = LR_SCALES_ONE, .augment = AUGMENT_CROP_FLIP, .seed = 5};

/* --- the host's runner, and one that fails when it is told to --- */

static const struct runner_ops *sound;
static struct runner_ops failing;
static int (*sound_runner_new)(struct device *, const struct recipe *, struct runner **, struct err *);
static int allocs_left, runs_left;

static int failing_alloc(struct runner *runner, size_t bytes, void **ret, struct err *err)
{
	return allocs_left-- > 0 ? sound->alloc(runner, bytes, ret, err) : err_set(err, -ENOMEM, "no memory");
}

static int failing_run(struct runner *runner, struct program *program, uint32_t times, struct err *err)
{
	return runs_left-- > 0 ? sound->run(runner, program, times, err) : err_set(err, -ENODEV, "it has failed");
}

/* The loader's runner (no recipe) is sound. */
static int failing_runner_new(struct device *device, const struct recipe *of, struct runner **ret, struct err *err)
{
	int r = sound_runner_new(device, of, ret, err);
	if (r == 0 && of) {
		sound = (*ret)->ops;
		failing = *sound;
		failing.alloc = failing_alloc;
		failing.run = failing_run;
		(*ret)->ops = &failing;
	}
	return r;
}

static int open_shared(struct device **ret, const struct device_spec *spec, struct err *err)
{
	int r = backend_host.open(ret, spec, err);
	if (r == 0)
		(*ret)->store = store;
	return r;
}

static int open_failing(struct device **ret, const struct device_spec *spec, struct err *err)
{
	int r = open_shared(ret, spec, err);
	sound_runner_new = (*ret)->runner_new;
	(*ret)->runner_new = failing_runner_new;
	return r;
}

static const struct backend shared_backend = {.name = "shared", .open = open_shared, CUDA_VERBS};
static const struct backend failing_backend = {.name = "failing", .open = open_failing, CUDA_VERBS};

const struct backend *backend_find(const char *name)
{
	return str_eq(name, "failing") ? &failing_backend : &shared_backend;
}

/* --- a job --- */

static void open_job(struct job *job, double lr)
{
	const struct job_options options = {.backend = "shared", .batch = BATCH, .threads = 1, .lr = lr, .momentum = 0.9};
	job_open(job, &options, net, data, &recipe);
}

struct outcome {
	struct sums train, test;
	float *params;
};

static void finish(struct job *job, struct outcome *o)
{
	struct err err;
	const struct eval_options options = {0};
	assert_int_equal(job->backend->evaluate(job->plan, SPLIT_TEST, &options, 0, TESTS, &o->test, &err), 0);
	o->params = xmalloc(net->param_count * sizeof(float));
	memcpy(o->params, job_state(job)->params, net->param_count * sizeof(float));
	job_close(job);
}

static void alone(double lr, struct outcome *o)
{
	struct job job;
	*o = (struct outcome){0};
	open_job(&job, lr);
	job_run(&job, 0, STEPS, &o->train);
	finish(&job, o);
}

static void assert_same(struct outcome *a, struct outcome *b)
{
	assert_memory_equal(&a->train, &b->train, sizeof(a->train));
	assert_memory_equal(&a->test, &b->test, sizeof(a->test));
	assert_memory_equal(a->params, b->params, net->param_count * sizeof(float));
	free(a->params);
	free(b->params);
}

static int setup(void **state)
{
	store = resident_store_new();
	net = net_new_custom(STEM_CIFAR, false, (const int[4]){1, 1, 0, 0}, 8, 32, 10);
	data = made_dataset(TRAIN, TEST, 10, 3);
	return 0;
}

static int teardown(void **state)
{
	made_free(data);
	net_free(net);
	resident_store_free(store); /* an invariant of it: nothing is left in it */
	return 0;
}

/* --- the tests --- */

static void test_in_turn(void **state)
{
	struct outcome first, second, a = {0}, b = {0};
	struct job one, two;
	alone(0.1, &first);
	alone(0.02, &second);
	open_job(&one, 0.1);
	open_job(&two, 0.02);
	for (uint32_t step = 0; step < STEPS; step++) {
		job_run(&one, step, 1, &a.train);
		job_run(&two, step, 1, &b.train);
	}
	finish(&two, &b);
	finish(&one, &a);
	assert_same(&a, &first);
	assert_same(&b, &second);
}

static void *train(void *arg)
{
	struct outcome *o = arg;
	alone(o->test.loss, o); /* the rate comes in it */
	return NULL;
}

static void test_in_threads(void **state)
{
	pthread_t thread;
	struct outcome first, second, a = {.test.loss = 0.1}, b = {.test.loss = 0.02};
	alone(0.1, &first);
	alone(0.02, &second);
	assert_int_equal(pthread_create(&thread, NULL, train, &a), 0);
	train(&b);
	pthread_join(thread, NULL);
	assert_same(&a, &first);
	assert_same(&b, &second);
}

static void open_bad(struct device **ret)
{
	struct err err;
	const struct device_spec spec = {.threads = 1};
	assert_int_equal(failing_backend.open(ret, &spec, &err), 0);
	assert_int_equal(failing_backend.load(*ret, data, &err), 0);
}

/* No memory for its plan; a device that fails in its second run. */
static void test_one_that_fails(void **state)
{
	struct err err;
	struct job good;
	struct device *bad;
	struct plan *plan;
	struct state fresh;
	struct sums sums = {0};
	struct outcome whole, o = {0};
	alone(0.1, &whole);
	open_job(&good, 0.1);
	job_run(&good, 0, 1, &o.train);
	open_bad(&bad);
	allocs_left = 0;
	assert_int_equal(failing_backend.prepare(bad, net, &recipe, BATCH, &plan, &err), -ENOMEM);
	allocs_left = runs_left = 1;
	assert_int_equal(failing_backend.prepare(bad, net, &recipe, BATCH, &plan, &err), 0);
	job_run(&good, 1, 1, &o.train);
	state_init(&fresh, net, 7);
	runs_left = 1;
	int r = failing_backend.state_set(plan, &fresh, &err);
	r = r ? r : failing_backend.begin_epoch(plan, &good.tables, &err);
	r = r ? r : failing_backend.run(plan, 0, 1, &sums, &err);
	r = r ? r : failing_backend.run(plan, 1, 1, &sums, &err);
	assert_int_equal(r, -ENODEV);
	state_fini(&fresh);
	job_run(&good, 2, 1, &o.train);
	failing_backend.release(plan);
	failing_backend.close(bad);
	finish(&good, &o);
	assert_same(&o, &whole);
}

static void test_a_data_set_is_on_the_device_once(void **state)
{
	struct err err;
	struct outcome whole, o = {0};
	struct dataset *same = made_dataset(TRAIN, TEST, 10, 3), *other = made_dataset(TRAIN, TEST, 10, 4);
	struct job one, two;
	alone(0.1, &whole);
	open_job(&one, 0.1);
	open_job(&two, 0.1);
	assert_ptr_equal(one.device->sets[0].source.pixels, two.device->sets[0].source.pixels);
	assert_int_equal(two.backend->load(two.device, same, &err), 0); /* by its contents */
	assert_ptr_equal(one.device->sets[1].source.pixels, two.device->sets[1].source.pixels);
	assert_int_equal(two.backend->load(two.device, other, &err), 0);
	assert_ptr_not_equal(one.device->sets[0].source.pixels, two.device->sets[0].source.pixels);
	assert_int_equal(two.backend->load(two.device, data, &err), 0);
	job_close(&two); /* the first goes on with what is there */
	job_run(&one, 0, STEPS, &o.train);
	finish(&one, &o);
	assert_same(&o, &whole);
	made_free(same);
	made_free(other);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void test_what_a_run_records(void **state)
{
	struct job job;
	char dir[] = "/tmp/sweepd-plan-XXXXXX";
	assert_non_null(mkdtemp(dir));
	open_job(&job, 0.1);
	autojson json_t *plan = job.backend->describe(job.plan);
	job_close(&job);
	assert_true(json_int_or(plan, "device_bytes", 0) > (int64_t)(2 * net->param_count * sizeof(float)));
	json_t *convolutions = json_object_get(plan, "convolutions");
	json_t *stem = json_object_get(convolutions, "fprop f32 n4 c8 32x32 k8 3x3 stride1 pad1");
	assert_non_null(stem);
	assert_non_null(json_object_get(convolutions, "wgrad f32 n3 c8 32x32 k8 3x3 stride1 pad1")); /* of the tail */
	assert_false(plan_record(dir, plan)); /* there was none */
	json_object_set_new(stem, "ms", json_real(0.25));
	assert_false(plan_record(dir, plan)); /* the same, timed again */
	json_object_set_new(stem, "engine", json_integer(7));
	assert_true(plan_record(dir, plan));
	assert_false(plan_record(dir, plan));
	autofree char *path = xasprintf("%s/plan.json", dir);
	assert_int_equal(fs_write_file(path, "{", 1, 0640, NULL), 0);
	assert_true(plan_record(dir, plan)); /* not to be read: not the same, as far as one knows */
	assert_false(plan_record("/nowhere", plan));
	assert_int_equal(nftw(dir, remove_one, 4, FTW_DEPTH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_turn),
		cmocka_unit_test(test_in_threads),
		cmocka_unit_test(test_one_that_fails),
		cmocka_unit_test(test_a_data_set_is_on_the_device_once),
		cmocka_unit_test(test_what_a_run_records),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
