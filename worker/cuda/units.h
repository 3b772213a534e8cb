/* The net as the GPU runs it: a convolution with its batch norm and everything elementwise behind it is one unit.
 *
 *   CONV BN [ADD] RELU   y = relu(bn(conv(x)) [+ shortcut])   the shortcut is a tensor, or bn(conv(x')) of its own
 *   MAXPOOL
 *   AVGPOOL FC           the head, behind the last unit */
#pragma once

#include "worker/model.h"

struct conv_bn { /* ids into the net */
	const struct op *conv, *bn; /* borrowed; conv NULL: there is none */
};

enum unit_kind { UNIT_CONV, UNIT_MAXPOOL };

struct unit {
	enum unit_kind kind;
	struct conv_bn main;
	struct conv_bn projection; /* of the shortcut; conv NULL: none */
	int shortcut;		   /* tensor that is added as it is; -1: none */
	const struct op *pool;	   /* UNIT_MAXPOOL */
	int in, out;		   /* tensor ids */
};

struct units {
	struct unit *list; /* in order of execution */
	int n;
	const struct op *pool, *fc; /* the head; borrowed */
};

/* -ENOTSUP for a net that does not look as above. */
int units_init(struct units *units, const struct net *net, struct err *err);
void units_fini(struct units *units);
