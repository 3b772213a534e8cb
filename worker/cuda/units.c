#include "units.h"

static const struct op *producer(const struct net *net, int tensor, enum op_kind kind)
{
	for (int i = 0; i < net->n_ops; i++)
		if (net->ops[i].out == tensor)
			return net->ops[i].kind == kind ? &net->ops[i] : NULL;
	return NULL;
}

/* The convolution and batch norm behind tensor, where nothing else reads what is between; {NULL} where it is another. */
static struct conv_bn conv_bn_behind(const struct net *net, int tensor)
{
	const struct op *bn = producer(net, tensor, OP_BN);
	const struct op *conv = bn ? producer(net, bn->in, OP_CONV) : NULL;
	if (!conv || net->tensors[bn->in].uses != 1 || net->tensors[bn->out].uses != 1)
		return (struct conv_bn){0};
	return (struct conv_bn){conv, bn};
}

/* The unit that ends with that ReLU; false: there is none. */
static bool unit_of(const struct net *net, const struct op *relu, struct unit *ret)
{
	struct unit unit = {.kind = UNIT_CONV, .shortcut = -1, .out = relu->out};
	const struct op *add = producer(net, relu->in, OP_ADD);
	if (net->tensors[relu->in].uses != 1)
		return false;
	unit.main = conv_bn_behind(net, add ? add->in : relu->in);
	if (!unit.main.conv)
		return false;
	if (add) {
		unit.projection = conv_bn_behind(net, add->in2);
		if (!unit.projection.conv)
			unit.shortcut = add->in2;
	}
	unit.in = unit.main.conv->in;
	*ret = unit;
	return true;
}

static int count_ops(const struct unit *unit)
{
	if (unit->kind == UNIT_MAXPOOL)
		return 1;
	return 3 + (unit->projection.conv ? 3 : unit->shortcut >= 0 ? 1 : 0);
}

int units_init(struct units *ret, const struct net *net, struct err *err)
{
	struct units units = {.list = xcalloc((size_t)net->n_ops, sizeof(*units.list))};
	int ops = 0;
	for (int i = 0; i < net->n_ops; i++) {
		const struct op *op = &net->ops[i];
		struct unit *unit = &units.list[units.n];
		if (op->kind == OP_MAXPOOL)
			*unit = (struct unit){.kind = UNIT_MAXPOOL, .shortcut = -1, .pool = op, .in = op->in, .out = op->out};
		else if (op->kind != OP_RELU || !unit_of(net, op, unit))
			continue;
		ops += count_ops(unit);
		units.n++;
	}
	units.fc = producer(net, net->n_tensors - 1, OP_FC);
	units.pool = units.fc ? producer(net, units.fc->in, OP_AVGPOOL) : NULL;
	if (!units.pool || ops != net->n_ops - 2) {
		units_fini(&units);
		return err_set(err, -ENOTSUP, "the cuda backend does not know the shape of this network");
	}
	*ret = units;
	return 0;
}

void units_fini(struct units *units)
{
	free(units->list);
	*units = (struct units){0};
}
