/* Softmax cross-entropy, per cell: a warp a row, blocks loop over rows; the last block adds up. */

#define CE_WARPS 8

/* Logits of 8 classes; -inf for what is no class. */
DEVICE struct float8 PER_CELL(biased_logits)(const void *logits, const float *bias, uint32_t classes, size_t first, uint32_t v)
{
	struct float8 x = ld8(logits, first + v), add = bias ? ld8_f32(bias, v) : fill8(0);
	EACH8(i)
		x.v[i] = 8 * v + i < classes ? x.v[i] + add.v[i] : -INFINITY;
	return x;
}

DEVICE struct float8 PER_CELL(ce_logits)(const struct softmax_ce_args *a, uint32_t row, uint32_t v)
{
	return PER_CELL(biased_logits)(a->logits, a->bias, a->classes, (size_t)row * (a->c / 8), v);
}

DEVICE float PER_CELL(ce_logit)(const struct softmax_ce_args *a, uint32_t row, int32_t k)
{
	return ld1(a->logits, (size_t)row * a->c + k) + (a->bias ? a->bias[k] : 0);
}

/* The first class of the largest logit; 0 where none is a number. */
DEVICE int32_t PER_CELL(ce_best)(const struct softmax_ce_args *a, uint32_t row, uint32_t lane, float max)
{
	float best = -INFINITY;
	for (uint32_t v = lane; v < a->c / 8; v += WARP) {
		struct float8 x = PER_CELL(ce_logits)(a, row, v);
		EACH8(i)
			if (8 * v + i < a->classes && x.v[i] == max)
				best = fmaxf(best, -(float)(8 * v + i));
	}
	best = warp_max(best);
	return best > -INFINITY ? (int32_t)-best : 0;
}

/* dlogits of one row; log_sum: of exp(logit - max). */
DEVICE void PER_CELL(ce_gradient)(const struct softmax_ce_args *a, uint32_t row, uint32_t lane, const struct row_target *t,
				  float max, float log_sum)
{
	float factor = a->state->scaler.scale / (float)a->n;
	for (uint32_t v = lane; v < a->c / 8; v += WARP) {
		struct float8 x = PER_CELL(ce_logits)(a, row, v);
		EACH8(i) {
			int32_t k = (int32_t)(8 * v) + i;
			float q = t->base + (k == t->label ? t->weight : 0) + (k == t->label2 ? t->weight2 : 0);
			x.v[i] = k < (int32_t)a->classes ? (expf(x.v[i] - max - log_sum) - q) * factor : 0;
		}
		st8(a->dlogits, (size_t)row * (a->c / 8) + v, x);
	}
}

