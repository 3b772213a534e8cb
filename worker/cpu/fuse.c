#include "fuse.h"

/* Operation i + 1, when it is of that kind and the one reader of operation i. */
static const struct op *sole_reader(const struct net *net, int i, enum op_kind kind)
{
	if (i + 1 >= net->n_ops)
		return NULL;
	const struct op *op = &net->ops[i], *next = op + 1;
	return next->kind == kind && next->in == op->out && net->tensors[op->out].uses == 1 ? next : NULL;
}

static int refuse(const struct net *net, int i, struct err *err)
{
	return err_set(err, -ENOTSUP, "the cpu backend cannot run operation %d of %d of this net (kind %d) where it is",
		       i, net->n_ops, (int)net->ops[i].kind);
}

/* Appends the node that begins at operation i; how many operations it takes, 0 where none begins there. */
static int node_add(struct nodes *nodes, const struct net *net, int i)
{
	const struct op *op = &net->ops[i], *relu = sole_reader(net, i, OP_RELU);
	struct node node = {.op = op, .in = op->in, .in2 = op->in2, .out = relu ? relu->out : op->out, .relu = relu};
	switch (op->kind) {
	case OP_CONV:
	case OP_MAXPOOL:
		if (relu)
			return 0;
		node.kind = op->kind == OP_CONV ? NODE_CONV : NODE_MAXPOOL;
		break;
	case OP_BN:
		node.kind = NODE_BN;
		break;
	case OP_ADD:
		if (!relu)
			return 0;
		node.kind = NODE_ADD_RELU;
		break;
	case OP_RELU:
	case OP_AVGPOOL:
	case OP_FC:
		return 0;
	}
	nodes->list[nodes->n++] = node;
	return relu ? 2 : 1;
}

int nodes_init(struct nodes *ret, const struct net *net, struct err *err)
{
	struct nodes nodes = {.list = xcalloc((size_t)net->n_ops, sizeof(*nodes.list))};
	int i = 0;
	while (i < net->n_ops && net->ops[i].kind != OP_AVGPOOL) {
		int taken = node_add(&nodes, net, i);
		if (taken == 0)
			break;
		i += taken;
	}
	if (i != net->n_ops - 2 || net->ops[i].kind != OP_AVGPOOL || !sole_reader(net, i, OP_FC) ||
	    net->tensors[net->ops[i].in].uses != 1) {
		nodes_fini(&nodes);
		return refuse(net, MIN(i, net->n_ops - 1), err);
	}
	nodes.features = net->ops[i].in;
	nodes.fc = &net->ops[i + 1];
	*ret = nodes;
	return 0;
}

void nodes_fini(struct nodes *nodes)
{
	free(nodes->list);
	*nodes = (struct nodes){0};
}
