#include "plan.h"

#include "worker/augment.h"
#include "worker/state.h"

#include "common/cgroup.h"

#include <math.h>
#include <omp.h>
#include <sys/mman.h>

/* --- memory --- */

/* Touches what it maps: more than there is would not be refused, but have something killed. */
static int block_init(struct block *ret, size_t bytes, const char *what, struct err *err)
{
	size_t available = memory_available("");
	if (bytes > available)
		return err_set(err, -ENOMEM, "%s need %zu MiB of memory, %zu MiB are free; a smaller batch_size needs less",
			       what, bytes >> 20, available >> 20);
	void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return err_sys(err, -errno, "%s need %zu MiB of memory", what, bytes >> 20);
	madvise(data, bytes, MADV_HUGEPAGE); /* only faster */
	*ret = (struct block){.data = data, .bytes = bytes};
	size_t page = 4096;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < bytes; i += page) /* the first step shall not pay for page faults */
		((volatile char *)data)[i] = 0;
	return 0;
}

static void block_fini(struct block *block)
{
	if (block->data)
		munmap(block->data, block->bytes);
	*block = (struct block){0};
}

static int n_slots(const struct plan *plan)
{
	return optim_slots(plan->recipe.optim.optimizer);
}

static int state_block_init(struct plan *plan, struct err *err)
{
	size_t line = 16; /* floats of a cache line */
	size_t params = (plan->net->param_count + line - 1) / line * line;
	size_t buffers = (plan->net->buffer_count + line - 1) / line * line;
	size_t slots = (size_t)n_slots(plan), ema = plan->recipe.ema_decay > 0;
	int r = block_init(&plan->state, ((2 + slots + ema) * params + (1 + ema) * buffers) * sizeof(float), "the parameters",
			   err);
	if (r < 0)
		return r;
	struct optim_arenas *a = &plan->arenas;
	a->params = plan->state.data;
	a->grads = a->params + params;
	for (size_t i = 0; i < slots; i++)
		a->slots[i] = a->grads + (i + 1) * params;
	plan->buffers = a->grads + (slots + 1) * params;
	plan->ema_buffers = ema ? plan->buffers + buffers : NULL;
	plan->ema_params = ema ? plan->buffers + 2 * buffers : NULL;
	struct param_span *spans;
	plan->spans.n = param_spans(plan->net, &plan->recipe, OPTIM_CHUNK, &spans);
	plan->spans.items = spans;
	plan->spans.partials = xcalloc(plan->spans.n, sizeof(double));
	return 0;
}

/* Makes the calling thread's OpenMP team the device's. */
static void plan_enter(const struct plan *plan)
{
	omp_set_num_threads(plan->device->spec.threads);
}

/* --- passes --- */

struct pass_sizes { /* batch sizes that occur */
	struct {
		int n;
		bool train;
	} of[MAX_PASSES];
	int n;
};

static void size_add(struct pass_sizes *sizes, size_t n, bool train)
{
	if (n == 0)
		return;
	int i = 0;
	while (i < sizes->n && (size_t)sizes->of[i].n != n)
		i++;
	if (i == sizes->n) {
		INVARIANT(sizes->n < MAX_PASSES, "more than %d batch sizes", MAX_PASSES);
		sizes->of[sizes->n++].n = (int)n;
	}
	sizes->of[i].train |= train;
}

/* The batches of `images` images. */
static void sizes_add(struct pass_sizes *sizes, size_t images, size_t batch, bool train)
{
	if (images >= batch)
		size_add(sizes, batch, train);
	size_add(sizes, images % batch, train);
}

static struct pass *pass_find(const struct plan *plan, int n)
{
	for (int i = 0; i < plan->n_passes; i++)
		if (plan->passes[i]->n == n)
			return plan->passes[i];
	return NULL;
}

static bool passes_cover(const struct plan *plan, const struct pass_sizes *sizes)
{
	for (int i = 0; i < sizes->n; i++) {
		const struct pass *pass = pass_find(plan, sizes->of[i].n);
		if (!pass || (sizes->of[i].train && pass->backward.n == 0))
			return false;
	}
	return true;
}

