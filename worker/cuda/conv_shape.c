/* See conv_shape.h. */
#include "conv_shape.h"

size_t cell_bytes(enum cell cell)
{
	return cell == CELL_F32 ? 4 : 2;
}

const char *cell_name(enum cell cell)
{
	static const char *const names[] = {[CELL_F32] = "f32", [CELL_F16] = "f16", [CELL_BF16] = "bf16"};
	return names[cell];
}

const char *conv_pass_name(enum conv_pass pass)
{
	static const char *const names[] = {[CONV_FPROP] = "fprop", [CONV_DGRAD] = "dgrad", [CONV_WGRAD] = "wgrad"};
	return names[pass];
}

struct conv_shape conv_shape_of(const struct net *net, const struct op *op, enum conv_pass pass, enum cell cell, int n)
{
	INVARIANT(op->kind == OP_CONV || op->kind == OP_FC, "operation %d is no convolution", (int)op->kind);
	const struct tensor *in = &net->tensors[op->in], *out = &net->tensors[op->out];
	bool fc = op->kind == OP_FC;
	return (struct conv_shape){
		.pass = pass,
		.cell = cell,
		.n = n,
		.c = channels_padded(in->c),
		.h = in->h,
		.w = in->w,
		.k = channels_padded(out->c),
		.kernel = fc ? 1 : op->kernel,
		.stride = fc ? 1 : op->stride,
		.pad = fc ? 0 : op->pad,
	};
}

struct conv_shape *conv_shapes_of_net(const struct net *net, enum cell cell, int n, size_t *ret_count)
{
	struct conv_shape *shapes = xcalloc(3 * (size_t)net->n_ops, sizeof(*shapes));
	size_t count = 0;
	for (int i = 0; i < net->n_ops; i++) {
		const struct op *op = &net->ops[i];
		if (op->kind == OP_CONV || op->kind == OP_FC)
			shapes[count++] = conv_shape_of(net, op, CONV_FPROP, cell, n);
	}
	for (int i = net->n_ops - 1; i >= 0; i--) {
		const struct op *op = &net->ops[i];
		if (op->kind != OP_CONV && op->kind != OP_FC)
			continue;
		shapes[count++] = conv_shape_of(net, op, CONV_WGRAD, cell, n);
		if (op->in != 0) /* nobody asks for the gradient of the images */
			shapes[count++] = conv_shape_of(net, op, CONV_DGRAD, cell, n);
	}
	*ret_count = count;
	return shapes;
}

size_t conv_x_count(const struct conv_shape *s)
{
	return (size_t)s->n * (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

size_t conv_w_count(const struct conv_shape *s)
{
	return (size_t)s->k * (size_t)s->c * (size_t)s->kernel * (size_t)s->kernel;
}

size_t conv_y_count(const struct conv_shape *s)
{
	return (size_t)s->n * (size_t)s->k * (size_t)conv_out(s->h, s) * (size_t)conv_out(s->w, s);
}

char *conv_text(const struct conv_shape *s, char *buf)
{
	snprintf(buf, CONV_TEXT_MAX, "%s %s n%d c%d %dx%d k%d %dx%d stride%d pad%d", conv_pass_name(s->pass),
		 cell_name(s->cell), s->n, s->c, s->h, s->w, s->k, s->kernel, s->kernel, s->stride, s->pad);
	return buf;
}

bool conv_shape_eq(const struct conv_shape *a, const struct conv_shape *b)
{
	return a->pass == b->pass && a->cell == b->cell && a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w &&
	       a->k == b->k && a->kernel == b->kernel && a->stride == b->stride && a->pad == b->pad;
}