/* One row by one warp; writes its dlogits where they are wanted. */
DEVICE struct row_loss PER_CELL(ce_row)(const struct softmax_ce_args *a, uint32_t row, uint32_t lane)
{
	struct row_target t = row_target_of(a, row);
	float labelled = PER_CELL(ce_logit)(a, row, t.label), labelled2 = labelled;
	float max = -INFINITY, sum = 0, all = 0, before = labelled == labelled ? 0 : (float)a->classes;
	if (t.label2 >= 0)
		labelled2 = PER_CELL(ce_logit)(a, row, t.label2);
	float before2 = labelled2 == labelled2 ? 0 : 1;
	for (uint32_t v = lane; v < a->c / 8; v += WARP) {
		struct float8 x = PER_CELL(ce_logits)(a, row, v);
		EACH8(i) {
			max = fmaxf(max, x.v[i]);
			before += x.v[i] > labelled || (x.v[i] == labelled && (int32_t)(8 * v) + i < t.label);
			before2 += x.v[i] > labelled2 || (x.v[i] == labelled2 && (int32_t)(8 * v) + i < t.label2);
		}
	}
	max = warp_max(max);
	for (uint32_t v = lane; v < a->c / 8; v += WARP) {
		struct float8 x = PER_CELL(ce_logits)(a, row, v);
		EACH8(i) {
			sum += expf(x.v[i] - max);
			all += 8 * v + i < a->classes ? x.v[i] - max : 0;
		}
	}
	struct row_loss r;
	float log_sum = logf(warp_sum(sum));
	r.rank = (uint32_t)warp_sum(before);
	r.correct = r.rank == 0 ? t.share : 0;
	if (t.label2 >= 0 && warp_sum(before2) == 0)
		r.correct += 1 - t.share;
	r.loss = log_sum - t.weight * (labelled - max);
	if (t.weight2 != 0)
		r.loss -= t.weight2 * (labelled2 - max);
	if (t.base != 0)
		r.loss -= t.base * warp_sum(all);
	if (a->predicted) {
		int32_t best = PER_CELL(ce_best)(a, row, lane, max);
		if (lane == 0)
			a->predicted[(size_t)a->state->step * a->batch + row] = best;
	}
	if (a->dlogits)
		PER_CELL(ce_gradient)(a, row, lane, &t, max, log_sum);
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
	__shared__ float correct[CE_WARPS];
	__shared__ uint32_t correct5[CE_WARPS];
	uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, stride = PART_COLUMNS + a.c;
	float *partial = a.partials + (size_t)blockIdx.x * stride;
	double loss = 0;
	float first = 0;
	uint32_t among5 = 0;
	for (uint32_t row = blockIdx.x * CE_WARPS + warp; row < a.n; row += gridDim.x * CE_WARPS) {
		struct row_loss r = PER_CELL(ce_row)(&a, row, lane);
		loss += r.loss;
		first += r.correct;
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
			sums.v[PART_CORRECT] += correct[i];
			sums.v[PART_CORRECT5] += (float)correct5[i];
		}
		sums.v[PART_LOSS] = (float)loss;
		st8_f32(partial, 0, sums);
	}
	if (a.dlogits)
		PER_CELL(ce_columns)(&a, partial + PART_COLUMNS);
	if (!last_block(a.tickets, gridDim.x))
		return;
	if (threadIdx.x == 0)
		add_to_state(&a, stride, gridDim.x);
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

/* log((exp(a) + exp(b)) / 2) */
DEVICE float PER_CELL(log_mean)(float a, float b)
{
	float max = fmaxf(a, b), min = fminf(a, b);
	return max + log1pf(expf(min - max)) - 0.69314718f;
}

CELL_KERNEL(log_softmax)
{
	uint32_t lane = threadIdx.x % WARP, row = blockIdx.x * CE_WARPS + threadIdx.x / WARP, vectors = a.c / 8;
	size_t first = (size_t)row * vectors;
	if (row >= a.n)
		return;
	float max = -INFINITY, sum = 0;
	for (uint32_t v = lane; v < vectors; v += WARP) {
		struct float8 x = PER_CELL(biased_logits)(a.logits, a.bias, a.classes, first, v);
		EACH8(i)
			max = fmaxf(max, x.v[i]);
	}
	max = warp_max(max);
	for (uint32_t v = lane; v < vectors; v += WARP) {
		struct float8 x = PER_CELL(biased_logits)(a.logits, a.bias, a.classes, first, v);
		EACH8(i)
			sum += expf(x.v[i] - max);
	}
	float log_sum = logf(warp_sum(sum));
	for (uint32_t v = lane; v < vectors; v += WARP) {
		struct float8 x = PER_CELL(biased_logits)(a.logits, a.bias, a.classes, first, v), kept = fill8(0);
		if (a.mean)
			kept = ld8_f32(a.log_p, first + v);
		EACH8(i) {
			float log_p = x.v[i] - max - log_sum;
			x.v[i] = 8 * v + i >= a.classes ? 0 : a.mean ? PER_CELL(log_mean)(log_p, kept.v[i]) : log_p;
		}
		st8_f32(a.log_p, first + v, x);
	}
}
