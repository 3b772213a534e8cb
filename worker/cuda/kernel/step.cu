/* What does not touch a cell. */

KERNEL(step_begin)
{
	struct step_state *s = a.state;
	s->step = s->next;
	s->next = s->step + 1;
	for (int i = 0; a.values && i < OPTIM_SEGMENTS; i++) {
		struct optim_f64 c = optim_coefs(&a.optim, &a.values[s->step], s->steps + 1, a.segments[i].lr_scale,
						 a.segments[i].decays);
		a.coefs[i] = optim_coefs_f32(&c);
	}
}

/* One block a layer. */
KERNEL(bn_running)
{
	const struct bn_layer *l = &a.layers[blockIdx.x];
	for (uint32_t c = threadIdx.x; c < l->c; c += blockDim.x) {
		float scale = l->gamma[c] * (1 / sqrtf(l->running_var[c] + a.eps));
		l->scale[c] = scale;
		l->shift[c] = l->beta[c] - l->running_mean[c] * scale;
	}
}

KERNEL(ema)
{
	uint32_t params = a.param_count / 8, all = a.state->moved ? params + a.running_count / 8 : 0;
	double decay = a.state->steps == 1 ? 0 : a.keep;
	float keep = (float)decay, take = (float)(1 - decay);
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < all; v += gridDim.x * blockDim.x) {
		float *ema = v < params ? a.ema_params : a.ema_running;
		uint32_t at = v < params ? v : v - params;
		struct float8 e = ld8_f32(ema, at), value = ld8_f32(v < params ? a.params : a.running, at);
		EACH8(i)
			e.v[i] = ema_element_f32(e.v[i], value.v[i], keep, take);
		st8_f32(ema, at, e);
	}
}

KERNEL(exchange)
{
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < a.count / 8; v += gridDim.x * blockDim.x) {
		struct float8 was = ld8_f32(a.a, v);
		st8_f32(a.a, v, ld8_f32(a.b, v));
		st8_f32(a.b, v, was);
	}
}
