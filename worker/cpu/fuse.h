/* The net as this backend runs it: neighbours that are one primitive or one loop are one node.
 *
 *   CONV              -> NODE_CONV
 *   BN, BN RELU       -> NODE_BN (relu says which)
 *   MAXPOOL           -> NODE_MAXPOOL
 *   ADD RELU          -> NODE_ADD_RELU
 *   AVGPOOL FC        -> the head, behind the last node
 *
 * A ReLU is fused only where it is the one reader of what is before it; a net with any other order is refused. */
#pragma once

#include "worker/model.h"

enum node_kind { NODE_CONV, NODE_BN, NODE_MAXPOOL, NODE_ADD_RELU };

struct node {
	enum node_kind kind;
	const struct op *op; /* the first of the fused operations; borrowed from the net */
	int in, in2, out;    /* tensor ids; out is that of the last fused operation */
	bool relu;
};

struct nodes {
	struct node *list; /* in order of execution */
	int n;
	int features;	      /* tensor that the head reads: (N, C, H, W) */
	const struct op *fc; /* borrowed from the net */
};

/* -ENOTSUP for a net that does not look as above. */
int nodes_init(struct nodes *nodes, const struct net *net, struct err *err);
void nodes_fini(struct nodes *nodes);
