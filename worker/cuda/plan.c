#include "plan_internal.h"

#include "worker/augment.h"

#include "common/clock.h"

#include <math.h>

/* --- lists and memory --- */

static int tail_of(size_t images, int batch)
{
	return (int)(images % (size_t)batch);
}

/* Writes every list of the plan; with programs NULL only the sizes are wanted. */
struct lists {
	struct launch_list train[2], eval[N_SPLITS][2][2], running, copies, exchange; /* [tail], [mirror][tail] */
};

struct listed { /* a list and the program that is made of it */
	struct launch_list *list;
	struct program **program;
};
#define N_LISTS (2 + 4 * N_SPLITS + 3)

static void list_all(struct plan *plan, struct lists *lists, struct listed ret[N_LISTS])
{
	int n = 0;
	ret[n++] = (struct listed){&lists->train[0], &plan->train.full};
	ret[n++] = (struct listed){&lists->train[1], &plan->train.tail};
	for (int split = 0; split < N_SPLITS; split++)
		for (int mirror = 0; mirror < 2; mirror++) {
			struct list_programs *programs = &plan->eval[split][mirror];
			ret[n++] = (struct listed){&lists->eval[split][mirror][0], &programs->full};
			ret[n++] = (struct listed){&lists->eval[split][mirror][1], &programs->tail};
		}
	ret[n++] = (struct listed){&lists->running, &plan->running};
	ret[n++] = (struct listed){&lists->copies, &plan->copies};
	ret[n] = (struct listed){&lists->exchange, &plan->exchange};
}

static void build_lists(const struct plan *plan, const struct memory *memory, struct lists *lists,
			struct memory_sizes *sizes)
{
	const struct step_problem *p = &plan->problem;
	for (int tail = 0; tail < 2; tail++) {
		size_t images = plan->device->sets[SPLIT_TRAIN].count;
		int n = tail ? tail_of(images, p->batch) : images >= (size_t)p->batch ? p->batch : 0;
		if (n)
			step_build_train(&lists->train[tail], p, memory, n, sizes);
		for (int split = 0; split < N_SPLITS; split++) {
			images = plan->device->sets[split].count;
			n = tail ? tail_of(images, p->batch) : images >= (size_t)p->batch ? p->batch : 0;
			for (int mirror = 0; n && mirror <= (int)plan->recipe.mirror; mirror++)
				step_build_eval(&lists->eval[split][mirror][tail], p, memory, (enum split)split, mirror, n, sizes);
		}
	}
	step_build_running(&lists->running, p, memory, sizes);
	step_build_copies(&lists->copies, p, memory, sizes);
	step_build_exchange(&lists->exchange, p, memory, sizes);
}

static void lists_fini(struct plan *plan, struct lists *lists)
{
	struct listed all[N_LISTS];
	list_all(plan, lists, all);
	for (int i = 0; i < N_LISTS; i++)
		launch_list_fini(all[i].list);
}

/* Base of a layout of which only the sizes are wanted. */
#define NO_BASE ((void *)4096)

static int allocate(struct plan *plan, enum cell cell, struct err *err)
{
	size_t images = plan->device->sets[SPLIT_TRAIN].count;
	struct memory_sizes sizes = {
		.cell = cell,
		.slots = optim_slots(plan->recipe.optim.optimizer),
		.ema = plan->recipe.ema_decay > 0,
		.order = images,
		.steps = plan->train.batches,
		.labels = (size_t)plan->problem.batch,
		.predicted = MAX(MAX(images, plan->device->sets[SPLIT_TEST].count), plan->device->sets[SPLIT_VAL].count),
	};
	struct memory dry;
	struct lists lists = {0};
	memory_init(&dry, &plan->map, &sizes, NO_BASE);
	build_lists(plan, &dry, &lists, &sizes);
	lists_fini(plan, &lists);
	memory_fini(&dry);
	memory_init(&dry, &plan->map, &sizes, NO_BASE);
	size_t bytes = dry.bytes;
	memory_fini(&dry);
	int r = plan->runner->ops->alloc(plan->runner, bytes, &plan->block, err);
	if (r == 0)
		memory_init(&plan->memory, &plan->map, &sizes, plan->block);
	return r;
}

static int prepare_program(struct plan *plan, struct launch_list *list, struct program **ret, struct err *err)
{
	if (list->n == 0)
		return 0;
	struct launch_list taken = *list;
	*list = (struct launch_list){0};
	return plan->runner->ops->prepare(plan->runner, &taken, ret, err);
}

