/* Building a pass: the forward programs.
 *
 * Convolutions choose their layouts; an activation is stored as its producer left it, and converted for a reader that
 * wants another layout (for the networks of model.c on AVX-512 nobody does, but for max pooling, which wants it plain and
 * leaves it so).  Batch norms and additions keep the layout of what they read. */
#include "pass_build.h"

#define ALIGNMENT ((size_t)4096)

struct place place_new(struct pass *pass, enum region region, size_t bytes)
{
	size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, *size = &pass->region_bytes[region];
	if (region != REGION_KEPT) {
		*size = MAX(*size, rounded);
		return (struct place){region, 0};
	}
	struct place place = {region, *size};
	*size += rounded;
	return place;
}

struct place place_param(const struct net *net, enum region region, int param)
{
	return (struct place){region, net->params[param].offset * sizeof(float)};
}

void pass_own(struct pass *pass, struct prim *prim)
{
	pass->prims = xrealloc_array(pass->prims, (size_t)pass->n_prims + 1, sizeof(*pass->prims));
	pass->prims[pass->n_prims++] = prim;
}

static struct item *program_item(struct program *program, enum item_kind kind)
{
	if (program->n == program->room) {
		program->room = program->room ? 2 * program->room : 64;
		program->items = xrealloc_array(program->items, (size_t)program->room, sizeof(*program->items));
	}
	struct item *item = &program->items[program->n++];
	*item = (struct item){.kind = kind};
	return item;
}

struct item *program_prim(struct pass *pass, struct program *program, enum item_kind kind, struct prim *prim)
{
	struct item *item = program_item(program, kind);
	item->prim = prim;
	const struct layout *scratch = prim_layout(prim, ARG_SCRATCH);
	if (scratch)
		item->places[ARG_SCRATCH] = place_new(pass, REGION_SCRATCH, layout_bytes(scratch));
	return item;
}

struct item *program_loop(struct program *program, enum item_kind kind, size_t cells)
{
	struct item *item = program_item(program, kind);
	item->cells = cells;
	return item;
}

int program_reorder(struct builder *b, struct program *program, const struct layout *from, struct place from_place,
		    const struct layout *to, struct place to_place, struct err *err)
{
	struct prim *prim;
	int r = prim_reorder(b->dnn, from, to, &prim, err);
	if (r < 0)
		return r;
	pass_own(b->pass, prim);
	struct item *item = program_prim(b->pass, program, ITEM_REORDER, prim);
	item->places[ARG_SRC] = from_place;
	item->places[ARG_DST] = to_place;
	return 0;
}

int program_convert(struct builder *b, struct program *program, const struct layout *have, struct place have_place,
		    const struct layout *want, enum region temp, struct place *ret, struct err *err)
{
	if (layout_equal(have, want)) {
		*ret = have_place;
		return 0;
	}
	struct place place = place_new(b->pass, temp, layout_bytes(want));
	int r = program_reorder(b, program, have, have_place, want, place, err);
	if (r == 0)
		*ret = place;
	return r;
}

/* An item that training and evaluation share. */
static void forward_and_infer(struct builder *b, const struct item *item)
{
	*program_item(&b->pass->infer, item->kind) = *item;
	if (b->options->train)
		*program_item(&b->pass->forward, item->kind) = *item;
}

/* The source of a convolution in the layout it wants; a copy is kept for the weight gradient. */
static int build_conv_src(struct builder *b, struct value *in, const struct layout *want, struct place *ret,
			  struct err *err)
{
	if (layout_equal(in->layout, want)) {
		*ret = in->place;
		return 0;
	}
	if (in->view_layout && layout_equal(in->view_layout, want)) {
		*ret = in->view_place;
		return 0;
	}
	struct program reorder = {0};
	struct place place = place_new(b->pass, REGION_KEPT, layout_bytes(want));
	int r = program_reorder(b, &reorder, in->layout, in->place, want, place, err);
	if (r == 0) {
		forward_and_infer(b, &reorder.items[0]);
		layout_free(in->view_layout);
		in->view_layout = layout_copy(want);
		in->view_place = *ret = place;
	}
	free(reorder.items);
	return r;
}

