/* Batch norm forward, per cell: statistics of the batch, and their use. */

#define BN_AHEAD 4 /* rows whose loads are under way together */

CELL_KERNEL(bn_stats)
{
	struct tile t = tile_of_thread(a.c);
	struct float8 base = fill8(0), sum = fill8(0), squares = fill8(0);
	uint32_t vectors = a.c / 8;
	if (t.inside) {
		base = ld8(a.x, t.vector); /* sums of x - x[0]: no cancellation where the mean is far from 0 */
		for (uint32_t row = t.row; row < a.rows; row += BN_AHEAD * t.row_step) {
			struct float8 x[BN_AHEAD];
			UNROLL for (int k = 0; k < BN_AHEAD; k++) {
				uint32_t at = row + k * t.row_step;
				x[k] = at < a.rows ? ld8(a.x, (size_t)at * vectors + t.vector) : base;
			}
			UNROLL for (int k = 0; k < BN_AHEAD; k++)
				EACH8(i) {
					float d = x[k].v[i] - base.v[i];
					sum.v[i] += d;
					squares.v[i] += d * d;
				}
		}
	}
	struct channel_sums s = tile_sum(sum, squares, a.c, a.partials, a.tickets);
	if (!s.mine)
		return;
	uint32_t c = s.channel;
	float count = (float)a.rows, offset = s.first / count;
	float mean = ld1(a.x, c) + offset;
	float var = fmaxf(s.second / count - offset * offset, 0);
	float inv_std = 1 / sqrtf(var + a.eps), scale = a.gamma[c] * inv_std;
	a.mean[c] = mean;
	a.inv_std[c] = inv_std;
	a.scale[c] = scale;
	a.shift[c] = a.beta[c] - mean * scale;
	a.running_mean[c] = (1 - a.momentum) * a.running_mean[c] + a.momentum * mean;
	a.running_var[c] = (1 - a.momentum) * a.running_var[c] + a.momentum * (var * (count / (count - 1)));
}

CELL_KERNEL(bn_apply)
{
	struct tile t = tile_of_thread(a.c);
	if (!t.inside)
		return;
	struct float8 scale = ld8_f32(a.scale, t.vector), shift = ld8_f32(a.shift, t.vector);
	struct float8 res_scale = fill8(1), res_shift = fill8(0);
	if (a.res_scale) {
		res_scale = ld8_f32(a.res_scale, t.vector);
		res_shift = ld8_f32(a.res_shift, t.vector);
	}
	uint32_t vectors = a.c / 8;
	for (uint32_t row = t.row; row < a.rows; row += t.row_step) {
		size_t at = (size_t)row * vectors + t.vector;
		struct float8 x = ld8(a.x, at), residual = fill8(0), y;
		if (a.residual)
			residual = ld8(a.residual, at);
		EACH8(i) {
			y.v[i] = x.v[i] * scale.v[i] + shift.v[i];
			if (a.residual)
				y.v[i] += residual.v[i] * res_scale.v[i] + res_shift.v[i];
			if (a.relu)
				y.v[i] = y.v[i] <= 0 ? 0 : y.v[i]; /* NaN stays */
		}
		st8(a.y, at, y);
	}
}
