/* Building a pass: the backward program, and the plan of where gradients of activations lie.
 *
 * A gradient lives from the first node that makes it (walking backward) to the one that consumes it, so a few slots
 * suffice: 3 for the networks of model.c.  The two summands of an addition share one slot, since their gradients are
 * the same; a slot with several users is never written.  Gradients are set (=); where a tensor has two readers
 * (tensor.uses == 2) the second one's is computed in a slot of its own and ITEM_JOIN adds the two. */
#include "pass_build.h"

static int slot_take(struct builder *b, size_t bytes, struct err *err)
{
	for (int i = 0; i < MAX_GRAD_SLOTS; i++) {
		if (b->slot_users[i] > 0)
			continue;
		b->slot_users[i] = 1;
		place_new(b->pass, (enum region)(REGION_GRAD_SLOT + i), bytes);
		return i;
	}
	return err_set(err, -ENOTSUP, "the cpu backend needs more than %d gradient buffers for this net",
		       MAX_GRAD_SLOTS);
}

static void slot_drop(struct builder *b, int slot)
{
	b->slot_users[slot]--;
}

static struct place slot_place(int slot)
{
	return (struct place){(enum region)(REGION_GRAD_SLOT + slot), 0};
}

static size_t value_bytes(const struct value *value)
{
	return layout_bytes(value->layout);
}

/* The gradient of a tensor gets what lies in slot, whose user it becomes. */
static int give(struct builder *b, int tensor, int slot, struct err *err)
{
	struct value *value = &b->values[tensor];
	if (value->grad < 0) {
		value->grad = slot;
		return 0;
	}
	int sum = value->grad, term = slot;
	if (b->slot_users[sum] > 1) {
		sum = slot;
		term = value->grad;
	}
	if (b->slot_users[sum] > 1)
		return err_set(err, -ENOTSUP, "the cpu backend cannot join two shared gradients (tensor %d)", tensor);
	struct item *join = program_loop(&b->pass->backward, ITEM_JOIN, value_bytes(value) / cell_size(b->pass->cell));
	join->dst = slot_place(sum);
	join->a = slot_place(term);
	slot_drop(b, term);
	value->grad = sum;
	return 0;
}

/* Ends the life of a tensor's gradient: its node has consumed it. */
static void consume(struct builder *b, int tensor)
{
	slot_drop(b, b->values[tensor].grad);
	b->values[tensor].grad = -1;
}

static int add_relu_backward(struct builder *b, const struct node *node, struct err *err)
{
	struct value *out = &b->values[node->out], *in2 = &b->values[node->in2];
	struct program *program = &b->pass->backward;
	int slot = out->grad;
	if (b->slot_users[slot] > 1)
		return err_set(err, -ENOTSUP, "the cpu backend cannot mask a shared gradient (tensor %d)", node->out);
	struct item *mask = program_loop(program, ITEM_RELU_MASK, value_bytes(out) / cell_size(b->pass->cell));
	mask->dst = slot_place(slot);
	mask->a = out->place;
	int second = slot, r;
	if (layout_equal(in2->layout, out->layout)) {
		b->slot_users[slot]++;
	} else {
		second = slot_take(b, value_bytes(in2), err);
		if (second < 0)
			return second;
		r = program_reorder(b, program, out->layout, slot_place(slot), in2->layout, slot_place(second), err);
		if (r < 0)
			return r;
	}
	out->grad = -1; /* its use of the slot goes over to the first summand */
	r = give(b, node->in, slot, err);
	return r < 0 ? r : give(b, node->in2, second, err);
}

