/* What the parts of step.h's builder share. */
#pragma once

#include "step.h"

#define MAX_GRAD_SLOTS 8

struct grads { /* what has come together of a tensor's gradient: one or two addends; NULL: not yet */
	void *a, *b;
};

struct builder {
	const struct step_problem *problem;
	const struct net *net;
	const struct memory *memory;
	struct memory_sizes *sizes;
	struct launch_list *list;
	int n;
	bool train;
	bool mirrored; /* of evaluation: the second pass, over mirror images */
	float *log_p;  /* of the first one; NULL: there is no second */
	size_t work_used;
	void **values;	   /* by tensor: where it is */
	uint8_t **windows; /* by tensor: of a max pooling's output */
	struct grads *grads; /* by tensor */
	void *slots[MAX_GRAD_SLOTS]; /* buffers of gradients */
	bool busy[MAX_GRAD_SLOTS];
	int n_slots;
	size_t slot_bytes;
};

/* Of tensor t with padded channels: rows N * H * W, C, bytes. */
uint32_t tensor_rows(const struct builder *b, int t);
uint32_t tensor_channels(const struct builder *b, int t);
size_t tensor_bytes(const struct builder *b, int t);

/* Working memory until the list's end. */
void *work_take(struct builder *b, size_t bytes);
/* A gradient buffer, and back: NULL and what is no slot are accepted. */
void *slot_take(struct builder *b);
void slot_return(struct builder *b, const void *p);

/* Appends a kernel whose arguments the caller fills in, then closes with kernel_done(), which asks for its scratch. */
struct launch *kernel_add(struct builder *b, enum kernel_id id, size_t bytes, const char *owner, const char *what);
void kernel_done(struct builder *b, const struct launch *launch);
void conv_add(struct builder *b, const struct op *op, enum conv_pass pass, void *x, void *w, void *y);

/* "layer1.0.conv1"; op's parameter without its last part.  buf: LAUNCH_LABEL bytes; returns it. */
const char *op_name(const struct builder *b, const struct op *op, char *buf);
const struct bn_vectors *bn_of(const struct builder *b, const struct op *bn);

void step_build_forward(struct builder *b, const struct batch_source *source);
/* From the gradient of the logits, which lies in their place. */
void step_build_backward(struct builder *b);