static void passes_free(struct plan *plan)
{
	for (int i = 0; i < plan->n_passes; i++)
		pass_free(plan->passes[i]);
	plan->n_passes = 0;
	block_fini(&plan->work);
}

static int passes_new(struct plan *plan, const struct pass_sizes *sizes, struct err *err)
{
	size_t bytes = 0;
	for (int i = 0; i < sizes->n; i++) {
		struct pass_options options = {.n = sizes->of[i].n,
					       .cell = plan->cell,
					       .direct = plan->device->spec.direct,
					       .train = sizes->of[i].train};
		int r = pass_new(&plan->passes[i], plan->dnn, plan->net, &plan->nodes, &options, err);
		if (r < 0)
			return r;
		plan->n_passes = i + 1;
		bytes = MAX(bytes, pass_bytes(plan->passes[i]));
	}
	if (bytes == 0)
		return 0;
	int r = block_init(&plan->work, bytes, "the activations", err);
	for (int i = 0; r == 0 && i < plan->n_passes; i++)
		pass_bind(plan->passes[i], plan->arenas.params, plan->arenas.grads, plan->buffers, plan->work.data);
	return r;
}

/* Makes the passes for epochs of n_order training images, unless they are there. */
static int passes_update(struct plan *plan, size_t n_order, struct err *err)
{
	const struct dataset *data = plan->device->data;
	struct pass_sizes sizes = {0};
	size_t batch = (size_t)plan->batch;
	sizes_add(&sizes, n_order, batch, true);
	for (int split = 0; split < N_SPLITS; split++)
		sizes_add(&sizes, data->sets[split].count, batch, false);
	if (passes_cover(plan, &sizes))
		return 0;
	passes_free(plan);
	return passes_new(plan, &sizes, err);
}

/* --- life --- */

static int plan_fill(struct plan *plan, struct err *err)
{
	const struct dataset *data = plan->device->data;
	int r = nodes_init(&plan->nodes, plan->net, err);
	if (r == 0)
		r = dnn_new(&plan->dnn, err);
	if (r == 0)
		r = state_block_init(plan, err);
	if (r == 0)
		r = passes_update(plan, data->sets[SPLIT_TRAIN].count, err);
	if (r == 0)
		r = loader_new(&plan->loader, data, &plan->recipe, plan->batch, plan->recipe.num_workers + 2, err);
	return r;
}

int plan_new(struct plan **ret, struct device *device, const struct net *net, const struct recipe *recipe, int batch,
	     struct err *err)
{
	INVARIANT(device->data, "prepare() before load()");
	struct plan *plan = xcalloc(1, sizeof(*plan));
	plan->device = device;
	plan->net = net;
	plan->recipe = *recipe;
	plan->recipe.augment.size = net->tensors[0].h;
	plan->batch = batch;
	plan->cell = recipe->amp && device->info.amp ? CELL_BF16 : CELL_F32;
	size_t images = (size_t)batch * augment_values(plan->recipe.augment.size);
	plan->mirrored = recipe->mirror ? xcalloc(images, sizeof(*plan->mirrored)) : NULL;
	plan->logits = xcalloc((size_t)batch * (size_t)net->classes, sizeof(*plan->logits));
	scorer_init(&plan->scorer, batch, net->classes);
	plan_enter(plan);
	int r = plan_fill(plan, err);
	if (r < 0) {
		plan_free(plan);
		return r;
	}
	*ret = plan;
	return 0;
}

void plan_memory(const struct plan *plan, struct memory_use *ret)
{
	size_t free_bytes = memory_available("");
	ret->used = plan->state.bytes + plan->work.bytes;
	ret->total = free_bytes == SIZE_MAX ? SIZE_MAX : ret->used + free_bytes;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	loader_free(plan->loader);
	passes_free(plan);
	block_fini(&plan->state);
	free((void *)plan->spans.items);
	free(plan->spans.partials);
	free(plan->mirrored);
	free(plan->logits);
	scorer_fini(&plan->scorer);
	dnn_free(plan->dnn);
	nodes_fini(&plan->nodes);
	free(plan);
}

/* --- state --- */

/* The weights, or their average, in the arenas. */
static void plan_use(struct plan *plan, bool ema)
{
	if (plan->ema_in == ema)
		return;
	INVARIANT(plan->ema_params, "no average of the weights is kept");
	floats_swap(plan->arenas.params, plan->ema_params, plan->net->param_count);
	floats_swap(plan->buffers, plan->ema_buffers, plan->net->buffer_count);
	plan->ema_in = ema;
}

