/* One pass over the arenas, per cell; threads loop, so that the grid's size is bounded. */

DEVICE bool PER_CELL(finite8)(struct float8 v)
{
	float sum = 0;
	EACH8(i)
		sum += v.v[i] - v.v[i]; /* NaN where not finite */
	return sum == 0;
}

CELL_KERNEL(grad_check)
{
	uint32_t weights = a.weights / 8, all = weights + a.others / 8;
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < all; v += gridDim.x * blockDim.x) {
		struct float8 g = v < weights ? ld8(a.weight_grads, v) : ld8_f32(a.other_grads, v - weights);
		if (!PER_CELL(finite8)(g))
			a.state->found_inf = 1;
	}
}

CELL_KERNEL(sgd)
{
	const struct step_state *s = a.state;
	uint32_t weights = a.weights / 8, all = s->found_inf ? 0 : weights + a.others / 8;
	float lr = s->lr, unscale = 1 / s->loss_scale;
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < all; v += gridDim.x * blockDim.x) {
		struct float8 g = v < weights ? ld8(a.weight_grads, v) : ld8_f32(a.other_grads, v - weights);
		struct float8 p = ld8_f32(a.params, v), m = ld8_f32(a.momentum, v);
		EACH8(i)
			sgd_element_f32(&p.v[i], &m.v[i], g.v[i] * unscale, lr, a.momentum_factor, a.weight_decay,
					a.nesterov);
		st8_f32(a.params, v, p);
		st8_f32(a.momentum, v, m);
		if (a.copy && v < weights)
			st8(a.copy, v, p);
	}
	if (last_block(a.tickets, gridDim.x) && first_thread())
		scaler_step(a.state, a.growth_interval);
}

CELL_KERNEL(cast)
{
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < a.count / 8; v += gridDim.x * blockDim.x)
		st8(a.to, v, ld8_f32(a.from, v));
}
