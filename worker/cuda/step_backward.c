/* The backward half of a step; see step.h.  A gradient buffer is written once, then changed in place by the passes that
 * own it, and given back when its last reader is in the list. */
#include "step_builder.h"

/* One more addend of a tensor's gradient. */
static void grad_add(struct builder *b, int tensor, void *grad)
{
	struct grads *grads = &b->grads[tensor];
	INVARIANT(!grads->b, "a tensor with three readers");
	*(grads->a ? &grads->b : &grads->a) = grad;
}

/* Where the gradient of a batch norm's output passed the unit's ReLU. */
struct masked {
	void *dy_a, *dy_b;
	const void *y;
	enum bn_mask mask;
};

static size_t masked_bytes(const struct builder *b, const struct masked *dy, int tensor)
{
	return tensor_bytes(b, tensor) * (1u + (dy->dy_b != NULL) + (dy->mask == BN_MASK_Y));
}

/* Sums of a batch norm's gradient; dz: stored there, or NULL. */
static void build_reduce(struct builder *b, const struct conv_bn *pair, const struct masked *dy, void *dz)
{
	char name[LAUNCH_LABEL];
	int out = pair->conv->out;
	const struct bn_vectors *bn = bn_of(b, pair->bn);
	size_t bytes = masked_bytes(b, dy, out) + tensor_bytes(b, out) * (dz ? 2 : 1);
	struct launch *reduce = kernel_add(b, KERNEL_BN_BACKWARD_REDUCE, bytes, op_name(b, pair->bn, name), "reduce");
	reduce->kernel.args.bn_backward_reduce = (struct bn_backward_reduce_args){
		.dy_a = dy->dy_a,
		.dy_b = dy->dy_b,
		.x = b->values[out],
		.y = dy->y,
		.mask = dy->mask,
		.scale = bn->scale,
		.shift = bn->shift,
		.gamma = bn->gamma,
		.mean = bn->mean,
		.inv_std = bn->inv_std,
		.dz = dz,
		.dgamma = bn->dgamma,
		.dbeta = bn->dbeta,
		.coef = b->memory->coef,
		.rows = tensor_rows(b, out),
		.c = (uint32_t)bn->c,
		.partials = b->memory->partials,
		.tickets = b->memory->tickets,
	};
	kernel_done(b, reduce);
}

/* dx of the batch norm whose sums were made last. */
static void build_dx(struct builder *b, const struct conv_bn *pair, const struct masked *dy, void *dx)
{
	char name[LAUNCH_LABEL];
	int out = pair->conv->out;
	const struct bn_vectors *bn = bn_of(b, pair->bn);
	size_t bytes = masked_bytes(b, dy, out) + 2 * tensor_bytes(b, out);
	struct launch *apply = kernel_add(b, KERNEL_BN_BACKWARD_APPLY, bytes, op_name(b, pair->bn, name), "dx");
	apply->kernel.args.bn_backward_apply = (struct bn_backward_apply_args){
		.dy_a = dy->dy_a,
		.dy_b = dy->dy_b,
		.x = b->values[out],
		.y = dy->y,
		.mask = dy->mask,
		.scale = bn->scale,
		.shift = bn->shift,
		.coef = b->memory->coef,
		.dx = dx,
		.rows = tensor_rows(b, out),
		.c = (uint32_t)bn->c,
	};
	kernel_done(b, apply);
}

/* Gradients of filter and input from dy, which is given back. */
static void build_conv(struct builder *b, const struct op *conv, void *dy)
{
	conv_add(b, conv, CONV_WGRAD, b->values[conv->in], memory_grad(b->memory, conv->param), dy);
	if (conv->in != 0) {
		void *dx = slot_take(b);
		conv_add(b, conv, CONV_DGRAD, dx, memory_copy(b->memory, conv->param), dy);
		grad_add(b, conv->in, dx);
	}
	slot_return(b, dy);
}

