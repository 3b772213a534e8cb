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

CELL_KERNEL(grad_norm)
{
	__shared__ float sums[256];
	uint32_t weights = a.weights / 8, all = weights + a.others / 8;
	float unscale = 1 / a.state->scaler.scale, sum = 0;
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < all; v += gridDim.x * blockDim.x) {
		struct float8 g = v < weights ? ld8(a.weight_grads, v) : ld8_f32(a.other_grads, v - weights);
		EACH8(i)
			sum += g.v[i] * unscale * (g.v[i] * unscale);
	}
	sums[threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (uint32_t i = 1; i < blockDim.x; i++)
			sum += sums[i];
		st8_f32(a.partials, blockIdx.x, fill8(sum));
	}
	if (!last_block(a.tickets, gridDim.x) || threadIdx.x != 0)
		return;
	double squares = 0;
	for (uint32_t block = 0; block < gridDim.x; block++)
		squares += ld8_other_block(a.partials, block).v[0];
	if (a.results)
		a.results[a.state->step].grad_norm = sqrt(squares);
	a.state->clip = (float)optim_clip(sqrt(squares), a.max_norm);
}

/* The coefficients of vector v's segment. */
DEVICE struct optim_f32 PER_CELL(coefs_of)(const struct optimizer_args *a, uint32_t v)
{
	int segment = 0;
	UNROLL for (int i = 0; i < OPTIM_SEGMENTS - 1; i++)
		segment += 8 * v >= a->ends[i];
	return a->coefs[segment];
}

/* New parameters of vector v from its gradients g. */
DEVICE struct float8 PER_CELL(optimized)(const struct optimizer_args *a, uint32_t v, struct float8 g)
{
	struct optim_f32 c = PER_CELL(coefs_of)(a, v);
	struct float8 p = ld8_f32(a->params, v), m = ld8_f32(a->slots[0], v);
	if (a->optimizer == OPTIMIZER_SGD) {
		EACH8(i)
			sgd_element_f32(&p.v[i], &m.v[i], g.v[i], &c);
	} else {
		struct float8 sq = ld8_f32(a->slots[1], v);
		EACH8(i)
			adam_element_f32(&p.v[i], &m.v[i], &sq.v[i], g.v[i], &c);
		st8_f32(a->slots[1], v, sq);
	}
	st8_f32(a->slots[0], v, m);
	return p;
}

CELL_KERNEL(optimizer)
{
	const struct step_state *s = a.state;
	uint32_t weights = a.weights / 8, all = s->found_inf ? 0 : weights + a.others / 8;
	float scale = s->clip / s->scaler.scale;
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < all; v += gridDim.x * blockDim.x) {
		struct float8 g = v < weights ? ld8(a.weight_grads, v) : ld8_f32(a.other_grads, v - weights);
		EACH8(i)
			g.v[i] *= scale;
		struct float8 p = PER_CELL(optimized)(&a, v, g);
		st8_f32(a.params, v, p);
		if (a.copy && v < weights)
			st8(a.copy, v, p);
	}
	if (last_block(a.tickets, gridDim.x) && first_thread()) {
		a.state->moved = !s->found_inf;
		a.state->steps += a.state->moved;
		scaler_update(&a.state->scaler, s->found_inf, a.growth_interval);
		a.state->found_inf = 0;
	}
}

CELL_KERNEL(cast)
{
	for (uint32_t v = blockIdx.x * blockDim.x + threadIdx.x; v < a.count / 8; v += gridDim.x * blockDim.x)
		st8(a.to, v, ld8_f32(a.from, v));
}
