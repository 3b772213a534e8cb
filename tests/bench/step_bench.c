/* How near a whole training step (loading, augmentation, forward, backward, optimizer) comes to its convolutions and
 * batch norms alone: both are timed in the same run, round by round, since a shared machine is not the same twice.
 *
 *   step_bench --model resnet18 --batch 128 --threads 2 [--amp] [--direct]
 *
 * Prints images/s of both, their ratio (medians of the rounds), where the primitives' time goes, what loading and
 * augmenting a batch costs one thread, and the reorders of a step by what is reordered.
 *
 * With --turns it is one of several that bench.py times in turns: a line on stdin starts a round, a line on stdout
 * (seconds of a step, of its primitives, of loading it, and of processor time in a step, loader threads included) ends it.
 * On a line "step" the primitives are left out. */
#include "tests/parity/made.h"
#include "worker/augment.h"
#include "worker/backend_cpu.h"
#include "worker/cpu/plan.h"

#include <argp.h>
#include <time.h>

enum { REPEATS = 3, MAX_ROUNDS = 99, KINDS = ITEM_JOIN + 1 };

struct options {
	const char *model;
	int batch, threads, rounds, steps, workers;
	bool amp, direct, heavy, list, turns;
	enum stem stem;
};

static const struct argp_option argp_options[] = {
	{"model", 'm', "NAME", 0, "network of params.def (default resnet18)", 0},
	{"batch", 'b', "N", 0, "images a step (128)", 0},
	{"threads", 't', "N", 0, "OpenMP threads (2)", 0},
	{"workers", 'w', "N", 0, "loader threads (1)", 0},
	{"rounds", 'r', "N", 0, "rounds of which the median is taken (5)", 0},
	{"steps", 's', "N", 0, "steps a round (4)", 0},
	{"amp", 'a', NULL, 0, "bf16 where the processor has it", 0},
	{"direct", 'd', NULL, 0, "direct convolutions only, no Winograd", 0},
	{"heavy", 'H', NULL, 0, "heavy_aug, ColorJitter and MixUp instead of crop and flip alone", 0},
	{"imagenet", 'i', NULL, 0, "the ImageNet stem", 0},
	{"list", 'l', NULL, 0, "list every item of a step with its time", 0},
	{"turns", 'T', NULL, 0, "a round for each line on stdin, at most --rounds", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'm':
		o->model = arg;
		return 0;
	case 'b':
		o->batch = atoi(arg);
		return 0;
	case 't':
		o->threads = atoi(arg);
		return 0;
	case 'w':
		o->workers = atoi(arg);
		return 0;
	case 'r':
		o->rounds = atoi(arg);
		return 0;
	case 's':
		o->steps = atoi(arg);
		return 0;
	case 'a':
		o->amp = true;
		return 0;
	case 'd':
		o->direct = true;
		return 0;
	case 'H':
		o->heavy = true;
		return 0;
	case 'i':
		o->stem = STEM_IMAGENET;
		return 0;
	case 'l':
		o->list = true;
		return 0;
	case 'T':
		o->turns = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static double clock_s(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), ascending);
	return v[n / 2];
}

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "step_bench: %s\n", err->text);
	exit(1);
}

static const char *const kind_names[KINDS] = {
	[ITEM_REORDER] = "reorder",	     [ITEM_CONV_FORWARD] = "conv forward", [ITEM_CONV_DGRAD] = "conv dgrad",
	[ITEM_CONV_WGRAD] = "conv wgrad",    [ITEM_BN_FORWARD] = "bn forward",	   [ITEM_BN_BACKWARD] = "bn backward",
	[ITEM_MAXPOOL] = "max pooling",	     [ITEM_MAXPOOL_BACKWARD] = "max pool back",
	[ITEM_ADD_RELU] = "add+relu",	     [ITEM_RELU_MASK] = "relu mask",	   [ITEM_JOIN] = "gradient join",
};

/* One item run alone, warm: the median of a few. */
static double item_seconds(const struct pass *pass, const struct item *item)
{
	struct err err = {0};
	double v[REPEATS];
	check(item_run(pass, item, &err), &err);
	for (int i = 0; i < REPEATS; i++) {
		double start = now_s();
		check(item_run(pass, item, &err), &err);
		v[i] = now_s() - start;
	}
	return median(v, REPEATS);
}

/* Adds the seconds of each kind of item. */
static void program_seconds(const struct pass *pass, const struct program *program, bool list, double *kinds)
{
	for (int i = 0; i < program->n; i++) {
		const struct item *item = &program->items[i];
		double s = item_seconds(pass, item);
		kinds[item->kind] += s;
		if (list)
			printf("%-14s %8.3f ms  %s\n", kind_names[item->kind], 1e3 * s,
			       item->prim ? prim_name(item->prim) : "");
	}
}

