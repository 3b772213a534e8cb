#include "param_map.h"

#include "conv_shape.h"

static bool is_weight(const struct net_param *p)
{
	return p->role == ROLE_CONV || p->role == ROLE_FC_WEIGHT;
}

static struct param_place place_of(const struct net_param *p)
{
	struct param_place place = {.weight = is_weight(p), .k = 1, .kernel = 1, .c = channels_padded(p->shape[0])};
	if (place.weight) {
		place.k = place.c;
		place.c = channels_padded(p->shape[1]);
		place.kernel = p->ndim == 4 ? p->shape[2] : 1;
	}
	place.count = (size_t)place.k * (size_t)place.c * (size_t)place.kernel * (size_t)place.kernel;
	return place;
}

void param_map_init(struct param_map *map, const struct net *net)
{
	*map = (struct param_map){
		.net = net,
		.places = xcalloc((size_t)net->n_params, sizeof(*map->places)),
		.running = xcalloc((size_t)net->n_bns, sizeof(*map->running)),
	};
	size_t *ends[] = {&map->others, &map->weights}; /* by weight */
	for (int i = 0; i < net->n_params; i++) {
		struct param_place *place = &map->places[i];
		*place = place_of(&net->params[i]);
		place->offset = *ends[place->weight];
		*ends[place->weight] += place->count;
	}
	map->ends[1][0] = map->weights;
	for (int i = 0; i < net->n_params; i++) {
		struct param_place *place = &map->places[i];
		place->offset += place->weight ? 0 : map->weights;
		map->ends[!place->weight][net->params[i].group] = place->offset + place->count;
	}
	for (int part = 0; part < 2; part++)
		for (int group = 1; group < N_GROUPS; group++) /* of groups without parameters */
			map->ends[part][group] = MAX(map->ends[part][group], map->ends[part][group - 1]);
	for (int i = 0; i < net->n_bns; i++) {
		map->running[i] = map->buffers;
		map->buffers += 2 * (size_t)channels_padded(net->bns[i].channels);
	}
}

void param_map_fini(struct param_map *map)
{
	free(map->places);
	free(map->running);
	*map = (struct param_map){0};
}

/* canonical (O, I, kh, kw) and device (K, kh, kw, C): copies the values, one way or the other. */
static void copy_weight(const struct net_param *p, const struct param_place *place, float *canonical, float *device,
			bool pack)
{
	int kernel = place->kernel, area = kernel * kernel;
	for (int o = 0; o < p->shape[0]; o++)
		for (int i = 0; i < p->shape[1]; i++)
			for (int at = 0; at < area; at++) {
				float *a = &canonical[((size_t)o * (size_t)p->shape[1] + (size_t)i) * (size_t)area + (size_t)at];
				float *b = &device[((size_t)o * (size_t)area + (size_t)at) * (size_t)place->c + (size_t)i];
				if (pack)
					*b = *a;
				else
					*a = *b;
			}
}

/* In one direction `canonical`, in the other `device` is only read. */
static void copy_all(const struct param_map *map, float *canonical, float *device, bool pack)
{
	for (int i = 0; i < map->net->n_params; i++) {
		const struct net_param *p = &map->net->params[i];
		const struct param_place *place = &map->places[i];
		float *a = canonical + p->offset, *b = device + place->offset;
		if (place->weight)
			copy_weight(p, place, a, b, pack);
		else
			memcpy(pack ? b : a, pack ? a : b, p->count * sizeof(float));
	}
}

void param_map_pack(const struct param_map *map, const float *canonical, float *device)
{
	memset(device, 0, param_map_size(map) * sizeof(float));
	copy_all(map, (float *)canonical, device, true);
}

void param_map_unpack(const struct param_map *map, const float *device, float *canonical)
{
	copy_all(map, canonical, (float *)device, false);
}

static void copy_running(const struct param_map *map, float *canonical, float *device, bool pack)
{
	for (int i = 0; i < map->net->n_bns; i++) {
		const struct net_bn *bn = &map->net->bns[i];
		size_t c = (size_t)bn->channels, padded = (size_t)channels_padded(bn->channels);
		for (int part = 0; part < 2; part++) {
			float *a = canonical + bn->offset + (size_t)part * c;
			float *b = device + map->running[i] + (size_t)part * padded;
			memcpy(pack ? b : a, pack ? a : b, c * sizeof(float));
		}
	}
}

void param_map_pack_running(const struct param_map *map, const float *canonical, float *device)
{
	memset(device, 0, map->buffers * sizeof(float));
	copy_running(map, (float *)canonical, device, true);
}

void param_map_unpack_running(const struct param_map *map, const float *device, float *canonical)
{
	copy_running(map, canonical, (float *)device, false);
}