static struct dnn_conv conv_shape_of(const struct builder *b, const struct op *op)
{
	const struct tensor *in = &b->net->tensors[op->in], *out = &b->net->tensors[op->out];
	return (struct dnn_conv){
		.n = b->options->n,
		.ci = in->c,
		.hi = in->h,
		.wi = in->w,
		.co = out->c,
		.ho = out->h,
		.wo = out->w,
		.kernel = op->kernel,
		.stride = op->stride,
		.pad = op->pad,
		.cell = b->options->cell,
		.direct = b->options->direct,
	};
}

static int build_conv(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	struct conv_build *conv = &b->convs[index];
	struct value *in = &b->values[node->in], *out = &b->values[node->out];
	conv->shape = conv_shape_of(b, node->op);
	struct prim *prim;
	int r = prim_conv_forward(b->dnn, &conv->shape, &prim, err);
	if (r < 0)
		return r;
	pass_own(b->pass, prim);
	conv->forward = prim;
	struct program one = {0};
	struct item item = *program_prim(b->pass, &one, ITEM_CONV_FORWARD, prim);
	free(one.items);
	r = build_conv_src(b, in, prim_layout(prim, ARG_SRC), &item.places[ARG_SRC], err);
	if (r < 0)
		return r;

	autolayout struct layout *plain = layout_plain(CELL_F32, 4, b->net->params[node->op->param].shape);
	const struct layout *want = prim_layout(prim, ARG_WEIGHTS);
	struct place weights = place_param(b->net, REGION_PARAMS, node->op->param);
	item.places[ARG_WEIGHTS] = weights;
	if (!layout_equal(plain, want)) {
		item.places[ARG_WEIGHTS] = place_new(b->pass, REGION_KEPT, layout_bytes(want));
		r = program_reorder(b, &b->pass->weights, plain, weights, want, item.places[ARG_WEIGHTS], err);
		if (r < 0)
			return r;
	}
	conv->weights = item.places[ARG_WEIGHTS];
	out->layout = layout_copy(prim_layout(prim, ARG_DST));
	out->place = place_new(b->pass, REGION_KEPT, layout_bytes(out->layout));
	item.places[ARG_DST] = out->place;
	forward_and_infer(b, &item);
	return 0;
}

/* One of the two batch norms of a node: training's or evaluation's. */
static int build_bn_prim(struct builder *b, int index, bool infer, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct net_bn *bn = &b->net->bns[node->op->bn];
	const struct value *in = &b->values[node->in], *out = &b->values[node->out];
	struct dnn_bn shape = {.channels = bn->channels, .relu = node->relu, .global_stats = infer};
	struct prim *prim;
	int r = prim_bn_forward(b->dnn, &shape, in->layout, &prim, err);
	if (r < 0)
		return r;
	struct pass *pass = b->pass;
	pass_own(pass, prim);
	struct item *item =
		program_prim(pass, infer ? &pass->infer : &pass->forward, ITEM_BN_FORWARD, prim);
	item->places[ARG_SRC] = in->place;
	item->places[ARG_DST] = out->place;
	item->places[ARG_SCALE] = place_param(b->net, REGION_PARAMS, node->op->param);
	item->places[ARG_SHIFT] = place_param(b->net, REGION_PARAMS, node->op->param + 1);
	size_t channels = (size_t)bn->channels;
	if (infer) {
		item->places[ARG_MEAN] = (struct place){REGION_RUNNING, bn->offset * sizeof(float)};
		item->places[ARG_VARIANCE] = (struct place){REGION_RUNNING, (bn->offset + channels) * sizeof(float)};
		return 0;
	}
	const struct tensor *t = &b->net->tensors[node->in];
	struct bn_batch *batch = &pass->bns[node->op->bn];
	batch->count = (size_t)b->options->n * (size_t)t->h * (size_t)t->w;
	batch->mean = item->places[ARG_MEAN] = place_new(pass, REGION_KEPT, channels * sizeof(float));
	batch->variance = item->places[ARG_VARIANCE] = place_new(pass, REGION_KEPT, channels * sizeof(float));
	const struct layout *workspace = prim_layout(prim, ARG_WORKSPACE);
	if (workspace)
		b->bns[index].workspace = item->places[ARG_WORKSPACE] =
			place_new(pass, REGION_KEPT, layout_bytes(workspace));
	b->bns[index].forward = prim;
	return 0;
}

