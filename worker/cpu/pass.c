/* Walking a pass: binding it to memory, running its programs. */
#include "pass.h"

#include "kernels.h"

static void *place_data(const struct pass *pass, struct place place)
{
	char *region = pass->regions[place.region];
	return region ? region + place.offset : NULL;
}

static void item_bind(struct pass *pass, struct item *item)
{
	for (int arg = 0; item->prim && arg < N_PRIM_ARGS; arg++)
		if (prim_layout(item->prim, (enum prim_arg)arg))
			prim_bind(item->prim, (enum prim_arg)arg, place_data(pass, item->places[arg]));
	item->dst_data = place_data(pass, item->dst);
	item->a_data = place_data(pass, item->a);
	item->b_data = place_data(pass, item->b);
	item->taps_data = place_data(pass, item->taps);
}

static void program_bind(struct pass *pass, struct program *program)
{
	for (int i = 0; i < program->n; i++)
		item_bind(pass, &program->items[i]);
}

static void head_bind(struct pass *pass)
{
	const struct net_param *weight = &pass->net->params[pass->fc->param], *bias = weight + 1;
	float *params = pass->regions[REGION_PARAMS], *grads = pass->regions[REGION_GRADS];
	struct head *head = &pass->head;
	head->features = place_data(pass, pass->features);
	head->pooled = place_data(pass, pass->pooled);
	head->logits = place_data(pass, pass->logits);
	head->losses = place_data(pass, pass->losses);
	head->correct = place_data(pass, pass->correct);
	head->weight = params + weight->offset;
	head->bias = params + bias->offset;
	head->dweight = grads + weight->offset;
	head->dbias = grads + bias->offset;
}

size_t pass_bytes(const struct pass *pass)
{
	size_t bytes = 0;
	for (int i = 0; i < N_REGIONS; i++)
		bytes += pass->region_bytes[i];
	return bytes;
}

void pass_bind(struct pass *pass, float *params, float *grads, float *running, void *block)
{
	pass->regions[REGION_PARAMS] = params;
	pass->regions[REGION_GRADS] = grads;
	pass->regions[REGION_RUNNING] = running;
	char *next = block;
	for (int i = REGION_KEPT; i < N_REGIONS; i++) {
		pass->regions[i] = next;
		next += pass->region_bytes[i];
	}
	program_bind(pass, &pass->weights);
	program_bind(pass, &pass->forward);
	program_bind(pass, &pass->infer);
	program_bind(pass, &pass->backward);
	head_bind(pass);
}

/* The images lie elsewhere each step.  Only the first convolution and its weight gradient read them. */
static void program_input(struct program *program, float *images)
{
	for (int i = 0; i < program->n; i++) {
		struct item *item = &program->items[i];
		if (item->prim && prim_layout(item->prim, ARG_SRC) &&
		    item->places[ARG_SRC].region == REGION_INPUT)
			prim_bind(item->prim, ARG_SRC, images);
	}
}

static void pass_input(struct pass *pass, const float *images)
{
	if (pass->regions[REGION_INPUT] == images)
		return;
	pass->regions[REGION_INPUT] = (float *)images; /* oneDNN's handles are not const; nothing writes there */
	program_input(&pass->forward, pass->regions[REGION_INPUT]);
	program_input(&pass->infer, pass->regions[REGION_INPUT]);
	program_input(&pass->backward, pass->regions[REGION_INPUT]);
}

int item_run(const struct pass *pass, const struct item *item, struct err *err)
{
	switch (item->kind) {
	case ITEM_REORDER:
	case ITEM_CONV_FORWARD:
	case ITEM_CONV_DGRAD:
	case ITEM_CONV_WGRAD:
	case ITEM_BN_FORWARD:
	case ITEM_BN_BACKWARD:
		return prim_run(item->prim, err);
	case ITEM_MAXPOOL:
		pool_forward(pass->cell, &item->pool, item->dst_data, item->taps_data, item->a_data);
		return 0;
	case ITEM_MAXPOOL_BACKWARD:
		pool_backward(pass->cell, &item->pool, item->dst_data, item->a_data, item->taps_data);
		return 0;
	case ITEM_ADD_RELU:
		cells_add_relu(pass->cell, item->dst_data, item->a_data, item->b_data, item->cells);
		return 0;
	case ITEM_RELU_MASK:
		cells_relu_mask(pass->cell, item->dst_data, item->a_data, item->cells);
		return 0;
	case ITEM_JOIN:
		cells_add(pass->cell, item->dst_data, item->a_data, item->cells);
		return 0;
	}
	BUG("item of kind %d", (int)item->kind);
}

static int program_run(const struct pass *pass, const struct program *program, struct err *err)
{
	for (int i = 0; i < program->n; i++) {
		int r = item_run(pass, &program->items[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int pass_forward(struct pass *pass, const float *images, const struct targets *targets, struct err *err)
{
	pass_input(pass, images);
	int r = program_run(pass, &pass->weights, err);
	if (r == 0)
		r = program_run(pass, &pass->forward, err);
	if (r < 0)
		return r;
	head_forward(&pass->head);
	head_loss(&pass->head, targets, true);
	return 0;
}

int pass_backward(struct pass *pass, struct err *err)
{
	head_backward(&pass->head);
	return program_run(pass, &pass->backward, err);
}

int pass_infer(struct pass *pass, const float *images, const int32_t *labels, struct err *err)
{
	pass_input(pass, images);
	int r = program_run(pass, &pass->weights, err);
	if (r == 0)
		r = program_run(pass, &pass->infer, err);
	if (r < 0)
		return r;
	head_forward(&pass->head);
	struct targets targets = targets_of(labels, 0);
	head_loss(&pass->head, &targets, false);
	return 0;
}

static float moved(float running, double batch)
{
	return (float)((1 - BN_MOMENTUM) * running + BN_MOMENTUM * batch);
}

void pass_move_running(const struct pass *pass, float *running)
{
	for (int i = 0; i < pass->net->n_bns; i++) {
		const struct net_bn *bn = &pass->net->bns[i];
		const struct bn_batch *batch = &pass->bns[i];
		const float *mean = place_data(pass, batch->mean), *variance = place_data(pass, batch->variance);
		float *to_mean = running + bn->offset, *to_variance = to_mean + bn->channels;
		double count = (double)batch->count, unbiased = batch->count > 1 ? count / (count - 1) : 1;
		for (int c = 0; c < bn->channels; c++) {
			to_mean[c] = moved(to_mean[c], mean[c]);
			to_variance[c] = moved(to_variance[c], variance[c] * unbiased);
		}
	}
}

void pass_free(struct pass *pass)
{
	if (!pass)
		return;
	for (int i = 0; i < pass->n_prims; i++)
		prim_free(pass->prims[i]);
	free(pass->prims);
	free(pass->bns);
	free(pass->weights.items);
	free(pass->forward.items);
	free(pass->infer.items);
	free(pass->backward.items);
	free(pass);
}
