/* See backend.h and state.h. */
#include "state.h"

static size_t dtype_size(enum dtype dtype)
{
	return dtype == DTYPE_F64 ? sizeof(double) : sizeof(float);
}

void state_alloc(struct state *ret, const struct net *net, const struct recipe *recipe, enum dtype dtype)
{
	size_t size = dtype_size(dtype);
	*ret = (struct state){
		.dtype = dtype,
		.param_count = net->param_count,
		.buffer_count = net->buffer_count,
		.params = xcalloc(net->param_count, size),
		.buffers = xcalloc(net->buffer_count, size),
	};
	if (!recipe)
		return;
	ret->optimizer = recipe->optim.optimizer;
	for (int i = 0; i < optim_slots(recipe->optim.optimizer); i++)
		ret->slots[i] = xcalloc(net->param_count, size);
	if (recipe->ema_decay > 0) {
		ret->ema_params = xcalloc(net->param_count, size);
		ret->ema_buffers = xcalloc(net->buffer_count, size);
	}
}

void state_fini(struct state *state)
{
	free(state->params);
	free(state->buffers);
	for (int i = 0; i < N_SLOTS; i++)
		free(state->slots[i]);
	free(state->ema_params);
	free(state->ema_buffers);
	*state = (struct state){0};
}

void state_init(struct state *state, const struct net *net, uint64_t seed)
{
	state_alloc(state, net, NULL, DTYPE_F32);
	net_init(net, seed, state->params, state->buffers);
}

void values_copy(void *to, enum dtype to_type, const void *from, enum dtype from_type, size_t n)
{
	if (to_type == from_type) {
		memcpy(to, from, n * dtype_size(to_type));
	} else if (to_type == DTYPE_F64) {
		for (size_t i = 0; i < n; i++)
			((double *)to)[i] = ((const float *)from)[i];
	} else {
		for (size_t i = 0; i < n; i++)
			((float *)to)[i] = (float)((const double *)from)[i];
	}
}
