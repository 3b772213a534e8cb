/* See ref.h: walks a network's operations forward and backward with one buffer per tensor and one per gradient. */
#include "ref.h"

#include "ref_ops.h"
#include "worker/optim_loop.h"
#include "worker/param_spans.h"

#include <math.h>

struct ref_net {
	const struct net *net;
	int max_batch, n; /* n: of the last forward pass */
	double *params, *grads, *slots[N_SLOTS], *buffers;
	double **act, **grad; /* per tensor: (max_batch, c, h, w) */
	double *bn_mean, *bn_inv_std; /* of the batch; channels of BN b from bns[b].offset / 2 on */
	int32_t *pool_index; /* of the one max pooling: (max_batch, c, h, w) of its output */
	double *loss; /* (max_batch) */
};

static size_t tensor_size(const struct net *net, int id)
{
	const struct tensor *t = &net->tensors[id];
	return (size_t)t->c * (size_t)t->h * (size_t)t->w;
}

static double *doubles(size_t n)
{
	return xcalloc(n, sizeof(double));
}

static int32_t *pool_index_new(const struct ref_net *r, const struct op *op)
{
	INVARIANT(!r->pool_index, "a network with two max poolings");
	return xcalloc((size_t)r->max_batch * tensor_size(r->net, op->out), sizeof(int32_t));
}

struct ref_net *ref_net_new(const struct net *net, int max_batch)
{
	struct ref_net *r = xcalloc(1, sizeof(*r));
	r->net = net;
	r->max_batch = max_batch;
	r->params = doubles(net->param_count);
	r->grads = doubles(net->param_count);
	for (int i = 0; i < N_SLOTS; i++)
		r->slots[i] = doubles(net->param_count);
	r->buffers = doubles(net->buffer_count);
	r->bn_mean = doubles(net->buffer_count / 2);
	r->bn_inv_std = doubles(net->buffer_count / 2);
	r->loss = doubles((size_t)max_batch);
	for (int i = 0; i < net->n_ops; i++)
		if (net->ops[i].kind == OP_MAXPOOL)
			r->pool_index = pool_index_new(r, &net->ops[i]);
	r->act = xcalloc((size_t)net->n_tensors, sizeof(*r->act));
	r->grad = xcalloc((size_t)net->n_tensors, sizeof(*r->grad));
	for (int i = 0; i < net->n_tensors; i++) {
		r->act[i] = doubles((size_t)max_batch * tensor_size(net, i));
		r->grad[i] = doubles((size_t)max_batch * tensor_size(net, i));
	}
	return r;
}

void ref_net_free(struct ref_net *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->net->n_tensors; i++) {
		free(r->act[i]);
		free(r->grad[i]);
	}
	free(r->act);
	free(r->grad);
	free(r->pool_index);
	free(r->params);
	free(r->grads);
	for (int i = 0; i < N_SLOTS; i++)
		free(r->slots[i]);
	free(r->buffers);
	free(r->bn_mean);
	free(r->bn_inv_std);
	free(r->loss);
	free(r);
}

size_t ref_bytes(const struct ref_net *r)
{
	size_t values = (2 + N_SLOTS) * r->net->param_count + 2 * r->net->buffer_count;
	for (int i = 0; i < r->net->n_tensors; i++)
		values += 2 * (size_t)r->max_batch * tensor_size(r->net, i);
	return values * sizeof(double);
}

double *ref_params(struct ref_net *r)
{
	return r->params;
}

double *ref_grads(struct ref_net *r)
{
	return r->grads;
}

double *ref_slot(struct ref_net *r, int slot)
{
	return r->slots[slot];
}

double *ref_buffers(struct ref_net *r)
{
	return r->buffers;
}

const double *ref_activation(const struct ref_net *r, int tensor)
{
	return r->act[tensor];
}

/* --- shapes --- */

static struct conv_shape conv_shape(const struct ref_net *r, const struct op *op)
{
	const struct tensor *in = &r->net->tensors[op->in], *out = &r->net->tensors[op->out];
	return (struct conv_shape){
		.n = r->n, .ic = in->c, .ih = in->h, .iw = in->w, .oc = out->c, .oh = out->h, .ow = out->w,
		.kernel = op->kernel, .stride = op->stride, .pad = op->pad,
	};
}

