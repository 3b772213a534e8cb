/* The ref backend: a ref_net fed by a loader, one training step after the other, all in double. */
#include "ref.h"

#include "worker/augment.h"
#include "worker/loader.h"
#include "worker/optim_loop.h"
#include "worker/score.h"
#include "worker/state.h"

#include "common/cgroup.h"

#include <math.h>
#include <omp.h>

struct device {
	int threads;
	const struct dataset *data;
};

struct plan {
	struct device *device;
	const struct net *net;
	struct recipe recipe;
	struct loader *loader;
	struct ref_net *ref;
	double *images; /* (batch, 3, size, size): a batch in double */
	float *mirrored; /* likewise; NULL without recipe.mirror */
	struct scorer scorer;
	int batch;
	double *ema_params, *ema_buffers; /* NULL: none */
	bool ema_in; /* the average is in ref's arenas, the weights in its place */
	uint64_t steps, batches_tracked;
	struct epoch_tables tables;
};

static int ref_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	struct device *device = xcalloc(1, sizeof(*device));
	device->threads = spec->threads;
	*ret = device;
	return 0;
}

static void ref_info(const struct device *device, struct device_info *ret)
{
	*ret = (struct device_info){0};
	snprintf(ret->name, sizeof(ret->name), "reference loops in double, %d thread%s", device->threads,
		 device->threads == 1 ? "" : "s");
}

static int ref_load(struct device *device, const struct dataset *data, struct err *err)
{
	device->data = data;
	return 0;
}

static void ref_release(struct plan *plan)
{
	if (!plan)
		return;
	loader_free(plan->loader);
	ref_net_free(plan->ref);
	free(plan->images);
	free(plan->mirrored);
	scorer_fini(&plan->scorer);
	free(plan->ema_params);
	free(plan->ema_buffers);
	free(plan);
}

static int ref_prepare(struct device *device, const struct net *net, const struct recipe *recipe, int batch,
		       struct plan **ret, struct err *err)
{
	INVARIANT(device->data, "prepare() before load()");
	struct loader *loader;
	struct recipe own = *recipe;
	own.augment.size = net->tensors[0].h;
	int r = loader_new(&loader, device->data, &own, batch, own.num_workers + 2, err);
	if (r < 0)
		return r;
	struct plan *plan = xcalloc(1, sizeof(*plan));
	plan->device = device;
	plan->net = net;
	plan->recipe = own;
	plan->loader = loader;
	plan->ref = ref_net_new(net, batch);
	plan->batch = batch;
	plan->images = xcalloc((size_t)batch * augment_values(own.augment.size), sizeof(*plan->images));
	if (recipe->mirror)
		plan->mirrored = xcalloc((size_t)batch * augment_values(own.augment.size), sizeof(*plan->mirrored));
	scorer_init(&plan->scorer, batch, net->classes);
	if (recipe->ema_decay > 0) {
		plan->ema_params = xcalloc(net->param_count, sizeof(double));
		plan->ema_buffers = xcalloc(net->buffer_count, sizeof(double));
	}
	*ret = plan;
	return 0;
}

static void swap(double *a, double *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double was = a[i];
		a[i] = b[i];
		b[i] = was;
	}
}

/* The weights, or their average, in ref's arenas. */
static void use(struct plan *plan, bool ema)
{
	if (plan->ema_in == ema)
		return;
	INVARIANT(plan->ema_params, "no average of the weights is kept");
	swap(ref_params(plan->ref), plan->ema_params, plan->net->param_count);
	swap(ref_buffers(plan->ref), plan->ema_buffers, plan->net->buffer_count);
	plan->ema_in = ema;
}

static void ref_state_alloc(const struct plan *plan, struct state *ret)
{
	state_alloc(ret, plan->net, &plan->recipe, DTYPE_F64);
}

static int n_slots(const struct plan *plan)
{
	return optim_slots(plan->recipe.optim.optimizer);
}

static int ref_state_get(struct plan *plan, struct state *into, struct err *err)
{
	use(plan, false);
	if (plan->ema_params) {
		values_copy(into->ema_params, into->dtype, plan->ema_params, DTYPE_F64, plan->net->param_count);
		values_copy(into->ema_buffers, into->dtype, plan->ema_buffers, DTYPE_F64, plan->net->buffer_count);
	}
	values_copy(into->params, into->dtype, ref_params(plan->ref), DTYPE_F64, plan->net->param_count);
	for (int i = 0; i < n_slots(plan); i++)
		values_copy(into->slots[i], into->dtype, ref_slot(plan->ref, i), DTYPE_F64, plan->net->param_count);
	values_copy(into->buffers, into->dtype, ref_buffers(plan->ref), DTYPE_F64, plan->net->buffer_count);
	into->steps = plan->steps;
	into->batches_tracked = plan->batches_tracked;
	return 0;
}

