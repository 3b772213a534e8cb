/* A training step as data: what runs, in which order, on which memory.  Lists are written once (step.h) and run by whoever
 * has a device: gpu_cuda.c, which captures them into CUDA graphs, or the tests' host. */
#pragma once

#include "conv_shape.h"
#include "kernel/kernels.h"

struct conv_call; /* conv_plan.h */

enum launch_kind { LAUNCH_KERNEL, LAUNCH_CONV };

#define LAUNCH_LABEL 80

struct launch {
	enum launch_kind kind;
	char label[LAUNCH_LABEL]; /* "layer1.0.conv1 wgrad": for breakdowns and messages */
	size_t bytes;		  /* read and written: what must cross the memory bus if nothing stays in a cache */
	union {
		struct {
			enum kernel_id id;
			enum cell cell;
			union kernel_args args;
		} kernel;
		struct {
			struct conv_shape shape;
			void *x, *w, *y; /* the pass says which one is written */
			struct conv_call *call; /* the device's; NULL before it is prepared */
		} conv;
	};
};

struct launch_list {
	struct launch *items;
	int n, room;
};

/* Appends and returns it (borrowed until the next), zeroed but for what is given. */
struct launch *launch_kernel(struct launch_list *list, enum kernel_id id, enum cell cell, size_t bytes, const char *label,
			     ...) __attribute__((format(printf, 5, 6)));
struct launch *launch_conv(struct launch_list *list, const struct conv_shape *shape, void *x, void *w, void *y,
			   const char *label, ...) __attribute__((format(printf, 6, 7)));
/* Frees the array; conv calls are the device's. */
void launch_list_fini(struct launch_list *list);