static struct pool_shape pool_shape(const struct ref_net *r, const struct op *op)
{
	const struct tensor *in = &r->net->tensors[op->in], *out = &r->net->tensors[op->out];
	return (struct pool_shape){.n = r->n, .c = in->c, .ih = in->h, .iw = in->w, .oh = out->h, .ow = out->w,
				   .kernel = op->kernel, .stride = op->stride, .pad = op->pad};
}

static struct bn_shape bn_shape(const struct ref_net *r, const struct op *op)
{
	const struct tensor *t = &r->net->tensors[op->in];
	return (struct bn_shape){.n = r->n, .c = t->c, .hw = t->h * t->w};
}

/* Parameter `which` of an operation: 0 weight, 1 bias; in the arena of parameters or of gradients. */
static double *of_param(const struct ref_net *r, double *arena, const struct op *op, int which)
{
	return arena + r->net->params[op->param + which].offset;
}

/* --- forward --- */

static void bn_forward(struct ref_net *r, const struct op *op, bool train)
{
	struct bn_shape s = bn_shape(r, op);
	size_t offset = r->net->bns[op->bn].offset;
	const double *x = r->act[op->in], *gamma = of_param(r, r->params, op, 0), *beta = of_param(r, r->params, op, 1);
	double *running_mean = r->buffers + offset, *running_var = running_mean + s.c;
	if (train)
		ref_bn_train(&s, x, gamma, beta, r->act[op->out], r->bn_mean + offset / 2, r->bn_inv_std + offset / 2,
			     running_mean, running_var);
	else
		ref_bn_eval(&s, x, gamma, beta, running_mean, running_var, r->act[op->out]);
}

static void op_forward(struct ref_net *r, const struct op *op, bool train)
{
	const struct tensor *in = &r->net->tensors[op->in], *out = &r->net->tensors[op->out];
	size_t count = (size_t)r->n * tensor_size(r->net, op->out);
	const double *x = r->act[op->in];
	double *y = r->act[op->out];
	struct conv_shape conv;
	struct pool_shape pool;
	switch (op->kind) {
	case OP_CONV:
		conv = conv_shape(r, op);
		ref_conv_fwd(&conv, x, of_param(r, r->params, op, 0), y);
		break;
	case OP_BN:
		bn_forward(r, op, train);
		break;
	case OP_RELU:
		ref_relu_fwd(count, x, y);
		break;
	case OP_MAXPOOL:
		pool = pool_shape(r, op);
		ref_maxpool_fwd(&pool, x, y, r->pool_index);
		break;
	case OP_ADD:
		ref_add_fwd(count, x, r->act[op->in2], y);
		break;
	case OP_AVGPOOL:
		ref_avgpool_fwd(r->n, in->c, in->h * in->w, x, y);
		break;
	case OP_FC:
		ref_fc_fwd(r->n, in->c, out->c, x, of_param(r, r->params, op, 0), of_param(r, r->params, op, 1), y);
		break;
	}
}

const double *ref_forward(struct ref_net *r, int n, const double *x, bool train)
{
	INVARIANT(n >= 1 && n <= r->max_batch, "batch of %d in a net of %d", n, r->max_batch);
	r->n = n;
	memcpy(r->act[0], x, (size_t)n * tensor_size(r->net, 0) * sizeof(*x));
	for (int i = 0; i < r->net->n_ops; i++)
		op_forward(r, &r->net->ops[i], train);
	return r->act[r->net->n_tensors - 1];
}

void ref_set_activation(struct ref_net *r, int tensor, const double *values)
{
	memcpy(r->act[tensor], values, (size_t)r->n * tensor_size(r->net, tensor) * sizeof(*values));
	for (int i = 0; i < r->net->n_ops; i++) {
		const struct op *op = &r->net->ops[i];
		if (op->kind == OP_MAXPOOL && op->in == tensor)
			op_forward(r, op, true);
	}
}