static int ref_state_set(struct plan *plan, const struct state *from, struct err *err)
{
	bool stepped = from->steps > 0;
	plan->ema_in = false;
	if (plan->ema_params) {
		values_copy(plan->ema_params, DTYPE_F64, stepped ? from->ema_params : from->params, from->dtype, plan->net->param_count);
		values_copy(plan->ema_buffers, DTYPE_F64, stepped ? from->ema_buffers : from->buffers, from->dtype,
			    plan->net->buffer_count);
	}
	values_copy(ref_params(plan->ref), DTYPE_F64, from->params, from->dtype, plan->net->param_count);
	values_copy(ref_buffers(plan->ref), DTYPE_F64, from->buffers, from->dtype, plan->net->buffer_count);
	for (int i = 0; i < n_slots(plan); i++)
		if (stepped)
			values_copy(ref_slot(plan->ref, i), DTYPE_F64, from->slots[i], from->dtype, plan->net->param_count);
		else
			memset(ref_slot(plan->ref, i), 0, plan->net->param_count * sizeof(double));
	plan->steps = from->steps;
	plan->batches_tracked = from->batches_tracked;
	return 0;
}

static int ref_begin_epoch(struct plan *plan, const struct epoch_tables *tables, struct err *err)
{
	loader_stop(plan->loader);
	plan->tables = *tables;
	return 0;
}

/* Forward pass of n images; returns the logits. */
static const double *forward(struct plan *plan, const float *images, int n, bool train)
{
	size_t count = (size_t)n * augment_values(plan->recipe.augment.size);
	for (size_t i = 0; i < count; i++)
		plan->images[i] = images[i];
	return ref_forward(plan->ref, n, plan->images, train);
}

static int train_step(struct plan *plan, const struct batch *batch, struct sums *sums, struct err *err)
{
	const struct recipe *recipe = &plan->recipe;
	struct targets targets = {batch->labels, batch->partners, batch->share, recipe->label_smoothing};
	struct sums step = {0};
	forward(plan, batch->images, batch->n, true);
	ref_loss(plan->ref, &targets, &step);
	sums->loss += step.loss;
	sums->correct += step.correct;
	sums->images += step.images;
	struct step_record record = {.loss = step.loss / batch->n};
	if (!isfinite(record.loss))
		return err_set(err, -EDOM, "the training loss is not finite (%g) at step %u of epoch %d; a smaller lr may "
			       "help", record.loss, batch->step + 1, plan->tables.epoch + 1);
	ref_backward(plan->ref);
	record.grad_norm = ref_update(plan->ref, recipe, &plan->tables.steps[batch->step], ++plan->steps);
	if (plan->tables.records)
		plan->tables.records[batch->step] = record;
	plan->batches_tracked++;
	if (plan->ema_params) {
		double keep = plan->steps == 1 ? 0 : recipe->ema_decay;
		ema_update_f64(plan->net->param_count, plan->ema_params, ref_params(plan->ref), keep, 1 - keep);
		ema_update_f64(plan->net->buffer_count, plan->ema_buffers, ref_buffers(plan->ref), keep, 1 - keep);
	}
	return 0;
}

static int ref_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err)
{
	omp_set_num_threads(plan->device->threads);
	use(plan, false);
	if (!loader_at_train(plan->loader, first))
		loader_start_train(plan->loader, &plan->tables, first);
	for (uint32_t i = 0; i < n; i++) {
		const struct batch *batch = loader_next(plan->loader);
		INVARIANT(batch, "step %u is past the end of the epoch", first + i);
		int r = train_step(plan, batch, sums, err);
		loader_release_batch(plan->loader, batch);
		if (r < 0)
			return r;
	}
	return 0;
}

static void evaluate_batch(struct plan *plan, const struct batch *batch, const struct eval_options *options, struct sums *sums)
{
	struct targets targets = targets_of(batch->labels, 0);
	const double *logits = forward(plan, batch->images, batch->n, false);
	score_plain(&plan->scorer, options, batch->n, (size_t)batch->step * (size_t)plan->batch, logits, batch->labels, sums);
	ref_loss(plan->ref, &targets, sums);
	if (!options->mirror)
		return;
	INVARIANT(plan->mirrored, "a recipe without mirrored tests");
	images_mirror(plan->mirrored, batch->images, batch->n, plan->recipe.augment.size);
	logits = forward(plan, plan->mirrored, batch->n, false);
	score_mirrored(&plan->scorer, options, batch->n, logits, batch->labels);
}

static int ref_evaluate(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
			struct sums *sums, struct err *err)
{
	omp_set_num_threads(plan->device->threads);
	use(plan, options->ema);
	if (!loader_at_eval(plan->loader, split, first))
		loader_start_eval(plan->loader, split, first);
	for (uint32_t i = 0; i < n; i++) {
		const struct batch *batch = loader_next(plan->loader);
		INVARIANT(batch, "batch %u is past the end of the split", first + i);
		evaluate_batch(plan, batch, options, sums);
		loader_release_batch(plan->loader, batch);
	}
	return 0;
}

static void ref_memory(const struct plan *plan, struct memory_use *ret)
{
	size_t free_bytes = memory_available("");
	ret->used = ref_bytes(plan->ref);
	ret->total = free_bytes == SIZE_MAX ? SIZE_MAX : ret->used + free_bytes;
}

static void ref_close(struct device *device)
{
	free(device);
}

const struct backend backend_ref = {
	.name = "ref",
	.open = ref_open,
	.info = ref_info,
	.load = ref_load,
	.prepare = ref_prepare,
	.state_alloc = ref_state_alloc,
	.state_get = ref_state_get,
	.state_set = ref_state_set,
	.begin_epoch = ref_begin_epoch,
	.run = ref_run,
	.evaluate = ref_evaluate,
	.memory = ref_memory,
	.release = ref_release,
	.close = ref_close,
};
