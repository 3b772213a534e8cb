#include "memory.h"

#include "conv_shape.h"

#define ALIGNMENT 256

struct bump {
	char *base;
	size_t used;
};

static void *take(struct bump *bump, size_t count, size_t size)
{
	void *p = bump->base + bump->used;
	bump->used += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return p;
}

static int first_param(const struct net *net, int bn)
{
	for (int i = 0; i < net->n_ops; i++)
		if (net->ops[i].kind == OP_BN && net->ops[i].bn == bn)
			return net->ops[i].param;
	BUG("a batch norm without an operation");
}

static void place_bns(struct memory *m, struct bump *bump, int *ret_max_c)
{
	const struct net *net = m->map->net;
	*ret_max_c = 8;
	for (int i = 0; i < net->n_bns; i++) {
		struct bn_vectors *bn = &m->bns[i];
		size_t gamma = m->map->places[first_param(net, i)].offset, beta = m->map->places[first_param(net, i) + 1].offset;
		bn->c = channels_padded(net->bns[i].channels);
		size_t c = (size_t)bn->c;
		bn->mean = take(bump, 4 * c, sizeof(float));
		bn->inv_std = bn->mean + c;
		bn->scale = bn->inv_std + c;
		bn->shift = bn->scale + c;
		bn->running_mean = m->running + m->map->running[i];
		bn->running_var = bn->running_mean + c;
		bn->gamma = m->params + gamma;
		bn->beta = m->params + beta;
		bn->dgamma = m->other_grads + (gamma - m->map->weights);
		bn->dbeta = m->other_grads + (beta - m->map->weights);
		*ret_max_c = MAX(*ret_max_c, bn->c);
	}
}

void memory_init(struct memory *m, const struct param_map *map, const struct memory_sizes *sizes, void *base)
{
	struct bump bump = {.base = base};
	size_t params = param_map_size(map), cell = cell_size(sizes->cell);
	int max_c;
	*m = (struct memory){.map = map, .cell = sizes->cell};
	m->bns = xcalloc((size_t)map->net->n_bns, sizeof(*m->bns));
	m->params = take(&bump, params, sizeof(float));
	for (int i = 0; i < sizes->slots; i++)
		m->slots[i] = take(&bump, params, sizeof(float));
	m->running = take(&bump, map->buffers, sizeof(float));
	m->ema_params = sizes->ema ? take(&bump, params, sizeof(float)) : NULL;
	m->ema_running = sizes->ema ? take(&bump, map->buffers, sizeof(float)) : NULL;
	m->copies = sizes->cell == CELL_F32 ? m->params : take(&bump, map->weights, cell);
	m->weight_grads = take(&bump, map->weights, cell);
	m->other_grads = take(&bump, map->others, sizeof(float));
	place_bns(m, &bump, &max_c);
	m->coef = take(&bump, 3 * (size_t)max_c, sizeof(float));
	m->labels = take(&bump, sizes->labels, sizeof(*m->labels));
	m->partners = take(&bump, sizes->labels, sizeof(*m->partners));
	m->shares = take(&bump, sizes->labels, sizeof(*m->shares));
	m->predicted = take(&bump, sizes->predicted, sizeof(*m->predicted));
	m->partials = take(&bump, sizes->partials, sizeof(*m->partials));
	m->tickets = take(&bump, sizes->tickets, sizeof(*m->tickets));
	m->state = take(&bump, 1, sizeof(*m->state));
	m->values = take(&bump, sizes->steps, sizeof(*m->values));
	m->results = take(&bump, sizes->steps, sizeof(*m->results));
	m->mixes = take(&bump, sizes->steps, sizeof(*m->mixes));
	m->affines = take(&bump, 1, sizeof(*m->affines));
	m->coefs = take(&bump, OPTIM_SEGMENTS, sizeof(*m->coefs));
	m->order = take(&bump, sizes->order, sizeof(*m->order));
	m->layers = take(&bump, (size_t)map->net->n_bns, sizeof(*m->layers));
	m->work = take(&bump, sizes->work, 1);
	m->bytes = bump.used;
}

void memory_fini(struct memory *m)
{
	free(m->bns);
	*m = (struct memory){0};
}

void *memory_copy(const struct memory *m, int param)
{
	return (char *)m->copies + m->map->places[param].offset * cell_size(m->cell);
}

void *memory_grad(const struct memory *m, int param)
{
	return (char *)m->weight_grads + m->map->places[param].offset * cell_size(m->cell);
}
