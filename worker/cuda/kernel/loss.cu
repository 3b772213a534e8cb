/* Softmax cross-entropy, per cell: a warp a row, blocks loop over rows; the last block adds up. */

#define CE_WARPS 8

struct PER_CELL(ce_row) {
	float loss;
	uint32_t rank; /* how many logits come before the label's */
};

/* One row by one warp; writes its dlogits where they are wanted. */
DEVICE struct PER_CELL(ce_row) PER_CELL(ce_row)(const struct softmax_ce_args *a, uint32_t row, uint32_t lane)
{
	uint32_t vectors = a->c / 8;
	struct target t = target_of(a, row);
	float labelled = ld1(a->logits, (size_t)row * a->c + t.label) + a->bias[t.label];
	float labelled2 = t.label2 >= 0 ? ld1(a->logits, (size_t)row * a->c + t.label2) + a->bias[t.label2] : labelled;
	float max = -INFINITY, sum = 0, all = 0, before = labelled == labelled ? 0 : (float)a->classes;
	for (uint32_t v = lane; v < vectors; v += WARP) {
		struct float8 x = ld8(a->logits, (size_t)row * vectors + v), bias = ld8_f32(a->bias, v);
		EACH8(i) {
			uint32_t k = 8 * v + i;
			float logit = x.v[i] + bias.v[i];
			if (k < a->classes) {
				max = fmaxf(max, logit);
				before += logit > labelled || (logit == labelled && k < (uint32_t)t.label);
			}
		}
	}
	max = warp_max(max);
	for (uint32_t v = lane; v < vectors; v += WARP) {
		struct float8 x = ld8(a->logits, (size_t)row * vectors + v), bias = ld8_f32(a->bias, v);
		EACH8(i)
			if (8 * v + i < a->classes) {
				float below = x.v[i] + bias.v[i] - max;
				sum += expf(below);
				all += below;
			}
	}
	sum = warp_sum(sum);
	all = warp_sum(all);
	before = warp_sum(before);
	float log_sum = logf(sum);
	if (a->dlogits) {
		float factor = a->state->loss_scale / (float)a->n;
		for (uint32_t v = lane; v < vectors; v += WARP) {
			struct float8 x = ld8(a->logits, (size_t)row * vectors + v), bias = ld8_f32(a->bias, v);
			struct float8 d = fill8(0);
			EACH8(i) {
				uint32_t k = 8 * v + i;
				float q = t.base + (k == (uint32_t)t.label ? t.weight : 0) +
					  (k == (uint32_t)t.label2 ? t.weight2 : 0);
				if (k < a->classes)
					d.v[i] = (expf(x.v[i] + bias.v[i] - max - log_sum) - q) * factor;
			}
			st8(a->dlogits, (size_t)row * vectors + v, d);
		}
	}
	struct PER_CELL(ce_row) r;
	r.loss = log_sum - t.weight * (labelled - max);
	if (t.weight2 != 0)
		r.loss -= t.weight2 * (labelled2 - max);
	if (t.base != 0)
		r.loss -= t.base * all;
	r.rank = (uint32_t)before;
	return r;
}

/* partial (C) = column sums of the rows of dlogits that this block wrote, in their order */
DEVICE void PER_CELL(ce_columns)(const struct softmax_ce_args *a, float *partial)
{
	for (uint32_t v = threadIdx.x; v < a->c / 8; v += blockDim.x) {
		struct float8 sum = fill8(0);
		for (uint32_t first = blockIdx.x * CE_WARPS; first < a->n; first += gridDim.x * CE_WARPS)
			for (uint32_t row = first; row < first + CE_WARPS && row < a->n; row++) {
				struct float8 d = ld8(a->dlogits, (size_t)row * (a->c / 8) + v);
				EACH8(i)
					sum.v[i] += d.v[i];
			}
		st8_f32(partial, v, sum);
	}
}

CELL_KERNEL(softmax_ce)
{
	__shared__ double losses[CE_WARPS];
	__shared__ uint32_t correct[CE_WARPS], correct5[CE_WARPS];
	uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, stride = PART_COLUMNS + a.c;
	float *partial = a.partials + (size_t)blockIdx.x * stride;
	double loss = 0;
	uint32_t first = 0, among5 = 0;
	for (uint32_t row = blockIdx.x * CE_WARPS + warp; row < a.n; row += gridDim.x * CE_WARPS) {
		struct PER_CELL(ce_row) r = PER_CELL(ce_row)(&a, row, lane);
		loss += r.loss;
		first += r.rank < 1;
		among5 += r.rank < 5;
	}
	if (lane == 0) {
		losses[warp] = loss;
		correct[warp] = first;
		correct5[warp] = among5;
	}
	__syncthreads();
	if (threadIdx.x == 0) {
		struct float8 sums = fill8(0);
		loss = 0;
		for (int i = 0; i < CE_WARPS; i++) {
			loss += losses[i];
			sums.v[PART_CORRECT] += (float)correct[i];
			sums.v[PART_CORRECT5] += (float)correct5[i];
		}
		sums.v[PART_LOSS] = (float)loss;
		sums.v[PART_LOSS_REST] = (float)(loss - (double)sums.v[PART_LOSS]);
		st8_f32(partial, 0, sums);
	}
	if (a.dlogits)
		PER_CELL(ce_columns)(&a, partial + PART_COLUMNS);
	if (!last_block(a.tickets, gridDim.x))
		return;
	if (threadIdx.x == 0)
		add_to_state(a.state, a.partials, stride, gridDim.x, a.n);
	for (uint32_t v = threadIdx.x; a.dlogits && v < a.c / 8; v += blockDim.x) {
		struct float8 sum = fill8(0);
		for (uint32_t block = 0; block < gridDim.x; block++) {
			struct float8 part = ld8_other_block(a.partials + (size_t)block * stride + PART_COLUMNS, v);
			EACH8(i)
				sum.v[i] += part.v[i];
		}
		st8_f32(a.dbias, v, sum);
	}
}
