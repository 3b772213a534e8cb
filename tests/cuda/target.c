/* See target.h. */
#include "target.h"

#include "tests/cuda/runner_host.h"
#include "worker/cuda/plan.h"

#define TWINS_MAX 72

static struct target_gpu target;
static struct device *host; /* that target.runner is of, where it is the host */

const char *target_name(void)
{
	const char *name = getenv("TEST_GPU");
	return name && *name ? name : NULL;
}

static int launch_on_host(enum kernel_id id, enum cell cell, union kernel_args *args, struct err *err)
{
	host_kernel_run(id, cell, args, HOST_FORWARD);
	return 0;
}

static int open_host(struct target_gpu *ret, struct err *err)
{
	struct device_spec spec = {.threads = 1};
	int r = backend_host.open(&host, &spec, err);
	r = r < 0 ? r : host->runner_new(host, NULL, &ret->runner, err);
	ret->launch = launch_on_host;
	return r;
}

static void ended(int r, const struct err *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "error: %s\n", err->text);
	exit(1);
}

struct runner *target_runner(void)
{
	struct err err;
	const char *name = target_name();
	if (!target.runner)
		ended(!name || str_eq(name, "host") ? open_host(&target, &err) : target_gpu_open(&target, name, &err), &err);
	return target.runner;
}

/* --- twins: device copies of the ranges that a launch points into --- */

struct twins {
	const struct target_range *ranges;
	size_t n_ranges;
	void *device[TWINS_MAX]; /* by range; NULL: not pointed into */
	bool holds_pointers[TWINS_MAX];
};

static int twin_of(struct twins *t, size_t i, struct err *err)
{
	struct runner *r = target_runner();
	if (t->device[i])
		return 0;
	int code = r->ops->alloc(r, MAX(t->ranges[i].bytes, 1), &t->device[i], err);
	return code < 0 ? code : r->ops->upload(r, t->device[i], t->ranges[i].data, t->ranges[i].bytes, err);
}

/* Every word that is an address inside a range becomes that of the twin.  (No other word looks like one: sizes and counts
 * are small.) */
static int move_pointers(struct twins *t, void *memory, size_t bytes, struct err *err)
{
	int r = 0;
	for (size_t at = 0; r == 0 && at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
		uintptr_t word;
		memcpy(&word, (char *)memory + at, sizeof(word));
		for (size_t i = 0; r == 0 && i < t->n_ranges; i++) {
			uintptr_t begin = (uintptr_t)t->ranges[i].data;
			if (word < begin || word >= begin + t->ranges[i].bytes)
				continue;
			r = twin_of(t, i, err);
			uintptr_t moved = (uintptr_t)t->device[i] + (word - begin);
			memcpy((char *)memory + at, &moved, sizeof(moved));
			break;
		}
	}
	return r;
}

/* bn_running's layers are an array of pointers. */
static int move_layers(struct twins *t, const struct bn_running_args *args, struct err *err)
{
	struct runner *runner = target_runner();
	size_t bytes = args->count * sizeof(struct bn_layer);
	autofree struct bn_layer *copy = xmalloc(bytes);
	memcpy(copy, args->layers, bytes);
	int r = move_pointers(t, copy, bytes, err);
	for (size_t i = 0; r == 0 && i < t->n_ranges; i++)
		if (t->ranges[i].data == args->layers) {
			r = twin_of(t, i, err);
			r = r < 0 ? r : runner->ops->upload(runner, t->device[i], copy, bytes, err);
			t->holds_pointers[i] = true;
		}
	return r;
}

static int launch_on_twins(struct twins *t, enum kernel_id id, enum cell cell, const union kernel_args *args,
			   struct err *err)
{
	struct runner *runner = target_runner();
	union kernel_args moved = *args;
	int r = id == KERNEL_BN_RUNNING ? move_layers(t, &args->bn_running, err) : 0;
	r = r < 0 ? r : move_pointers(t, &moved, kernel_args_size(id), err);
	r = r < 0 ? r : target.launch(id, cell, &moved, err);
	for (size_t i = 0; r == 0 && i < t->n_ranges; i++)
		if (t->device[i] && !t->holds_pointers[i])
			r = runner->ops->download(runner, t->ranges[i].data, t->device[i], t->ranges[i].bytes, err);
	for (size_t i = 0; i < t->n_ranges; i++)
		runner->ops->release(runner, t->device[i]);
	return r;
}

void target_launch(enum kernel_id id, enum cell cell, const union kernel_args *args, enum host_order order,
		   const struct target_range *ranges, size_t n)
{
	if (!target_name()) {
		host_kernel_run(id, cell, args, order);
		return;
	}
	struct err err;
	struct twins twins = {.ranges = ranges, .n_ranges = n};
	INVARIANT(n <= TWINS_MAX, "too many ranges");
	ended(launch_on_twins(&twins, id, cell, args, &err), &err);
}