static int build_bn(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	struct value *out = &b->values[node->out];
	out->layout = layout_copy(b->values[node->in].layout);
	out->place = place_new(b->pass, REGION_KEPT, layout_bytes(out->layout));
	int r = b->options->train ? build_bn_prim(b, index, false, err) : 0;
	return r < 0 ? r : build_bn_prim(b, index, true, err);
}

static int build_maxpool(struct builder *b, int index, struct err *err)
{
	const struct node *node = &b->nodes->list[index];
	const struct tensor *in = &b->net->tensors[node->in], *out = &b->net->tensors[node->out];
	const struct value *from = &b->values[node->in];
	struct value *to = &b->values[node->out];
	struct pool_build *pool = &b->pools[index];
	int n = b->options->n, in_dims[] = {n, in->c, in->h, in->w}, out_dims[] = {n, out->c, out->h, out->w};
	autolayout struct layout *plain = layout_plain(b->options->cell, 4, in_dims);
	struct program convert = {0};
	struct place source;
	int r = program_convert(b, &convert, from->layout, from->place, plain, REGION_TEMP_SRC, &source, err);
	for (int i = 0; i < convert.n; i++)
		forward_and_infer(b, &convert.items[i]);
	free(convert.items);
	if (r < 0)
		return r;
	pool->shape = (struct pool){n * in->c,	      in->h, in->w, out->h, out->w, node->op->kernel,
				    node->op->stride, node->op->pad};
	pool->taps = place_new(b->pass, REGION_KEPT, (size_t)n * (size_t)(out->c * out->h * out->w));
	to->layout = layout_plain(b->options->cell, 4, out_dims);
	to->place = place_new(b->pass, REGION_KEPT, layout_bytes(to->layout));
	struct item item = {
		.kind = ITEM_MAXPOOL, .dst = to->place, .a = source, .pool = pool->shape, .taps = pool->taps};
	forward_and_infer(b, &item);
	return 0;
}

/* The first summand is a batch norm without ReLU that nobody else reads: the sum takes its place. */
static bool add_in_place(const struct builder *b, const struct node *node)
{
	if (b->net->tensors[node->in].uses != 1)
		return false;
	for (int i = 0; i < b->nodes->n; i++)
		if (b->nodes->list[i].out == node->in)
			return b->nodes->list[i].kind == NODE_BN && !b->nodes->list[i].relu;
	return false;
}

static int build_add_relu(struct builder *b, const struct node *node, struct err *err)
{
	const struct value *in = &b->values[node->in], *in2 = &b->values[node->in2];
	struct value *out = &b->values[node->out];
	struct program convert = {0};
	struct place second;
	int r = program_convert(b, &convert, in2->layout, in2->place, in->layout, REGION_TEMP_SRC, &second, err);
	for (int i = 0; i < convert.n; i++)
		forward_and_infer(b, &convert.items[i]);
	free(convert.items);
	if (r < 0)
		return r;
	size_t bytes = layout_bytes(in->layout);
	out->layout = layout_copy(in->layout);
	out->place = add_in_place(b, node) ? in->place : place_new(b->pass, REGION_KEPT, bytes);
	struct item item = {
		.kind = ITEM_ADD_RELU,
		.dst = out->place,
		.a = in->place,
		.b = second,
		.cells = bytes / cell_size(b->options->cell),
	};
	forward_and_infer(b, &item);
	return 0;
}

