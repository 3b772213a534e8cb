/* Batch norm forward, per cell: statistics of the batch, and their use. */

/* Rows whose loads are under way together: what a thread may write could be what it reads next, so nobody else moves
 * loads ahead of stores. */
#define STATS_AHEAD 4
#define APPLY_AHEAD 2

CELL_KERNEL(bn_stats)
{
	struct tile t = tile_of_thread(a.c);
	struct float8 base = fill8(0), sum = fill8(0), squares = fill8(0);
	uint32_t vectors = a.c / 8;
	if (t.inside) {
		base = ld8(a.x, t.vector); /* sums of x - x[0]: no cancellation where the mean is far from 0 */
		for (uint32_t row = t.row; row < a.rows; row += STATS_AHEAD * t.row_step) {
			struct float8 x[STATS_AHEAD];
			UNROLL for (int k = 0; k < STATS_AHEAD; k++) {
				uint32_t at = row + k * t.row_step;
				x[k] = at < a.rows ? ld8(a.x, (size_t)at * vectors + t.vector) : base;
			}
			UNROLL for (int k = 0; k < STATS_AHEAD; k++)
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

/* Coefficients of 8 channels. */
struct PER_CELL(apply_coefs) {
	struct float8 scale, shift, res_scale, res_shift;
};

DEVICE struct float8 PER_CELL(affine)(const struct bn_apply_args *a, const struct PER_CELL(apply_coefs) *f,
				      struct float8 x, struct float8 residual)
{
	EACH8(i) {
		x.v[i] = x.v[i] * f->scale.v[i] + f->shift.v[i];
		if (a->residual)
			x.v[i] += residual.v[i] * f->res_scale.v[i] + f->res_shift.v[i];
		if (a->relu)
			x.v[i] = x.v[i] <= 0 ? 0 : x.v[i]; /* NaN stays */
	}
	return x;
}

CELL_KERNEL(bn_apply)
{
	struct tile t = tile_of_thread(a.c);
	if (!t.inside)
		return;
	uint32_t vectors = a.c / 8;
	struct PER_CELL(apply_coefs) f = {ld8_f32(a.scale, t.vector), ld8_f32(a.shift, t.vector), fill8(1), fill8(0)};
	if (a.res_scale) {
		f.res_scale = ld8_f32(a.res_scale, t.vector);
		f.res_shift = ld8_f32(a.res_shift, t.vector);
	}
	for (uint32_t row = t.row; row < a.rows; row += APPLY_AHEAD * t.row_step) {
		struct float8 x[APPLY_AHEAD], residual[APPLY_AHEAD];
		UNROLL for (int k = 0; k < APPLY_AHEAD; k++) {
			uint32_t at_row = row + k * t.row_step;
			size_t at = (size_t)at_row * vectors + t.vector;
			x[k] = at_row < a.rows ? ld8(a.x, at) : fill8(0);
			residual[k] = at_row < a.rows && a.residual ? ld8(a.residual, at) : fill8(0);
		}
		UNROLL for (int k = 0; k < APPLY_AHEAD; k++) {
			uint32_t at_row = row + k * t.row_step;
			struct float8 y = PER_CELL(affine)(&a, &f, x[k], residual[k]);
			if (at_row < a.rows)
				st8(a.y, (size_t)at_row * vectors + t.vector, y);
		}
	}
}