static int bn_backward(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct value *in = &b->values[node->in], *out = &b->values[node->out];
	const struct bn_batch *batch = &b->pass->bns[node->op->bn];
	struct dnn_bn shape = {.channels = b->net->bns[node->op->bn].channels, .relu = node->relu};
	struct prim *prim;
	int r = prim_bn_backward(b->dnn, &shape, in->layout, b->bns[index].forward, &prim, err);
	if (r < 0)
		return r;
	pass_own(b->pass, prim);
	int slot = slot_take(b, value_bytes(in), err);
	if (slot < 0)
		return slot;
	struct item *item = program_prim(b->pass, &b->pass->backward, ITEM_BN_BACKWARD, prim);
	item->places[ARG_SRC] = in->place;
	item->places[ARG_DIFF_DST] = slot_place(out->grad);
	item->places[ARG_DIFF_SRC] = slot_place(slot);
	item->places[ARG_MEAN] = batch->mean;
	item->places[ARG_VARIANCE] = batch->variance;
	item->places[ARG_WORKSPACE] = b->bns[index].workspace;
	item->places[ARG_SCALE] = place_param(b->net, REGION_PARAMS, node->op->param);
	item->places[ARG_SHIFT] = place_param(b->net, REGION_PARAMS, node->op->param + 1);
	item->places[ARG_DIFF_SCALE] = place_param(b->net, REGION_GRADS, node->op->param);
	item->places[ARG_DIFF_SHIFT] = place_param(b->net, REGION_GRADS, node->op->param + 1);
	consume(b, node->out);
	return give(b, node->in, slot, err);
}

static int maxpool_backward(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct tensor *t = &b->net->tensors[node->in];
	const struct value *in = &b->values[node->in], *out = &b->values[node->out];
	const struct pool_build *pool = &b->pools[index];
	int dims[] = {b->options->n, t->c, t->h, t->w};
	autolayout struct layout *plain = layout_plain(b->options->cell, 4, dims);
	bool same = layout_equal(plain, in->layout);
	int slot = slot_take(b, value_bytes(in), err);
	if (slot < 0)
		return slot;
	struct place made = same ? slot_place(slot) : place_new(b->pass, REGION_TEMP_OUT, layout_bytes(plain));
	struct item *item = program_loop(&b->pass->backward, ITEM_MAXPOOL_BACKWARD, 0);
	item->dst = made;
	item->a = slot_place(out->grad);
	item->pool = pool->shape;
	item->taps = pool->taps;
	if (!same) {
		int r = program_reorder(b, &b->pass->backward, plain, made, in->layout, slot_place(slot), err);
		if (r < 0)
			return r;
	}
	consume(b, node->out);
	return give(b, node->in, slot, err);
}

/* The source of the weight gradient: the activation, the copy made in the forward pass, or a third one. */
static int wgrad_src(struct builder *b, const struct value *in, const struct layout *want, struct place *ret,
		     struct err *err)
{
	if (in->view_layout && layout_equal(in->view_layout, want)) {
		*ret = in->view_place;
		return 0;
	}
	return program_convert(b, &b->pass->backward, in->layout, in->place, want, REGION_TEMP_SRC, ret, err);
}

static int conv_wgrad(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct value *out = &b->values[node->out];
	struct program *program = &b->pass->backward;
	struct prim *prim;
	int r = prim_conv_wgrad(b->dnn, &b->convs[index].shape, b->convs[index].forward, &prim, err);
	if (r < 0)
		return r;
	pass_own(b->pass, prim);
	struct place src, diff_dst;
	r = wgrad_src(b, &b->values[node->in], prim_layout(prim, ARG_SRC), &src, err);
	if (r < 0)
		return r;
	r = program_convert(b, program, out->layout, slot_place(out->grad), prim_layout(prim, ARG_DIFF_DST),
			    REGION_TEMP_DIFF_DST, &diff_dst, err);
	if (r < 0)
		return r;
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, b->net->params[node->op->param].shape);
	const struct layout *made = prim_layout(prim, ARG_DIFF_WEIGHTS);
	struct place grads = place_param(b->net, REGION_GRADS, node->op->param), diff_weights = grads;
	if (!layout_equal(plain, made))
		diff_weights = place_new(b->pass, REGION_TEMP_OUT, layout_bytes(made));
	struct item *item = program_prim(b->pass, program, ITEM_CONV_WGRAD, prim);
	item->places[ARG_SRC] = src;
	item->places[ARG_DIFF_DST] = diff_dst;
	item->places[ARG_DIFF_WEIGHTS] = diff_weights;
	return layout_equal(plain, made) ? 0 : program_reorder(b, program, made, diff_weights, plain, grads, err);
}