void plan_state_alloc(const struct plan *plan, struct state *ret)
{
	state_alloc(ret, plan->net, &plan->recipe, DTYPE_F32);
}

int plan_state_get(struct plan *plan, struct state *into, struct err *err)
{
	size_t params = plan->net->param_count;
	plan_enter(plan);
	plan_use(plan, false);
	if (plan->ema_params) {
		values_copy(into->ema_params, into->dtype, plan->ema_params, DTYPE_F32, params);
		values_copy(into->ema_buffers, into->dtype, plan->ema_buffers, DTYPE_F32, plan->net->buffer_count);
	}
	values_copy(into->params, into->dtype, plan->arenas.params, DTYPE_F32, params);
	for (int i = 0; i < n_slots(plan); i++)
		values_copy(into->slots[i], into->dtype, plan->arenas.slots[i], DTYPE_F32, params);
	values_copy(into->buffers, into->dtype, plan->buffers, DTYPE_F32, plan->net->buffer_count);
	into->steps = plan->steps;
	into->batches_tracked = plan->batches_tracked;
	return 0;
}

int plan_state_set(struct plan *plan, const struct state *from, struct err *err)
{
	size_t params = plan->net->param_count;
	INVARIANT(from->param_count == params && from->buffer_count == plan->net->buffer_count,
		  "a state of another net");
	bool stepped = from->steps > 0;
	plan->ema_in = false;
	if (plan->ema_params) {
		values_copy(plan->ema_params, DTYPE_F32, stepped ? from->ema_params : from->params, from->dtype, params);
		values_copy(plan->ema_buffers, DTYPE_F32, stepped ? from->ema_buffers : from->buffers, from->dtype,
			    plan->net->buffer_count);
	}
	values_copy(plan->arenas.params, DTYPE_F32, from->params, from->dtype, params);
	values_copy(plan->buffers, DTYPE_F32, from->buffers, from->dtype, plan->net->buffer_count);
	for (int i = 0; i < n_slots(plan); i++)
		if (stepped)
			values_copy(plan->arenas.slots[i], DTYPE_F32, from->slots[i], from->dtype, params);
		else
			memset(plan->arenas.slots[i], 0, params * sizeof(float));
	plan->steps = from->steps;
	plan->batches_tracked = from->batches_tracked;
	return 0;
}

void plan_poison(struct plan *plan)
{
	memset(plan->work.data, 0xff, plan->work.bytes); /* a NaN in fp32 and in bf16 */
	memset(plan->arenas.grads, 0xff, plan->net->param_count * sizeof(float));
}

/* --- training --- */

int plan_begin_epoch(struct plan *plan, const struct epoch_tables *tables, struct err *err)
{
	loader_stop(plan->loader);
	plan->tables = *tables;
	plan_enter(plan);
	return passes_update(plan, tables->n_order, err);
}

static int loss_check(const struct plan *plan, const struct batch *batch, double loss, struct err *err)
{
	if (isfinite(loss))
		return 0;
	return err_set(err, -EDOM, "the training loss is not finite (%g) at step %u of epoch %d; a smaller lr may help",
		       loss, batch->step + 1, plan->tables.epoch + 1);
}

static void ema_update(struct plan *plan)
{
	double keep = plan->steps == 1 ? 0 : plan->recipe.ema_decay;
	optim_ema(plan->ema_params, plan->arenas.params, plan->net->param_count, (float)keep, (float)(1 - keep));
	optim_ema(plan->ema_buffers, plan->buffers, plan->net->buffer_count, (float)keep, (float)(1 - keep));
}