struct round {
	double step_s, primitives_s, load_s; /* of one batch; load_s: one thread, that does nothing else */
	double step_cpu_s; /* of all threads */
	double kinds[KINDS];
};

struct bench {
	const struct options *options;
	struct plan *plan;
	struct loader *loader; /* without threads: loader_next() does the work */
};

/* Loading and augmenting the batches of the round. */
static double load_seconds(struct bench *b, uint32_t first)
{
	loader_start_train(b->loader, &b->plan->tables, first);
	double start = now_s();
	for (int i = 0; i < b->options->steps; i++)
		loader_release_batch(b->loader, loader_next(b->loader));
	return (now_s() - start) / b->options->steps;
}

static void measure(struct bench *b, int index, bool primitives, struct round *ret)
{
	const struct options *o = b->options;
	struct err err = {0};
	struct sums sums = {0};
	uint32_t first = (uint32_t)(index * o->steps);
	double start = now_s(), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	check(plan_run(b->plan, first, (uint32_t)o->steps, &sums, &err), &err);
	*ret = (struct round){.step_s = (now_s() - start) / o->steps,
			      .step_cpu_s = (clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) / o->steps};
	ret->load_s = load_seconds(b, first);
	if (!primitives)
		return;
	const struct pass *pass = b->plan->passes[0];
	program_seconds(pass, &pass->weights, o->list && index == 1, ret->kinds);
	program_seconds(pass, &pass->forward, o->list && index == 1, ret->kinds);
	program_seconds(pass, &pass->backward, o->list && index == 1, ret->kinds);
	for (int k = ITEM_CONV_FORWARD; k <= ITEM_BN_BACKWARD; k++)
		ret->primitives_s += ret->kinds[k];
}

/* --- reorders: each is there because two layouts differ --- */

enum reorder { REORDER_WEIGHTS, REORDER_WEIGHT_GRADIENTS, REORDER_HEAD, REORDER_ACTIVATIONS, N_REORDERS };
static const char *const reorder_names[N_REORDERS] = {"of weights", "of weight gradients", "to and from the head",
						      "of activations and their gradients"};

static bool same_place(struct place a, struct place b)
{
	return a.region == b.region && a.offset == b.offset;
}

static enum reorder reorder_of(const struct pass *pass, const struct item *item)
{
	struct place src = item->places[ARG_SRC], dst = item->places[ARG_DST];
	if (src.region == REGION_PARAMS)
		return REORDER_WEIGHTS;
	if (dst.region == REGION_GRADS)
		return REORDER_WEIGHT_GRADIENTS;
	return same_place(src, pass->features) || same_place(dst, pass->features) ? REORDER_HEAD : REORDER_ACTIVATIONS;
}

static void count_reorders(const struct pass *pass, const struct program *program, int *counts)
{
	for (int i = 0; i < program->n; i++) {
		const struct item *item = &program->items[i];
		if (item->kind != ITEM_REORDER)
			continue;
		INVARIANT(!layout_equal(prim_layout(item->prim, ARG_SRC), prim_layout(item->prim, ARG_DST)),
			  "a reorder between equal layouts");
		counts[reorder_of(pass, item)]++;
	}
}

static void print_reorders(const struct pass *pass)
{
	int counts[N_REORDERS] = {0};
	count_reorders(pass, &pass->weights, counts);
	count_reorders(pass, &pass->forward, counts);
	count_reorders(pass, &pass->backward, counts);
	printf("reorders a step       ");
	for (int i = 0; i < N_REORDERS; i++)
		printf("%s %d %s", i ? "," : "", counts[i], reorder_names[i]);
	printf("\n");
}

/* --- results --- */

__attribute__((format(printf, 2, 0)))
static void print_median(const char *what, const char *format, const double *values, int n)
{
	double v[MAX_ROUNDS];
	memcpy(v, values, (size_t)n * sizeof(*v));
	printf("%-22s ", what);
	printf(format, median(v, n));
	printf("\n");
}

static void print_results(const struct options *o, const struct round *rounds)
{
	double v[MAX_ROUNDS], primitives[MAX_ROUNDS], ratio[MAX_ROUNDS], load[MAX_ROUNDS];
	for (int k = 0; k < KINDS; k++) {
		for (int i = 0; i < o->rounds; i++)
			v[i] = 1e3 * rounds[i].kinds[k];
		print_median(kind_names[k], "%8.2f ms", v, o->rounds);
	}
	for (int i = 0; i < o->rounds; i++) {
		const struct round *r = &rounds[i];
		v[i] = o->batch / r->step_s;
		primitives[i] = o->batch / r->primitives_s;
		ratio[i] = r->primitives_s / r->step_s;
		load[i] = 100 * r->load_s / r->step_s;
	}
	print_median("whole step", "%8.1f images/s", v, o->rounds);
	print_median("conv + bn primitives", "%8.1f images/s", primitives, o->rounds);
	print_median("ratio", "%8.3f", ratio, o->rounds);
	print_median("loading a batch", "%8.3f %% of a step, on one thread", load, o->rounds);
}