void ref_loss(struct ref_net *r, const struct targets *targets, struct sums *sums)
{
	int logits = r->net->n_tensors - 1;
	double correct = ref_cross_entropy(r->n, r->net->classes, r->act[logits], targets, r->loss, r->grad[logits]);
	for (int i = 0; i < r->n; i++)
		sums->loss += r->loss[i];
	sums->correct += correct;
	sums->images += (uint64_t)r->n;
}

/* --- backward --- */

static void bn_backward(struct ref_net *r, const struct op *op)
{
	struct bn_shape s = bn_shape(r, op);
	size_t at = r->net->bns[op->bn].offset / 2;
	ref_bn_bwd(&s, r->act[op->in], r->grad[op->out], of_param(r, r->params, op, 0), r->bn_mean + at,
		   r->bn_inv_std + at, r->grad[op->in], of_param(r, r->grads, op, 0), of_param(r, r->grads, op, 1));
}

static void conv_backward(struct ref_net *r, const struct op *op)
{
	struct conv_shape s = conv_shape(r, op);
	const double *dy = r->grad[op->out];
	ref_conv_wgrad(&s, r->act[op->in], dy, of_param(r, r->grads, op, 0));
	if (op->in != 0) /* nobody wants the gradient of the image */
		ref_conv_dgrad(&s, dy, of_param(r, r->params, op, 0), r->grad[op->in]);
}

static void op_backward(struct ref_net *r, const struct op *op)
{
	const struct tensor *in = &r->net->tensors[op->in], *out = &r->net->tensors[op->out];
	size_t count = (size_t)r->n * tensor_size(r->net, op->out);
	const double *dy = r->grad[op->out];
	double *dx = r->grad[op->in];
	struct pool_shape pool;
	switch (op->kind) {
	case OP_CONV:
		conv_backward(r, op);
		break;
	case OP_BN:
		bn_backward(r, op);
		break;
	case OP_RELU:
		ref_relu_bwd(count, r->act[op->out], dy, dx);
		break;
	case OP_MAXPOOL:
		pool = pool_shape(r, op);
		ref_maxpool_bwd(&pool, dy, r->pool_index, dx);
		break;
	case OP_ADD:
		ref_add_bwd(count, dy, dx, r->grad[op->in2]);
		break;
	case OP_AVGPOOL:
		ref_avgpool_bwd(r->n, in->c, in->h * in->w, dy, dx);
		break;
	case OP_FC:
		ref_fc_bwd(r->n, in->c, out->c, r->act[op->in], of_param(r, r->params, op, 0), dy, dx,
			   of_param(r, r->grads, op, 0), of_param(r, r->grads, op, 1));
		break;
	}
}

void ref_backward(struct ref_net *r)
{
	for (int i = 0; i < r->net->n_tensors - 1; i++)
		memset(r->grad[i], 0, (size_t)r->n * tensor_size(r->net, i) * sizeof(double));
	for (int i = r->net->n_ops - 1; i >= 0; i--)
		op_backward(r, &r->net->ops[i]);
}

static double grad_norm(const struct ref_net *r)
{
	double sum = 0;
	for (size_t i = 0; i < r->net->param_count; i++)
		sum += r->grads[i] * r->grads[i];
	return sqrt(sum);
}

double ref_update(struct ref_net *r, const struct recipe *recipe, const struct step_values *values, uint64_t t)
{
	struct optim_f64 coefs[PARAM_KINDS];
	double norm = recipe->clip_norm > 0 ? grad_norm(r) : 0;
	double scale = recipe->clip_norm > 0 ? optim_clip(norm, recipe->clip_norm) : 1;
	param_coefs(coefs, recipe, values, t);
	for (int i = 0; i < r->net->n_params; i++) {
		const struct net_param *p = &r->net->params[i];
		const struct optim_f64 *c = &coefs[param_kind(p, recipe)];
		double *param = r->params + p->offset, *a = r->slots[0] + p->offset, *b = r->slots[1] + p->offset;
		const double *grad = r->grads + p->offset;
		if (recipe->optim.optimizer == OPTIMIZER_SGD)
			sgd_update_f64(p->count, param, a, grad, scale, c);
		else
			adam_update_f64(p->count, param, a, b, grad, scale, c);
	}
	return norm;
}
