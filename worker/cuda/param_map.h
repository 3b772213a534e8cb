/* Where parameters lie on the GPU: one arena of fp32, first the weights of convolutions and classifier (KRSC, channels
 * padded to a multiple of 8), then the others (batch norm, bias), each padded likewise.  Padding is 0 and stays 0.
 * Gradients, the optimizer's slots and the low-precision copy follow the same order. */
#pragma once

#include "worker/backend.h"

struct param_place {
	size_t offset; /* elements, from the arena's begin */
	size_t count;  /* with padding */
	bool weight;
	int k, c, kernel; /* padded; others: k 1, kernel 1 */
};

struct param_map {
	const struct net *net;	    /* borrowed */
	struct param_place *places; /* of net->params */
	size_t weights, others;	    /* elements of the two parts; multiples of 8 */
	size_t ends[2][N_GROUPS];   /* of each group of learning rates in weights and others: elements from the arena's begin */
	size_t *running;	    /* of net->bns: elements, from the begin of the running statistics: mean (C), var (C) */
	size_t buffers;		    /* elements of all of them */
};

void param_map_init(struct param_map *map, const struct net *net);
void param_map_fini(struct param_map *map);

static inline size_t param_map_size(const struct param_map *map)
{
	return map->weights + map->others;
}

/* Canonical arrays (struct state: OIHW in net order) to and from the GPU's order, in host memory.  pack leaves 0 in the
 * padding; a running variance is padded with 0 too (its gamma is 0). */
void param_map_pack(const struct param_map *map, const float *canonical, float *device);
void param_map_unpack(const struct param_map *map, const float *device, float *canonical);
void param_map_pack_running(const struct param_map *map, const float *canonical, float *device);
void param_map_unpack_running(const struct param_map *map, const float *device, float *canonical);