/* A round for each line on stdin. */
static void take_turns(struct bench *b)
{
	char line[16];
	for (int i = 0; i <= b->options->rounds && fgets(line, sizeof(line), stdin); i++) {
		struct round round;
		measure(b, i, strcmp(line, "step\n") != 0, &round);
		printf("%.6f %.6f %.6f %.6f\n", round.step_s, round.primitives_s, round.load_s, round.step_cpu_s);
		fflush(stdout);
	}
}

static const struct augment_settings heavy = {.crop = CROP_RANDOM, .flip = true, .trivial = true, .erasing = 0.25f,
					      .jitter = {0.4f, 0.4f, 0.4f, 0.1f}};

static struct plan *prepare(const struct options *o, struct device *device, const struct net *net,
			    const struct dataset *data, const struct epoch_tables *tables)
{
	struct err err = {0};
	struct recipe recipe = {.amp = o->amp, .optim.weight_decay = 5e-4, .lr_scale = LR_SCALES_ONE,
				.augment = AUGMENT_CROP_FLIP, .seed = 1, .num_workers = o->workers};
	if (o->heavy)
		recipe.augment = heavy;
	struct plan *plan;
	double start = now_s();
	check(backend_cpu->load(device, data, &err), &err);
	check(backend_cpu->prepare(device, net, &recipe, o->batch, &plan, &err), &err);
	printf("prepare                %8.2f s, %zu MiB\n", now_s() - start, plan->work.bytes >> 20);
	struct state state;
	state_init(&state, net, 1);
	check(plan_state_set(plan, &state, &err), &err);
	state_fini(&state);
	check(plan_begin_epoch(plan, tables, &err), &err);
	return plan;
}

int main(int argc, char **argv)
{
	struct options o = {.model = "resnet18", .batch = 128, .threads = 2, .rounds = 5, .steps = 4, .workers = 1};
	static const struct argp argp = {argp_options, parse, NULL, "Times the cpu backend's training step.", 0, 0, 0};
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	struct net *net = net_new(o.model, o.stem, IMAGE_SIZE, 100);
	if (!net || o.batch < 1 || o.threads < 1 || o.steps < 1 || o.rounds < 2 || o.rounds >= MAX_ROUNDS) {
		fprintf(stderr, "step_bench: no such model, or a count out of range\n");
		return 1;
	}
	size_t images = (size_t)o.batch * (size_t)o.steps * (size_t)(o.rounds + 1);
	struct dataset *data = made_dataset(images, 0, 100, 1);
	autofree uint32_t *order = xcalloc(images, sizeof(*order));
	epoch_order(order, images, 1, 0);
	autofree struct step_values *values = made_steps(images / (size_t)o.batch, 0.01, 0.9);
	autofree struct mix *mixes = xcalloc(images / (size_t)o.batch, sizeof(*mixes));
	struct mix_settings mixing = {.mixup = true, .mixup_alpha = 0.2, .probability = 1};
	mixes_draw(mixes, (uint32_t)(images / (size_t)o.batch), &mixing, 1, 0, IMAGE_SIZE);
	struct epoch_tables tables = {.order = order, .n_order = images, .steps = values, .mixes = o.heavy ? mixes : NULL};
	struct err err = {0};
	struct device_spec spec = {.threads = o.threads, .direct = o.direct};
	struct device *device;
	check(backend_cpu->open(&device, &spec, &err), &err);
	struct device_info info;
	backend_cpu->info(device, &info);
	struct bench bench = {.options = &o, .plan = prepare(&o, device, net, data, &tables)};
	struct recipe alone = bench.plan->recipe; /* no threads: the caller loads */
	alone.num_workers = 0;
	check(loader_new(&bench.loader, data, &alone, o.batch, 1, &err), &err);
	printf("%s, %s, batch %d, %s%s, oneDNN %s\n", info.name, o.model, o.batch,
	       bench.plan->cell == CELL_BF16 ? "bf16" : "fp32", o.direct ? " direct" : "", info.version);
	print_reorders(bench.plan->passes[0]);
	fflush(stdout);
	struct round rounds[MAX_ROUNDS + 1]; /* the first one warms up */
	if (o.turns)
		take_turns(&bench);
	for (int i = 0; i <= o.rounds && !o.turns; i++)
		measure(&bench, i, true, &rounds[i]);
	if (!o.turns)
		print_results(&o, rounds + 1);
	loader_free(bench.loader);
	plan_free(bench.plan);
	backend_cpu->close(device);
	made_free(data);
	net_free(net);
	return 0;
}