static int prepare_programs(struct plan *plan, struct err *err)
{
	struct lists lists = {0};
	struct memory_sizes sizes = {0};
	build_lists(plan, &plan->memory, &lists, &sizes);
	struct listed all[N_LISTS];
	int r = 0;
	list_all(plan, &lists, all);
	for (int i = 0; r == 0 && i < N_LISTS; i++)
		r = prepare_program(plan, all[i].list, all[i].program, err);
	lists_fini(plan, &lists);
	return r;
}

static int upload_layers(struct plan *plan, struct err *err)
{
	size_t n = (size_t)plan->net->n_bns;
	autofree struct bn_layer *layers = xcalloc(n, sizeof(*layers));
	for (size_t i = 0; i < n; i++) {
		const struct bn_vectors *bn = &plan->memory.bns[i];
		layers[i] = (struct bn_layer){bn->gamma, bn->beta, bn->running_mean, bn->running_var,
					      bn->scale, bn->shift, (uint32_t)bn->c};
	}
	return plan->runner->ops->upload(plan->runner, plan->memory.layers, layers, n * sizeof(*layers), err);
}

static int upload_affines(struct plan *plan, struct err *err)
{
	struct affine_table table;
	if (!plan->recipe.augment.trivial)
		return 0;
	affine_table_fill(&table, plan->net->tensors[0].h);
	return plan->runner->ops->upload(plan->runner, plan->memory.affines, &table, sizeof(table), err);
}

/* The epoch's, or that nothing is mixed. */
static int upload_mixes(struct plan *plan, const struct epoch_tables *tables, struct err *err)
{
	size_t bytes = plan->train.batches * sizeof(struct mix);
	autofree void *none = xcalloc(1, bytes);
	const void *mixes = tables->mixes ? (const void *)tables->mixes : none;
	return plan->runner->ops->upload(plan->runner, plan->memory.mixes, mixes, bytes, err);
}

static void count_batches(struct list_programs *programs, size_t images, int batch)
{
	programs->full_batches = (uint32_t)(images / (size_t)batch);
	programs->batches = programs->full_batches + (tail_of(images, batch) > 0);
}

static int plan_init(struct plan *plan, int batch, struct err *err)
{
	struct device *device = plan->device;
	int r = units_init(&plan->units, plan->net, err);
	if (r < 0)
		return r;
	param_map_init(&plan->map, plan->net);
	plan->problem = (struct step_problem){
		.net = plan->net,
		.units = &plan->units,
		.recipe = &plan->recipe,
		.batch = batch,
		.source = {device->sets[0].source, device->sets[1].source, device->sets[2].source},
	};
	count_batches(&plan->train, device->sets[SPLIT_TRAIN].count, batch);
	for (int split = 0; split < N_SPLITS; split++)
		for (int mirror = 0; mirror < 2; mirror++)
			count_batches(&plan->eval[split][mirror], device->sets[split].count, batch);
	enum cell cell = plan->recipe.amp ? device->amp_cell : CELL_F32;
	plan->host = (struct step_state){
		.seed = plan->recipe.seed,
		.scaler.scale = cell == CELL_F16 ? SCALER_INIT : 1,
		.clip = 1,
		.bad_step = NO_BAD_STEP,
	};
	r = device->runner_new(device, &plan->recipe, &plan->runner, err);
	r = r < 0 ? r : allocate(plan, cell, err);
	r = r < 0 ? r : upload_layers(plan, err);
	r = r < 0 ? r : upload_affines(plan, err);
	double start = monotonic_s();
	r = r < 0 ? r : prepare_programs(plan, err);
	plan->prepare_s = monotonic_s() - start;
	return r;
}

int cuda_prepare(struct device *device, const struct net *net, const struct recipe *recipe, int batch, struct plan **ret,
		 struct err *err)
{
	INVARIANT(device->runner, "prepare() before load()");
	struct plan *plan = xcalloc(1, sizeof(*plan));
	plan->device = device;
	plan->net = net;
	plan->recipe = *recipe;
	int r = plan_init(plan, batch, err);
	if (r < 0)
		cuda_release(plan);
	else
		*ret = plan;
	return r;
}

static void describe_programs(const struct runner_ops *ops, const struct list_programs *programs, json_t *into)
{
	if (programs->full)
		ops->describe(programs->full, into);
	if (programs->tail)
		ops->describe(programs->tail, into);
}

