/* The forward half of a step; see step.h. */
#include "step_builder.h"

#include "worker/augment.h"

/* The images as bytes, where they are more than moved. */
static const uint8_t *build_transform(struct builder *b, const struct batch_source *source)
{
	if (augment_moves_only(&source->settings))
		return NULL;
	size_t bytes = (size_t)b->n * augment_values(source->settings.size);
	uint8_t *out = work_take(b, bytes), *moved = work_take(b, bytes);
	struct launch *launch = kernel_add(b, KERNEL_TRANSFORM, 3 * bytes, "", "transform");
	launch->kernel.args.transform = (struct transform_args){
		.source = *source,
		.affines = source->settings.trivial ? b->memory->affines : NULL,
		.out = out,
		.moved = moved,
	};
	kernel_done(b, launch);
	return out;
}

static void build_batch(struct builder *b, const struct batch_source *split)
{
	struct batch_source source = *split;
	const struct memory *m = b->memory;
	source.state = m->state;
	source.batch = (uint32_t)b->problem->batch;
	source.n = (uint32_t)b->n;
	if (!source.draws)
		source.settings = augment_settings_test(b->net->tensors[0].h);
	b->values[0] = work_take(b, tensor_bytes(b, 0));
	const uint8_t *bytes = build_transform(b, &source);
	struct launch *launch = kernel_add(b, KERNEL_AUGMENT, tensor_bytes(b, 0) + (size_t)b->n * source.pitch, "", "augment");
	launch->kernel.args.augment = (struct augment_args){
		.source = source,
		.bytes = bytes,
		.mixes = b->train ? m->mixes : NULL,
		.out = b->values[0],
		.out_labels = m->labels,
		.out_partners = m->partners,
		.out_shares = m->shares,
	};
	kernel_done(b, launch);
}

/* Convolution, and in training the statistics of its batch. */
static void build_conv_bn(struct builder *b, const struct conv_bn *pair)
{
	char name[LAUNCH_LABEL];
	const struct op *conv = pair->conv;
	const struct bn_vectors *bn = bn_of(b, pair->bn);
	b->values[conv->out] = work_take(b, tensor_bytes(b, conv->out));
	conv_add(b, conv, CONV_FPROP, b->values[conv->in], memory_copy(b->memory, conv->param), b->values[conv->out]);
	if (!b->train)
		return;
	struct launch *stats = kernel_add(b, KERNEL_BN_STATS, tensor_bytes(b, conv->out), op_name(b, pair->bn, name), "stats");
	stats->kernel.args.bn_stats = (struct bn_stats_args){
		.x = b->values[conv->out],
		.rows = tensor_rows(b, conv->out),
		.c = (uint32_t)bn->c,
		.gamma = bn->gamma,
		.beta = bn->beta,
		.mean = bn->mean,
		.inv_std = bn->inv_std,
		.scale = bn->scale,
		.shift = bn->shift,
		.running_mean = bn->running_mean,
		.running_var = bn->running_var,
		.eps = (float)BN_EPS,
		.momentum = (float)BN_MOMENTUM,
		.partials = b->memory->partials,
		.tickets = b->memory->tickets,
	};
	kernel_done(b, stats);
}

static void build_apply(struct builder *b, const struct unit *unit)
{
	char name[LAUNCH_LABEL];
	const struct bn_vectors *bn = bn_of(b, unit->main.bn);
	void *x = b->values[unit->main.conv->out];
	int shortcut = unit->projection.conv ? unit->projection.conv->out : unit->shortcut;
	size_t bytes = tensor_bytes(b, unit->out);
	/* training needs x again; evaluation does not */
	b->values[unit->out] = b->train ? work_take(b, bytes) : x;
	struct launch *apply = kernel_add(b, KERNEL_BN_APPLY, bytes * (shortcut >= 0 ? 3 : 2),
					  op_name(b, unit->main.bn, name), "apply");
	struct bn_apply_args *args = &apply->kernel.args.bn_apply;
	*args = (struct bn_apply_args){
		.x = x,
		.scale = bn->scale,
		.shift = bn->shift,
		.residual = shortcut >= 0 ? b->values[shortcut] : NULL,
		.y = b->values[unit->out],
		.rows = tensor_rows(b, unit->out),
		.c = (uint32_t)bn->c,
		.relu = true,
	};
	if (unit->projection.conv) {
		args->res_scale = bn_of(b, unit->projection.bn)->scale;
		args->res_shift = bn_of(b, unit->projection.bn)->shift;
	}
	kernel_done(b, apply);
}

