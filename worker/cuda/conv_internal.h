/* What conv_graph.c and conv_plan.c share. */
#pragma once

#include "conv_plan.h"
#include "descriptor.h"

struct conv_target {
	const struct cudnn *cudnn;
	cudnnBackendDescriptor_t device; /* DEVICEPROP */
	char name[128];			 /* for messages */
};

struct conv_op {
	const struct conv_target *target;
	struct conv_shape shape;
	cudnnBackendDescriptor_t x, w, y, conv, operation, graph;
};

enum { UID_X = 1, UID_W, UID_Y }; /* of the graph's tensors */
