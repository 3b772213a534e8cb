/* How fast the cuda backend trains: images/s of one or several slots, and where a step's time goes.
 *
 *   gpu_bench --device cuda:0 --model resnet18 --batch 128 [--size 224] [--slots 4] [--breakdown]
 *
 * Made images, resident; a slot is a plan of its own driven by a thread of its own, as in a worker.  One line of JSON:
 *
 *   images_per_s, step_ms   all slots together, wall clock over whole epochs, after one epoch of warming up; the best of
 *                           the rounds and all of them
 *   launches, launch_ms     of one step, each launch timed by itself (median of the rounds), not as a graph
 *   conv_ms, plan_ms        of these the convolutions, and what their plans took alone when they were chosen (0: unknown)
 *   bytes                   read and written by all launches if nothing stays in a cache
 *   kernels                 per launch, with --breakdown: label, ms, plan_ms, bytes */
#include "subject.h"

#include "common/clock.h"
#include "common/json.h"
#include "tests/parity/made.h"
#include "worker/augment.h"
#include "worker/cuda/plan.h"

#include <argp.h>
#include <pthread.h>

#define SLOTS_MAX  8
#define ROUNDS_MAX 32

struct options {
	const char *device, *model, *amp;
	int batch, size, slots, images, rounds;
	bool breakdown, deterministic;
	double seconds;
};