static void build_maxpool(struct builder *b, const struct unit *unit)
{
	const struct tensor *in = &b->net->tensors[unit->in];
	size_t cells = (size_t)tensor_rows(b, unit->out) * tensor_channels(b, unit->out);
	b->values[unit->out] = work_take(b, tensor_bytes(b, unit->out));
	b->windows[unit->out] = work_take(b, cells);
	struct launch *pool = kernel_add(b, KERNEL_MAXPOOL_FORWARD,
					 tensor_bytes(b, unit->in) + tensor_bytes(b, unit->out) + cells, "", "maxpool");
	pool->kernel.args.maxpool_forward = (struct maxpool_forward_args){
		.x = b->values[unit->in],
		.y = b->values[unit->out],
		.index = b->windows[unit->out],
		.n = (uint32_t)b->n,
		.h = (uint32_t)in->h,
		.w = (uint32_t)in->w,
		.c = tensor_channels(b, unit->in),
	};
	kernel_done(b, pool);
}

/* logits + bias -> the loss and its sums; in training the gradient of the logits takes their place. */
static void build_loss(struct builder *b, enum cell cell, void *logits, size_t bias)
{
	const struct op *fc = b->problem->units->fc;
	const struct memory *m = b->memory;
	struct launch *loss = launch_kernel(b->list, KERNEL_SOFTMAX_CE, cell, 2 * tensor_bytes(b, fc->out), "softmax_ce");
	loss->kernel.args.softmax_ce = (struct softmax_ce_args){
		.state = m->state,
		.logits = logits,
		.bias = b->mirrored ? NULL : m->params + bias,
		.labels = m->labels,
		.partners = b->train ? m->partners : NULL,
		.shares = b->train ? m->shares : NULL,
		.smoothing = b->train ? (float)b->problem->recipe->label_smoothing : 0,
		.dlogits = b->train ? logits : NULL,
		.dbias = b->train ? m->other_grads + (bias - m->map->weights) : NULL,
		.n = (uint32_t)b->n,
		.classes = (uint32_t)b->net->classes,
		.c = tensor_channels(b, fc->out),
		.partials = m->partials,
		.tickets = m->tickets,
		.predicted = b->train || b->mirrored ? NULL : m->predicted,
		.results = b->train ? m->results : NULL,
		.batch = (uint32_t)b->problem->batch,
		.mirrored = b->mirrored,
	};
	kernel_done(b, loss);
}

static void build_log_softmax(struct builder *b, const void *logits, size_t bias)
{
	const struct op *fc = b->problem->units->fc;
	struct launch *launch = kernel_add(b, KERNEL_LOG_SOFTMAX, 2 * tensor_bytes(b, fc->out), "", "log_softmax");
	launch->kernel.args.log_softmax = (struct log_softmax_args){
		.logits = logits,
		.bias = b->memory->params + bias,
		.log_p = b->log_p,
		.n = (uint32_t)b->n,
		.classes = (uint32_t)b->net->classes,
		.c = tensor_channels(b, fc->out),
		.mean = b->mirrored,
	};
	kernel_done(b, launch);
}

/* Average pooling, classifier, loss. */
static void build_head(struct builder *b)
{
	const struct op *pool = b->problem->units->pool, *fc = b->problem->units->fc;
	const struct memory *m = b->memory;
	const struct tensor *in = &b->net->tensors[pool->in];
	b->values[pool->out] = work_take(b, tensor_bytes(b, pool->out));
	struct launch *avg = kernel_add(b, KERNEL_AVGPOOL_FORWARD, tensor_bytes(b, pool->in), "", "avgpool");
	avg->kernel.args.avgpool_forward = (struct avgpool_forward_args){
		.x = b->values[pool->in],
		.y = b->values[pool->out],
		.n = (uint32_t)b->n,
		.hw = (uint32_t)(in->h * in->w),
		.c = tensor_channels(b, pool->in),
	};
	kernel_done(b, avg);

	void *logits = b->values[fc->out] = work_take(b, tensor_bytes(b, fc->out));
	size_t bias = m->map->places[fc->param + 1].offset;
	conv_add(b, fc, CONV_FPROP, b->values[fc->in], memory_copy(m, fc->param), logits);
	if (b->log_p)
		build_log_softmax(b, logits, bias);
	if (b->mirrored)
		build_loss(b, CELL_F32, b->log_p, bias);
	else
		build_loss(b, m->cell, logits, bias);
}

void step_build_forward(struct builder *b, const struct batch_source *source)
{
	const struct units *units = b->problem->units;
	build_batch(b, source);
	for (int i = 0; i < units->n; i++) {
		const struct unit *unit = &units->list[i];
		if (unit->kind == UNIT_MAXPOOL) {
			build_maxpool(b, unit);
			continue;
		}
		build_conv_bn(b, &unit->main);
		if (unit->projection.conv)
			build_conv_bn(b, &unit->projection);
		build_apply(b, unit);
	}
	build_head(b);
}
