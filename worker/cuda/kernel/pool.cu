/* Pooling, per cell: one thread for 8 channels of one pixel; the gradients are gathered, not scattered. */

CELL_KERNEL(maxpool_forward)
{
	uint32_t vectors = a.c / 8, oh = (a.h - 1) / 2 + 1, ow = (a.w - 1) / 2 + 1;
	uint32_t item = blockIdx.x * blockDim.x + threadIdx.x;
	if (item >= a.n * oh * ow * vectors)
		return;
	uint32_t vector = item % vectors, pixel = item / vectors;
	uint32_t ox = pixel % ow, oy = pixel / ow % oh, image = pixel / ow / oh;
	struct float8 best = fill8(0);
	uint32_t index[8] = {0};
	bool any = false;
	for (uint32_t k = 0; k < 9; k++) {
		uint32_t y = 2 * oy + k / 3 - 1, x = 2 * ox + k % 3 - 1; /* -1 wraps and is outside */
		if (y >= a.h || x >= a.w)
			continue;
		struct float8 v = ld8(a.x, (((size_t)image * a.h + y) * a.w + x) * vectors + vector);
		EACH8(i)
			if (!any || v.v[i] > best.v[i] || v.v[i] != v.v[i]) { /* as torch: a NaN wins, the last one */
				best.v[i] = v.v[i];
				index[i] = k;
			}
		any = true;
	}
	st8(a.y, item, best);
	uint2 bytes = {index[0] | index[1] << 8 | index[2] << 16 | index[3] << 24,
		       index[4] | index[5] << 8 | index[6] << 16 | index[7] << 24};
	((uint2 *)a.index)[item] = bytes;
}

CELL_KERNEL(maxpool_backward)
{
	uint32_t vectors = a.c / 8, oh = (a.h - 1) / 2 + 1, ow = (a.w - 1) / 2 + 1;
	uint32_t item = blockIdx.x * blockDim.x + threadIdx.x;
	if (item >= a.n * a.h * a.w * vectors)
		return;
	uint32_t vector = item % vectors, pixel = item / vectors;
	uint32_t x = pixel % a.w, y = pixel / a.w % a.h, image = pixel / a.w / a.h;
	struct float8 sum = fill8(0);
	/* Window o covers 2 * o - 1 .. 2 * o + 1. */
	for (uint32_t oy = y / 2; oy <= (y + 1) / 2 && oy < oh; oy++)
		for (uint32_t ox = x / 2; ox <= (x + 1) / 2 && ox < ow; ox++) {
			uint32_t here = (y + 1 - 2 * oy) * 3 + (x + 1 - 2 * ox);
			size_t at = (((size_t)image * oh + oy) * ow + ox) * vectors + vector;
			uint2 bytes = ((const uint2 *)a.index)[at];
			struct float8 dy = ld8(a.dy_a, at), other = fill8(0);
			if (a.dy_b)
				other = ld8(a.dy_b, at);
			EACH8(i) {
				uint32_t index = (i < 4 ? bytes.x : bytes.y) >> (i % 4 * 8) & 0xff;
				sum.v[i] += index == here ? dy.v[i] + other.v[i] : 0;
			}
		}
	st8(a.dx, item, sum);
}

CELL_KERNEL(avgpool_forward)
{
	uint32_t vectors = a.c / 8, item = blockIdx.x * blockDim.x + threadIdx.x;
	if (item >= a.n * vectors)
		return;
	uint32_t vector = item % vectors, image = item / vectors;
	struct float8 sum = fill8(0);
	UNROLL for (uint32_t p = 0; p < a.hw; p++) {
		struct float8 x = ld8(a.x, ((size_t)image * a.hw + p) * vectors + vector);
		EACH8(i)
			sum.v[i] += x.v[i];
	}
	EACH8(i)
		sum.v[i] /= (float)a.hw;
	st8(a.y, item, sum);
}

CELL_KERNEL(avgpool_backward)
{
	uint32_t vectors = a.c / 8, item = blockIdx.x * blockDim.x + threadIdx.x;
	if (item >= a.n * a.hw * vectors)
		return;
	uint32_t vector = item % vectors, image = item / vectors / a.hw;
	struct float8 dy = ld8(a.dy, (size_t)image * vectors + vector);
	EACH8(i)
		dy.v[i] /= (float)a.hw;
	st8(a.dx, item, dy);
}