/* The features in plain fp32 for the head, and the head's own arrays. */
static int build_head(struct builder *b, struct err *err)
{
	struct pass *pass = b->pass;
	const struct tensor *t = &b->net->tensors[b->nodes->features];
	const struct value *features = &b->values[b->nodes->features];
	size_t n = (size_t)pass->n, channels = (size_t)t->c, classes = (size_t)b->net->classes;
	int dims[] = {pass->n, t->c, t->h, t->w};
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, dims);
	pass->features = place_new(pass, REGION_KEPT, layout_bytes(plain));
	pass->pooled = place_new(pass, REGION_KEPT, n * channels * sizeof(float));
	pass->logits = place_new(pass, REGION_KEPT, n * classes * sizeof(float));
	pass->losses = place_new(pass, REGION_KEPT, n * sizeof(double));
	pass->correct = place_new(pass, REGION_KEPT, n * sizeof(double));
	pass->head = (struct head){.n = pass->n, .channels = t->c, .pixels = t->h * t->w, .classes = b->net->classes};
	struct program reorder = {0};
	int r = program_reorder(b, &reorder, features->layout, features->place, plain, pass->features, err);
	if (r == 0)
		forward_and_infer(b, &reorder.items[0]);
	free(reorder.items);
	return r;
}

static int build_forward(struct builder *b, struct err *err)
{
	const struct tensor *t = &b->net->tensors[0];
	int dims[] = {b->options->n, t->c, t->h, t->w};
	b->values[0].layout = layout_plain(CELL_F32, 4, dims);
	b->values[0].place = (struct place){REGION_INPUT, 0};
	for (int i = 0; i < b->nodes->n; i++) {
		int r = 0;
		switch (b->nodes->list[i].kind) {
		case NODE_CONV:
			r = build_conv(b, i, err);
			break;
		case NODE_BN:
			r = build_bn(b, i, err);
			break;
		case NODE_MAXPOOL:
			r = build_maxpool(b, i, err);
			break;
		case NODE_ADD_RELU:
			r = build_add_relu(b, &b->nodes->list[i], err);
			break;
		}
		if (r < 0)
			return r;
	}
	return build_head(b, err);
}

int pass_new(struct pass **ret, struct dnn *dnn, const struct net *net, const struct nodes *nodes,
	     const struct pass_options *options, struct err *err)
{
	struct pass *pass = xcalloc(1, sizeof(*pass));
	*pass = (struct pass){.n = options->n, .cell = options->cell, .net = net};
	pass->bns = xcalloc((size_t)net->n_bns, sizeof(*pass->bns));
	pass->fc = nodes->fc;
	struct builder b = {.pass = pass, .dnn = dnn, .net = net, .nodes = nodes, .options = options};
	b.values = xcalloc((size_t)net->n_tensors, sizeof(*b.values));
	b.convs = xcalloc((size_t)nodes->n, sizeof(*b.convs));
	b.bns = xcalloc((size_t)nodes->n, sizeof(*b.bns));
	b.pools = xcalloc((size_t)nodes->n, sizeof(*b.pools));
	for (int i = 0; i < net->n_tensors; i++)
		b.values[i].grad = -1;
	int r = build_forward(&b, err);
	if (r == 0 && options->train)
		r = build_backward(&b, err);
	for (int i = 0; i < net->n_tensors; i++) {
		layout_free(b.values[i].layout);
		layout_free(b.values[i].view_layout);
	}
	free(b.values);
	free(b.convs);
	free(b.bns);
	free(b.pools);
	if (r < 0) {
		pass_free(pass);
		return r;
	}
	*ret = pass;
	return 0;
}
