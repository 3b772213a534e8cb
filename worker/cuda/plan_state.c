/* Weights and moments, between the canonical order of a checkpoint and the arenas of the device.  See plan.h. */
#include "plan_internal.h"

#include "worker/state.h"

/* fp16: its gradients are multiples of the loss scale. */
static bool is_scaled(const struct plan *plan)
{
	return plan->memory.cell == CELL_F16;
}

void cuda_state_alloc(const struct plan *plan, struct state *ret)
{
	state_alloc(ret, plan->net, &plan->recipe, DTYPE_F32);
}

/* count floats of the device -> unpacked into canonical order. */
static int download_into(struct plan *plan, const float *device, size_t count,
			 void (*unpack)(const struct param_map *, const float *, float *), float *canonical, struct err *err)
{
	autofree float *packed = xmalloc(count * sizeof(*packed));
	int r = plan->runner->ops->download(plan->runner, packed, device, count * sizeof(*packed), err);
	if (r == 0)
		unpack(&plan->map, packed, canonical);
	return r;
}

int plan_use(struct plan *plan, bool ema, struct err *err)
{
	if (plan->ema_in == ema)
		return 0;
	INVARIANT(plan->exchange, "no average of the weights is kept");
	int r = plan->runner->ops->run(plan->runner, plan->exchange, 1, err);
	if (r == 0)
		plan->ema_in = ema;
	return r;
}

int cuda_state_get(struct plan *plan, struct state *into, struct err *err)
{
	const struct memory *m = &plan->memory;
	size_t params = param_map_size(&plan->map), running = plan->map.buffers;
	int r = plan_use(plan, false, err);
	r = r < 0 ? r : download_into(plan, m->params, params, param_map_unpack, into->params, err);
	for (int i = 0; r == 0 && i < optim_slots(plan->recipe.optim.optimizer); i++)
		r = download_into(plan, m->slots[i], params, param_map_unpack, into->slots[i], err);
	r = r < 0 ? r : download_into(plan, m->running, running, param_map_unpack_running, into->buffers, err);
	if (r == 0 && m->ema_params)
		r = download_into(plan, m->ema_params, params, param_map_unpack, into->ema_params, err);
	if (r == 0 && m->ema_params)
		r = download_into(plan, m->ema_running, running, param_map_unpack_running, into->ema_buffers, err);
	into->steps = plan->host.steps;
	into->batches_tracked = plan->batches_tracked;
	into->scaler = is_scaled(plan) ? plan->host.scaler : (struct grad_scaler){0};
	return r;
}

static int upload_from(struct plan *plan, const void *canonical, enum dtype dtype, size_t values, float *device,
		       size_t count, void (*pack)(const struct param_map *, const float *, float *), struct err *err)
{
	autofree float *plain = xmalloc(values * sizeof(*plain)), *packed = xmalloc(count * sizeof(*packed));
	values_copy(plain, DTYPE_F32, canonical, dtype, values);
	pack(&plan->map, plain, packed);
	return plan->runner->ops->upload(plan->runner, device, packed, count * sizeof(*packed), err);
}

int cuda_state_set(struct plan *plan, const struct state *from, struct err *err)
{
	const struct memory *m = &plan->memory;
	size_t params = param_map_size(&plan->map), values = plan->net->param_count;
	autofree void *none = xcalloc(values, sizeof(float));
	bool stepped = from->steps > 0;
	plan->ema_in = false;
	int r = upload_from(plan, from->params, from->dtype, values, m->params, params, param_map_pack, err);
	for (int i = 0; r == 0 && i < optim_slots(plan->recipe.optim.optimizer); i++)
		r = upload_from(plan, stepped ? from->slots[i] : none, stepped ? from->dtype : DTYPE_F32, values, m->slots[i],
				params, param_map_pack, err);
	r = r < 0 ? r : upload_from(plan, from->buffers, from->dtype, plan->net->buffer_count, m->running,
				    plan->map.buffers, param_map_pack_running, err);
	if (r == 0 && m->ema_params)
		r = upload_from(plan, stepped ? from->ema_params : from->params, from->dtype, values, m->ema_params, params,
				param_map_pack, err);
	if (r == 0 && m->ema_params)
		r = upload_from(plan, stepped ? from->ema_buffers : from->buffers, from->dtype, plan->net->buffer_count,
				m->ema_running, plan->map.buffers, param_map_pack_running, err);
	if (r == 0 && plan->copies)
		r = plan->runner->ops->run(plan->runner, plan->copies, 1, err);
	plan->host.steps = from->steps;
	plan->batches_tracked = from->batches_tracked;
	if (is_scaled(plan)) {
		plan->host.scaler = from->scaler.scale > 0 ? from->scaler : (struct grad_scaler){.scale = SCALER_INIT};
	}
	return r;
}
