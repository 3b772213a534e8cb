/* What the two files that build a pass share. */
#pragma once

#include "pass.h"

struct value { /* a tensor of the net while its pass is built */
	struct layout *layout; /* NULL: not stored (fused away) */
	struct place place;
	struct layout *view_layout; /* a second copy in another layout, that a convolution wanted; NULL: none */
	struct place view_place;
	int grad; /* slot of its gradient, -1: none yet */
};

struct conv_build { /* of one convolution */
	struct dnn_conv shape;
	const struct prim *forward;
	struct place weights; /* in the layout the forward one wants */
};

struct bn_build {
	const struct prim *forward;
	struct place workspace;
};

struct pool_build { /* of one max pooling */
	struct pool shape;
	struct place taps;
};

struct builder {
	struct pass *pass;
	struct dnn *dnn;		    /* borrowed, as the following three */
	const struct net *net;
	const struct nodes *nodes;
	const struct pass_options *options;
	struct value *values;		    /* by tensor id */
	struct conv_build *convs;	    /* by node */
	struct bn_build *bns;		    /* by node */
	struct pool_build *pools;	    /* by node */
	int slot_users[MAX_GRAD_SLOTS];	    /* tensors whose gradient a slot holds */
};

/* Room in a region, aligned; in TEMP regions and SCRATCH every caller gets the same. */
struct place place_new(struct pass *pass, enum region region, size_t bytes);
/* A parameter or its gradient in the plain arenas. */
struct place place_param(const struct net *net, enum region region, int param);
/* The pass owns prim from here on. */
void pass_own(struct pass *pass, struct prim *prim);
/* Appends an item for prim; the scratchpad's place is filled in.  Borrowed until the next call. */
struct item *program_prim(struct pass *pass, struct program *program, enum item_kind kind, struct prim *prim);
struct item *program_loop(struct program *program, enum item_kind kind, size_t cells);
/* Makes and appends a reorder. */
int program_reorder(struct builder *b, struct program *program, const struct layout *from, struct place from_place,
		    const struct layout *to, struct place to_place, struct err *err);
/* Where `want` can be read: `have` itself if the layouts agree, else a copy in a TEMP region that program fills. */
int program_convert(struct builder *b, struct program *program, const struct layout *have, struct place have_place,
		    const struct layout *want, enum region temp, struct place *ret, struct err *err);

/* pass_backward.c: fills pass->backward and the gradient slots. */
int build_backward(struct builder *b, struct err *err);
