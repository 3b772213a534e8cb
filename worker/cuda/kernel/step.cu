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