static const struct argp_option argp_options[] = {
	{"device", 'd', "ID", 0, "cuda:N, a UUID, or host (cuda:0)", 0},
	{"model", 'm', "NAME", 0, "network of params.def (resnet18)", 0},
	{"amp", 'a', "TYPE", 0, "bf16, fp16 or none (bf16)", 0},
	{"batch", 'b', "N", 0, "images of a step (128)", 0},
	{"size", 'z', "N", 0, "side of the image (32)", 0},
	{"slots", 's', "N", 0, "plans that train at the same time (1)", 0},
	{"images", 'i', "N", 0, "of an epoch (51200)", 0},
	{"rounds", 'r', "N", 0, "of which the best counts (3)", 0},
	{"seconds", 't', "S", 0, "of a round, at least (2)", 0},
	{"breakdown", 'k', NULL, 0, "list every launch", 0},
	{"deterministic", 'D', NULL, 0, "no plan is timed", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->device = arg;
		return 0;
	case 'm':
		o->model = arg;
		return 0;
	case 'a':
		o->amp = arg;
		return 0;
	case 'b':
		o->batch = atoi(arg);
		return 0;
	case 'z':
		o->size = atoi(arg);
		return 0;
	case 's':
		o->slots = atoi(arg);
		return 0;
	case 'i':
		o->images = atoi(arg);
		return 0;
	case 'r':
		o->rounds = atoi(arg);
		return 0;
	case 't':
		o->seconds = atof(arg);
		return 0;
	case 'k':
		o->breakdown = true;
		return 0;
	case 'D':
		o->deterministic = true;
		return 0;
	case ARGP_KEY_END:
		if (o->batch < 1 || o->images < o->batch || o->slots < 1 || o->slots > SLOTS_MAX || o->rounds < 1 ||
		    o->rounds > ROUNDS_MAX || o->size < 32)
			argp_error(state, "a number is out of range (at most %d slots, %d rounds; images >= batch)", SLOTS_MAX,
				   ROUNDS_MAX);
		if (strncmp(o->device, "cpu", 3) == 0)
			argp_error(state, "--device: expected cuda:N, a UUID or host");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct slot {
	const struct options *options;
	const struct backend *backend;
	struct plan *plan;
	uint32_t *order;
	pthread_t thread;
	pthread_barrier_t *barrier;
	double end_s; /* of a round */
	uint64_t images;
	int result;
	struct err err;
};

struct bench {
	struct options o;
	const struct backend *backend;
	struct net *net;
	struct dataset *data;
	struct device *device;
	struct slot slots[SLOTS_MAX];
	double images_per_s[ROUNDS_MAX], best;
};

static void die(int r, const struct err *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "error: %s\n", err->text);
	exit(1);
}

static void open_slot(struct bench *b, struct slot *slot, uint64_t seed)
{
	struct err err;
	struct state fresh;
	struct recipe recipe = {.amp = !str_eq(b->o.amp, "none"), .optim.weight_decay = 5e-4, .lr_scale = LR_SCALES_ONE, .seed = seed,
				.augment = AUGMENT_CROP_FLIP, .deterministic = b->o.deterministic};
	slot->options = &b->o;
	slot->backend = b->backend;
	slot->order = xcalloc((size_t)b->o.images, sizeof(*slot->order));
	epoch_order(slot->order, (size_t)b->o.images, seed, 0);
	die(b->backend->prepare(b->device, b->net, &recipe, b->o.batch, &slot->plan, &err), &err);
	state_init(&fresh, b->net, seed);
	die(b->backend->state_set(slot->plan, &fresh, &err), &err);
	state_fini(&fresh);
	autofree struct step_values *values = made_steps((size_t)b->o.images, 1e-3, 0.9);
	const struct epoch_tables tables = {.order = slot->order, .n_order = (size_t)b->o.images, .steps = values};
	die(b->backend->begin_epoch(slot->plan, &tables, &err), &err);
}

static void open_all(struct bench *b)
{
	struct err err;
	b->net = net_new(b->o.model, STEM_CIFAR, b->o.size, 100);
	if (!b->net)
		die(-EINVAL, (err_set(&err, -EINVAL, "there is no network \"%s\"", b->o.model), &err));
	b->data = made_dataset((size_t)b->o.images, 16, 100, 1);
	die(subject_open(&b->backend, &b->device, b->o.device, b->o.amp, false, &err), &err);
	die(b->backend->load(b->device, b->data, &err), &err);
	for (int i = 0; i < b->o.slots; i++)
		open_slot(b, &b->slots[i], (uint64_t)i + 1);
}

static void close_all(struct bench *b)
{
	for (int i = 0; i < b->o.slots; i++) {
		b->backend->release(b->slots[i].plan);
		free(b->slots[i].order);
	}
	b->backend->close(b->device);
	made_free(b->data);
	net_free(b->net);
}

/* Epochs of full batches until the time is over; images of the sums are what was really trained. */
static void *train(void *arg)
{
	struct slot *slot = arg;
	uint32_t steps = (uint32_t)(slot->options->images / slot->options->batch);
	struct sums sums = {0};
	pthread_barrier_wait(slot->barrier);
	double until_s = monotonic_s() + slot->options->seconds;
	do
		slot->result = slot->backend->run(slot->plan, 0, steps, &sums, &slot->err);
	while (slot->result == 0 && monotonic_s() < until_s);
	slot->end_s = monotonic_s();
	slot->images = sums.images;
	return NULL;
}

static double run_round(struct bench *b)
{
	pthread_barrier_t barrier;
	double rate = 0;
	pthread_barrier_init(&barrier, NULL, (unsigned)b->o.slots + 1);
	for (int i = 0; i < b->o.slots; i++) {
		b->slots[i].barrier = &barrier;
		INVARIANT(pthread_create(&b->slots[i].thread, NULL, train, &b->slots[i]) == 0, "no thread");
	}
	pthread_barrier_wait(&barrier);
	double begin_s = monotonic_s();
	for (int i = 0; i < b->o.slots; i++) {
		pthread_join(b->slots[i].thread, NULL);
		die(b->slots[i].result, &b->slots[i].err);
		rate += (double)b->slots[i].images / (b->slots[i].end_s - begin_s);
	}
	pthread_barrier_destroy(&barrier);
	return rate;
}

static void run_rounds(struct bench *b)
{
	double seconds = b->o.seconds;
	b->o.seconds = 0; /* one epoch of warming up */
	run_round(b);
	b->o.seconds = seconds;
	for (int i = 0; i < b->o.rounds; i++) {
		b->images_per_s[i] = run_round(b);
		b->best = MAX(b->best, b->images_per_s[i]);
	}
}

/* --- one step, launch by launch --- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Medians over the rounds; caller frees. */
static struct launch_time *time_launches(struct bench *b, int *ret_n)
{
	struct err err;
	struct launch_time *rounds[ROUNDS_MAX];
	int count = b->o.rounds, n = 0;
	for (int i = 0; i < count; i++)
		die(cuda_time_step(b->slots[0].plan, &rounds[i], &n, &err), &err);
	for (int i = 0; i < n; i++) {
		double ms[ROUNDS_MAX];
		for (int r = 0; r < count; r++)
			ms[r] = rounds[r][i].ms;
		qsort(ms, (size_t)count, sizeof(*ms), by_value);
		rounds[0][i].ms = ms[count / 2];
	}
	for (int i = 1; i < count; i++)
		free(rounds[i]);
	*ret_n = n;
	return rounds[0];
}

static void add_launches(struct bench *b, json_t *into)
{
	int n;
	double ms = 0, conv_ms = 0, plan_ms = 0, bytes = 0;
	bool all_known = true;
	json_t *kernels = json_array();
	autofree struct launch_time *times = time_launches(b, &n);
	for (int i = 0; i < n; i++) {
		const struct launch *l = times[i].launch;
		bool conv = l->kind == LAUNCH_CONV;
		ms += times[i].ms;
		conv_ms += conv ? times[i].ms : 0;
		plan_ms += times[i].plan_ms;
		all_known &= !conv || times[i].plan_ms > 0;
		bytes += (double)l->bytes;
		json_array_append_new(kernels, json_pack("{s:s, s:s, s:f, s:f, s:f}", "label", l->label, "kernel",
							 conv ? "conv" : kernel_name(l->kernel.id, l->kernel.cell), "ms",
							 times[i].ms, "plan_ms", times[i].plan_ms, "bytes",
							 (double)l->bytes));
	}
	autojson json_t *totals = json_pack("{s:i, s:f, s:f, s:f, s:f}", "launches", n, "launch_ms", ms, "conv_ms", conv_ms,
					    "plan_ms", all_known ? plan_ms : 0, "bytes", bytes);
	json_object_update(into, totals);
	if (b->o.breakdown)
		json_object_set(into, "kernels", kernels);
	json_decref(kernels);
}

static void print_result(struct bench *b)
{
	char name[192];
	json_t *rounds = json_array();
	for (int i = 0; i < b->o.rounds; i++)
		json_array_append_new(rounds, json_real(b->images_per_s[i]));
	autojson json_t *result =
		json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:o}", "device", subject_describe(b->backend, b->device, name),
			  "model", b->o.model, "amp", b->o.amp, "batch", b->o.batch, "size", b->o.size, "slots", b->o.slots,
			  "images_per_s", b->best, "step_ms", 1e3 * b->o.batch * b->o.slots / b->best, "rounds", rounds);
	add_launches(b, result);
	autofree char *line = json_line(result);
	puts(line);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {argp_options, parse, 0, "Measures the cuda backend.", 0, 0, 0};
	struct bench b = {.o = {.device = "cuda:0", .model = "resnet18", .amp = "bf16", .batch = 128, .size = 32, .slots = 1,
				.images = 51200, .rounds = 3, .seconds = 2}};
	argp_parse(&argp, argc, argv, 0, NULL, &b.o);
	open_all(&b);
	run_rounds(&b);
	print_result(&b);
	close_all(&b);
	return 0;
}
