/* Batch norm backward, per cell, with the ReLU's mask and the join of two gradients in front of it. */

#define BN_BACK_AHEAD 2 /* rows whose loads are under way together */

/* dz of 8 values: dy_a [+ dy_b], 0 where the ReLU let nothing through. */
DEVICE struct float8 PER_CELL(masked)(const void *dy_a, const void *dy_b, const void *y, uint32_t mask, size_t at,
				      const struct float8 *x, const struct float8 *scale, const struct float8 *shift)
{
	struct float8 dz = ld8(dy_a, at);
	if (dy_b) {
		struct float8 other = ld8(dy_b, at);
		EACH8(i)
			dz.v[i] += other.v[i];
	}
	if (mask == BN_MASK_Y) {
		struct float8 out = ld8(y, at);
		EACH8(i)
			dz.v[i] = out.v[i] > 0 ? dz.v[i] : 0;
	} else if (mask == BN_MASK_X) {
		EACH8(i)
			dz.v[i] = x->v[i] * scale->v[i] + shift->v[i] > 0 ? dz.v[i] : 0;
	}
	return dz;
}

CELL_KERNEL(bn_backward_reduce)
{
	struct tile t = tile_of_thread(a.c);
	struct float8 sum = fill8(0), dot = fill8(0), scale = fill8(0), shift = fill8(0);
	uint32_t vectors = a.c / 8;
	if (t.inside) {
		struct float8 mean = ld8_f32(a.mean, t.vector);
		if (a.mask == BN_MASK_X) {
			scale = ld8_f32(a.scale, t.vector);
			shift = ld8_f32(a.shift, t.vector);
		}
		for (uint32_t row = t.row; row < a.rows; row += BN_BACK_AHEAD * t.row_step) {
			struct float8 x[BN_BACK_AHEAD], dz[BN_BACK_AHEAD];
			UNROLL for (int k = 0; k < BN_BACK_AHEAD; k++) {
				uint32_t at_row = row + k * t.row_step;
				size_t at = (size_t)at_row * vectors + t.vector;
				x[k] = mean;
				dz[k] = fill8(0);
				if (at_row < a.rows) {
					x[k] = ld8(a.x, at);
					dz[k] = PER_CELL(masked)(a.dy_a, a.dy_b, a.y, a.mask, at, &x[k], &scale,
								 &shift);
				}
			}
			UNROLL for (int k = 0; k < BN_BACK_AHEAD; k++) {
				uint32_t at_row = row + k * t.row_step;
				if (a.dz && at_row < a.rows)
					st8(a.dz, (size_t)at_row * vectors + t.vector, dz[k]);
				EACH8(i) {
					sum.v[i] += dz[k].v[i];
					dot.v[i] += dz[k].v[i] * (x[k].v[i] - mean.v[i]);
				}
			}
		}
	}
	struct channel_sums s = tile_sum(sum, dot, a.c, a.partials, a.tickets);
	if (!s.mine)
		return;
	uint32_t c = s.channel;
	float count = (float)a.rows, inv_std = a.inv_std[c], mean_c = a.mean[c];
	float dbeta = s.first, dgamma = s.second * inv_std, factor = a.gamma[c] * inv_std;
	/* dx = factor * (dz - dbeta / count - (x - mean) * inv_std * dgamma / count) */
	float of_x = -factor * inv_std * (dgamma / count);
	a.dbeta[c] = dbeta;
	a.dgamma[c] = dgamma;
	a.coef[c] = factor;
	a.coef[a.c + c] = of_x;
	a.coef[2 * a.c + c] = -factor * (dbeta / count) - of_x * mean_c;
}

CELL_KERNEL(bn_backward_apply)
{
	struct tile t = tile_of_thread(a.c);
	if (!t.inside)
		return;
	uint32_t vectors = a.c / 8;
	struct float8 of_dz = ld8_f32(a.coef, t.vector), of_x = ld8_f32(a.coef, vectors + t.vector);
	struct float8 constant = ld8_f32(a.coef, 2 * vectors + t.vector), scale = fill8(0), shift = fill8(0);
	if (a.mask == BN_MASK_X) {
		scale = ld8_f32(a.scale, t.vector);
		shift = ld8_f32(a.shift, t.vector);
	}
	for (uint32_t row = t.row; row < a.rows; row += BN_BACK_AHEAD * t.row_step) {
		struct float8 x[BN_BACK_AHEAD], dz[BN_BACK_AHEAD];
		UNROLL for (int k = 0; k < BN_BACK_AHEAD; k++) {
			uint32_t at_row = row + k * t.row_step;
			size_t at = (size_t)at_row * vectors + t.vector;
			if (at_row < a.rows) {
				x[k] = ld8(a.x, at);
				dz[k] = PER_CELL(masked)(a.dy_a, a.dy_b, a.y, a.mask, at, &x[k], &scale, &shift);
			}
		}
		UNROLL for (int k = 0; k < BN_BACK_AHEAD; k++) {
			uint32_t at_row = row + k * t.row_step;
			if (at_row >= a.rows)
				break;
			EACH8(i)
				dz[k].v[i] = of_dz.v[i] * dz[k].v[i] + of_x.v[i] * x[k].v[i] + constant.v[i];
			st8(a.dx, (size_t)at_row * vectors + t.vector, dz[k]);
		}
	}
}