/* The weights as the data gradient wants them: those of the forward convolution if it can read them. */
static int dgrad_weights(struct builder *b, int index, const struct layout *want, struct place *ret, struct err *err)
{
	const struct conv_build *conv = &b->convs[index];
	if (layout_equal(prim_layout(conv->forward, ARG_WEIGHTS), want)) {
		*ret = conv->weights;
		return 0;
	}
	int param = b->nodes->list[index].op->param;
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, b->net->params[param].shape);
	return program_convert(b, &b->pass->backward, plain, place_param(b->net, REGION_PARAMS, param), want,
			       REGION_TEMP_WEIGHTS, ret, err);
}

/* Fills slot with the gradient of the convolution's input. */
static int conv_dgrad(struct builder *b, int index, int slot, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct value *in = &b->values[node->in], *out = &b->values[node->out];
	struct program *program = &b->pass->backward;
	struct prim *prim;
	int r = prim_conv_dgrad(b->dnn, &b->convs[index].shape, b->convs[index].forward, &prim, err);
	if (r < 0)
		return r;
	pass_own(b->pass, prim);
	struct place weights, diff_dst;
	r = dgrad_weights(b, index, prim_layout(prim, ARG_WEIGHTS), &weights, err);
	if (r < 0)
		return r;
	r = program_convert(b, program, out->layout, slot_place(out->grad), prim_layout(prim, ARG_DIFF_DST),
			    REGION_TEMP_DIFF_DST, &diff_dst, err);
	if (r < 0)
		return r;
	const struct layout *made = prim_layout(prim, ARG_DIFF_SRC);
	bool same = layout_equal(made, in->layout);
	struct item *item = program_prim(b->pass, program, ITEM_CONV_DGRAD, prim);
	item->places[ARG_WEIGHTS] = weights;
	item->places[ARG_DIFF_DST] = diff_dst;
	item->places[ARG_DIFF_SRC] = same ? slot_place(slot) : place_new(b->pass, REGION_TEMP_OUT, layout_bytes(made));
	return same ? 0
		    : program_reorder(b, program, made, item->places[ARG_DIFF_SRC], in->layout, slot_place(slot), err);
}

static int conv_backward(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	int r = conv_wgrad(b, index, err);
	if (r < 0)
		return r;
	if (node->in == 0) { /* nobody asks for the gradient of the images */
		consume(b, node->out);
		return 0;
	}
	int slot = slot_take(b, value_bytes(&b->values[node->in]), err);
	if (slot < 0)
		return slot;
	r = conv_dgrad(b, index, slot, err);
	if (r < 0)
		return r;
	consume(b, node->out);
	return give(b, node->in, slot, err);
}

/* The head leaves the gradient of the features where it found them, in plain fp32. */
static int head_features_backward(struct builder *b, struct err *err)
{
	const struct tensor *t = &b->net->tensors[b->nodes->features];
	const struct value *features = &b->values[b->nodes->features];
	int dims[] = {b->options->n, t->c, t->h, t->w};
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, dims);
	int slot = slot_take(b, value_bytes(features), err);
	if (slot < 0)
		return slot;
	int r = program_reorder(b, &b->pass->backward, plain, b->pass->features, features->layout, slot_place(slot),
				err);
	return r < 0 ? r : give(b, b->nodes->features, slot, err);
}

int build_backward(struct builder *b, struct err *err)
{
	int r = head_features_backward(b, err);
	for (int i = b->nodes->n - 1; i >= 0 && r == 0; i--) {
		const struct node *node = &b->nodes->list[i];
		INVARIANT(b->values[node->out].grad >= 0, "tensor %d has no gradient", node->out);
		switch (node->kind) {
		case NODE_CONV:
			r = conv_backward(b, i, err);
			break;
		case NODE_BN:
			r = bn_backward(b, i, err);
			break;
		case NODE_MAXPOOL:
			r = maxpool_backward(b, i, err);
			break;
		case NODE_ADD_RELU:
			r = add_relu_backward(b, node, err);
			break;
		}
	}
	return r;
}
