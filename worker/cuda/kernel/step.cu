/* What does not touch a cell. */

KERNEL(step_begin)
{
	struct step_state *s = a.state;
	s->step = s->next;
	s->next = s->step + 1;
	if (a.lr)
		s->lr = a.lr[s->step];
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