/* With a shortcut the masked gradient is stored, in place of its first addend: both branches read it. */
static void build_residual(struct builder *b, const struct unit *unit, struct grads grads)
{
	struct masked dy = {grads.a, grads.b, b->values[unit->out], BN_MASK_Y};
	struct masked dz = {.dy_a = grads.a};
	build_reduce(b, &unit->main, &dy, grads.a);
	slot_return(b, grads.b);
	void *dx = slot_take(b);
	build_dx(b, &unit->main, &dz, dx);
	build_conv(b, unit->main.conv, dx);
	if (!unit->projection.conv) {
		grad_add(b, unit->shortcut, grads.a);
		return;
	}
	build_reduce(b, &unit->projection, &dz, NULL);
	build_dx(b, &unit->projection, &dz, grads.a);
	build_conv(b, unit->projection.conv, grads.a);
}

static void build_plain(struct builder *b, const struct unit *unit, struct grads grads)
{
	struct masked dy = {grads.a, grads.b, NULL, BN_MASK_X};
	if (grads.b) { /* stored once instead of added up twice */
		build_reduce(b, &unit->main, &dy, grads.a);
		slot_return(b, grads.b);
		dy = (struct masked){.dy_a = grads.a};
	} else {
		build_reduce(b, &unit->main, &dy, NULL);
	}
	build_dx(b, &unit->main, &dy, grads.a);
	build_conv(b, unit->main.conv, grads.a);
}

static void build_maxpool(struct builder *b, const struct unit *unit, struct grads grads)
{
	const struct tensor *in = &b->net->tensors[unit->in];
	void *dx = slot_take(b);
	size_t bytes = tensor_bytes(b, unit->in) + tensor_bytes(b, unit->out) * (grads.b ? 3 : 2);
	struct launch *pool = kernel_add(b, KERNEL_MAXPOOL_BACKWARD, bytes, "", "maxpool backward");
	pool->kernel.args.maxpool_backward = (struct maxpool_backward_args){
		.dy_a = grads.a,
		.dy_b = grads.b,
		.index = b->windows[unit->out],
		.dx = dx,
		.n = (uint32_t)b->n,
		.h = (uint32_t)in->h,
		.w = (uint32_t)in->w,
		.c = tensor_channels(b, unit->in),
	};
	kernel_done(b, pool);
	slot_return(b, grads.a);
	slot_return(b, grads.b);
	grad_add(b, unit->in, dx);
}

static void build_head(struct builder *b)
{
	const struct op *pool = b->problem->units->pool, *fc = b->problem->units->fc;
	const struct tensor *in = &b->net->tensors[pool->in];
	void *dlogits = b->values[fc->out];
	build_conv(b, fc, dlogits);
	void *dpooled = b->grads[fc->in].a, *dx = slot_take(b);
	struct launch *avg = kernel_add(b, KERNEL_AVGPOOL_BACKWARD, tensor_bytes(b, pool->in), "", "avgpool backward");
	avg->kernel.args.avgpool_backward = (struct avgpool_backward_args){
		.dy = dpooled,
		.dx = dx,
		.n = (uint32_t)b->n,
		.hw = (uint32_t)(in->h * in->w),
		.c = tensor_channels(b, pool->in),
	};
	kernel_done(b, avg);
	slot_return(b, dpooled);
	grad_add(b, pool->in, dx);
}

void step_build_backward(struct builder *b)
{
	const struct units *units = b->problem->units;
	build_head(b);
	for (int i = units->n - 1; i >= 0; i--) {
		const struct unit *unit = &units->list[i];
		struct grads grads = b->grads[unit->out];
		INVARIANT(grads.a, "a tensor without a gradient");
		if (unit->kind == UNIT_MAXPOOL)
			build_maxpool(b, unit, grads);
		else if (unit->shortcut >= 0 || unit->projection.conv)
			build_residual(b, unit, grads);
		else
			build_plain(b, unit, grads);
	}
}