json_t *cuda_describe(const struct plan *plan)
{
	const struct runner_ops *ops = plan->runner->ops;
	json_t *convolutions = json_object();
	describe_programs(ops, &plan->train, convolutions);
	for (int split = 0; split < N_SPLITS; split++) /* mirrored tests use the same */
		describe_programs(ops, &plan->eval[split][false], convolutions);
	return json_pack("{s:I, s:f, s:o}", "device_bytes", (json_int_t)(plan->memory.bytes + ops->own_bytes), "seconds",
			 plan->prepare_s, "convolutions", convolutions);
}

static void free_programs(struct plan *plan, const struct list_programs *programs)
{
	plan->runner->ops->program_free(plan->runner, programs->full);
	plan->runner->ops->program_free(plan->runner, programs->tail);
}

void cuda_release(struct plan *plan)
{
	if (!plan)
		return;
	if (plan->runner) {
		free_programs(plan, &plan->train);
		for (int split = 0; split < N_SPLITS; split++)
			for (int mirror = 0; mirror < 2; mirror++)
				free_programs(plan, &plan->eval[split][mirror]);
		plan->runner->ops->program_free(plan->runner, plan->running);
		plan->runner->ops->program_free(plan->runner, plan->copies);
		plan->runner->ops->program_free(plan->runner, plan->exchange);
		plan->runner->ops->release(plan->runner, plan->block);
		plan->runner->ops->close(plan->runner);
	}
	memory_fini(&plan->memory);
	param_map_fini(&plan->map);
	units_fini(&plan->units);
	free(plan);
}

/* --- steps --- */

int cuda_begin_epoch(struct plan *plan, const struct epoch_tables *tables, struct err *err)
{
	const struct memory *m = &plan->memory;
	plan->tables = *tables;
	plan->host.epoch = (uint32_t)tables->epoch;
	int r = plan->runner->ops->upload(plan->runner, m->values, tables->steps, plan->train.batches * sizeof(*tables->steps), err);
	r = r < 0 ? r : upload_mixes(plan, tables, err);
	r = r < 0 ? r : plan->runner->ops->upload(plan->runner, m->order, tables->order,
						  tables->n_order * sizeof(*tables->order), err);
	return r;
}

/* Batches [first, first + n): the full ones, then the last. */
static int run_batches(struct plan *plan, const struct list_programs *programs, uint32_t first, uint32_t n,
		       struct err *err)
{
	const struct runner_ops *ops = plan->runner->ops;
	INVARIANT(first + n <= programs->batches, "batch %u is past the end", first + n - 1);
	uint32_t full = first < programs->full_batches ? MIN(n, programs->full_batches - first) : 0;
	int r = full ? ops->run(plan->runner, programs->full, full, err) : 0;
	return r == 0 && n > full ? ops->run(plan->runner, programs->tail, 1, err) : r;
}

/* Sums go to the device and come back, so that they are added up in one order however the steps are cut into runs. */
static int run_with_sums(struct plan *plan, const struct list_programs *programs, uint32_t first, uint32_t n,
			 struct sums *sums, struct err *err)
{
	const struct runner_ops *ops = plan->runner->ops;
	struct step_state *state = &plan->host;
	state->next = first;
	state->bad_step = NO_BAD_STEP;
	state->loss = sums->loss;
	state->correct = sums->correct;
	state->images = sums->images;
	state->correct5 = 0;
	int r = ops->upload(plan->runner, plan->memory.state, state, sizeof(*state), err);
	r = r < 0 ? r : run_batches(plan, programs, first, n, err);
	r = r < 0 ? r : ops->download(plan->runner, state, plan->memory.state, sizeof(*state), err);
	if (r < 0)
		return r;
	*sums = (struct sums){state->loss, state->correct, state->images, sums->skipped, sums->correct5};
	return 0;
}

/* After a run: the device has nothing left to do. */
static int download_records(struct plan *plan, uint32_t first, uint32_t n, struct err *err)
{
	size_t images = plan->tables.n_order, batch = (size_t)plan->problem.batch;
	autofree struct step_result *results = xmalloc(n * sizeof(*results));
	int r = plan->runner->ops->download(plan->runner, results, plan->memory.results + first, n * sizeof(*results), err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		size_t left = images - (first + i) * batch;
		plan->tables.records[first + i] =
			(struct step_record){results[i].loss / (double)MIN(left, batch), results[i].grad_norm};
	}
	return r;
}