/* ret_norm: of the gradients, where they are clipped. */
static void step_update(struct plan *plan, const struct pass *pass, uint32_t step, double *ret_norm)
{
	struct optim_f64 coefs[PARAM_KINDS];
	struct optim_f32 rounded[PARAM_KINDS];
	pass_move_running(pass, plan->buffers);
	param_coefs(coefs, &plan->recipe, &plan->tables.steps[step], ++plan->steps);
	for (int kind = 0; kind < PARAM_KINDS; kind++)
		rounded[kind] = optim_coefs_f32(&coefs[kind]);
	double clip = plan->recipe.clip_norm, scale = 1;
	if (clip > 0) {
		*ret_norm = optim_grad_norm(&plan->spans, plan->arenas.grads);
		scale = optim_clip(*ret_norm, clip);
	}
	optim_step(plan->recipe.optim.optimizer, rounded, (float)scale, &plan->spans, &plan->arenas);
	plan->batches_tracked++;
	if (plan->ema_params)
		ema_update(plan);
}

/* Adds what the last forward pass found, image by image. */
static void sums_add(struct sums *sums, const struct head *head)
{
	for (int i = 0; i < head->n; i++) {
		sums->loss += head->losses[i];
		sums->correct += head->correct[i];
	}
	sums->images += (uint64_t)head->n;
}

static int step_run(struct plan *plan, const struct batch *batch, struct sums *sums, struct err *err)
{
	struct pass *pass = pass_find(plan, batch->n);
	INVARIANT(pass, "no pass for a batch of %d", batch->n);
	struct targets targets = {batch->labels, batch->partners, batch->share, plan->recipe.label_smoothing};
	int r = pass_forward(pass, batch->images, &targets, err);
	if (r < 0)
		return r;
	struct sums step = {0};
	sums_add(&step, &pass->head);
	struct step_record record = {.loss = step.loss / batch->n};
	r = loss_check(plan, batch, record.loss, err);
	if (r == 0)
		r = pass_backward(pass, err);
	if (r < 0)
		return r;
	step_update(plan, pass, batch->step, &record.grad_norm);
	if (plan->tables.records)
		plan->tables.records[batch->step] = record;
	sums_add(sums, &pass->head);
	return 0;
}

int plan_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err)
{
	plan_enter(plan);
	plan_use(plan, false);
	if (!loader_at_train(plan->loader, first))
		loader_start_train(plan->loader, &plan->tables, first);
	for (uint32_t i = 0; i < n; i++) {
		const struct batch *batch = loader_next(plan->loader);
		INVARIANT(batch && batch->step == first + i, "step %u is not in the epoch", first + i);
		int r = step_run(plan, batch, sums, err);
		loader_release_batch(plan->loader, batch);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Those of the last pass, in double. */
static const double *logits_of(const struct plan *plan, const struct pass *pass)
{
	const struct head *head = &pass->head;
	for (size_t i = 0; i < (size_t)head->n * (size_t)head->classes; i++)
		plan->logits[i] = (double)head->logits[i];
	return plan->logits;
}

static int evaluate_batch(struct plan *plan, const struct batch *batch, const struct eval_options *options, struct sums *sums,
			  struct err *err)
{
	struct pass *pass = pass_find(plan, batch->n);
	INVARIANT(pass, "no pass for a batch of %d", batch->n);
	int r = pass_infer(pass, batch->images, batch->labels, err);
	if (r < 0)
		return r;
	sums_add(sums, &pass->head);
	score_plain(&plan->scorer, options, batch->n, (size_t)batch->step * (size_t)plan->batch, logits_of(plan, pass),
		    batch->labels, sums);
	if (!options->mirror)
		return 0;
	INVARIANT(plan->mirrored, "a recipe without mirrored tests");
	images_mirror(plan->mirrored, batch->images, batch->n, plan->recipe.augment.size);
	r = pass_infer(pass, plan->mirrored, batch->labels, err);
	if (r == 0)
		score_mirrored(&plan->scorer, options, batch->n, logits_of(plan, pass), batch->labels);
	return r;
}

int plan_evaluate(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
		  struct sums *sums, struct err *err)
{
	plan_enter(plan);
	plan_use(plan, options->ema);
	if (!loader_at_eval(plan->loader, split, first))
		loader_start_eval(plan->loader, split, first);
	for (uint32_t i = 0; i < n; i++) {
		const struct batch *batch = loader_next(plan->loader);
		INVARIANT(batch, "batch %u is past the end of the split", first + i);
		int r = evaluate_batch(plan, batch, options, sums, err);
		loader_release_batch(plan->loader, batch);
		if (r < 0)
			return r;
	}
	return 0;
}