int cuda_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err)
{
	uint32_t skipped = plan->host.scaler.skipped_steps;
	int r = plan_use(plan, false, err);
	r = r < 0 ? r : run_with_sums(plan, &plan->train, first, n, sums, err);
	if (r == 0 && plan->tables.records)
		r = download_records(plan, first, n, err);
	if (r < 0)
		return r;
	sums->skipped += plan->host.scaler.skipped_steps - skipped;
	plan->batches_tracked += n;
	if (plan->host.bad_step != NO_BAD_STEP)
		return err_set(err, -EDOM, "the training loss is not finite (%g) at step %u of epoch %d; a smaller lr may help",
			       sums->loss, plan->host.bad_step + 1, plan->tables.epoch + 1);
	return 0;
}

static int download_predicted(struct plan *plan, uint32_t first, uint64_t images, int32_t *predicted, struct err *err)
{
	size_t at = (size_t)first * (size_t)plan->problem.batch;
	return plan->runner->ops->download(plan->runner, predicted + at, plan->memory.predicted + at,
					   (size_t)images * sizeof(*predicted), err);
}

int cuda_evaluate(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
		  struct sums *sums, struct err *err)
{
	struct step_state *state = &plan->host;
	struct sums *mirror = options->mirror;
	INVARIANT(!mirror || plan->recipe.mirror, "a recipe without mirrored tests");
	if (mirror) {
		state->mirror_loss = mirror->loss;
		state->mirror_correct = mirror->correct;
		state->mirror_correct5 = mirror->correct5;
	}
	uint64_t before = sums->images;
	int r = plan_use(plan, options->ema, err);
	r = r < 0 ? r : plan->runner->ops->run(plan->runner, plan->running, 1, err);
	r = r < 0 ? r : run_with_sums(plan, &plan->eval[split][mirror != NULL], first, n, sums, err);
	if (r == 0 && options->predicted)
		r = download_predicted(plan, first, sums->images - before, options->predicted, err);
	if (r < 0)
		return r;
	sums->correct5 += state->correct5;
	if (mirror)
		*mirror = (struct sums){state->mirror_loss, state->mirror_correct, mirror->images + sums->images - before,
					mirror->skipped, state->mirror_correct5};
	return 0;
}

void cuda_memory(const struct plan *plan, struct memory_use *ret)
{
	*ret = (struct memory_use){.used = plan->memory.bytes};
	ret->total = plan->memory.bytes + plan->runner->ops->free_bytes(plan->runner);
}

/* --- for tests and measurements --- */

int cuda_time_step(struct plan *plan, struct launch_time **ret, int *ret_n, struct err *err)
{
	const struct runner_ops *ops = plan->runner->ops;
	INVARIANT(plan->train.full, "no full batch in the epoch");
	plan->host.next = 0;
	int r = ops->upload(plan->runner, plan->memory.state, &plan->host, sizeof(plan->host), err);
	r = r < 0 ? r : ops->time(plan->runner, plan->train.full, ret, ret_n, err);
	if (r < 0)
		return r;
	plan->batches_tracked++;
	return ops->download(plan->runner, &plan->host, plan->memory.state, sizeof(plan->host), err);
}

int cuda_step_list(const struct net *net, const struct recipe *recipe, enum cell cell, int n, struct launch_list *ret,
		   size_t *ret_bytes, struct err *err)
{
	struct units units;
	struct param_map map;
	struct memory memory;
	struct memory_sizes sizes = {.cell = cell, .slots = optim_slots(recipe->optim.optimizer),
				     .ema = recipe->ema_decay > 0, .order = (size_t)n, .steps = 1, .labels = (size_t)n};
	struct step_problem problem = {.net = net, .units = &units, .recipe = recipe, .batch = n};
	int r = units_init(&units, net, err);
	if (r < 0)
		return r;
	param_map_init(&map, net);
	memory_init(&memory, &map, &sizes, NO_BASE);
	step_build_train(ret, &problem, &memory, n, &sizes);
	memory_fini(&memory);
	memory_init(&memory, &map, &sizes, NO_BASE);
	*ret_bytes = memory.bytes;
	memory_fini(&memory);
	param_map_fini(&map);
	units_fini(&units);
	return 0;
}

int cuda_poison(struct plan *plan, struct err *err)
{
	const struct memory *m = &plan->memory;
	char *begin = m->weight_grads, *work = m->work, *end = (char *)plan->block + m->bytes;
	size_t grads = plan->map.weights * cell_size(m->cell);
	autofree void *nan = xmalloc(MAX(grads, (size_t)(end - work)));
	memset(nan, 0xff, MAX(grads, (size_t)(end - work)));
	int r = plan->runner->ops->upload(plan->runner, begin, nan, grads, err);
	return r < 0 ? r : plan->runner->ops->upload(plan->runner, work, nan, (size_t)(end - work), err);
}
