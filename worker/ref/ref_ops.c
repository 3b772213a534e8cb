/* Everything but convolution, see ref_ops.h. */
#include "ref_ops.h"

#include "worker/model.h"

#include <math.h>

/* --- batch normalization --- */

/* i runs over the elements of channel c, image by image. */
#define FOR_CHANNEL(s, c, i)                                                                           \
	for (size_t n_ = 0; n_ < (size_t)(s)->n; n_++)                                                 \
		for (size_t i = (n_ * (size_t)(s)->c + (size_t)(c)) * (size_t)(s)->hw, end_ = i + (size_t)(s)->hw; \
		     i < end_; i++)

void ref_bn_train(const struct bn_shape *s, const double *x, const double *gamma, const double *beta, double *y,
		  double *mean, double *inv_std, double *running_mean, double *running_var)
{
	double count = (double)s->n * s->hw;
	INVARIANT(count > 1, "the variance of one value");
#pragma omp parallel for
	for (int c = 0; c < s->c; c++) {
		double sum = 0, squares = 0;
		FOR_CHANNEL(s, c, i)
			sum += x[i];
		mean[c] = sum / count;
		FOR_CHANNEL(s, c, i)
			squares += (x[i] - mean[c]) * (x[i] - mean[c]);
		double var = squares / count;
		inv_std[c] = 1 / sqrt(var + BN_EPS);
		FOR_CHANNEL(s, c, i)
			y[i] = (x[i] - mean[c]) * inv_std[c] * gamma[c] + beta[c];
		running_mean[c] = (1 - BN_MOMENTUM) * running_mean[c] + BN_MOMENTUM * mean[c];
		running_var[c] = (1 - BN_MOMENTUM) * running_var[c] + BN_MOMENTUM * var * count / (count - 1);
	}
}

void ref_bn_eval(const struct bn_shape *s, const double *x, const double *gamma, const double *beta,
		 const double *running_mean, const double *running_var, double *y)
{
#pragma omp parallel for
	for (int c = 0; c < s->c; c++) {
		double inv_std = 1 / sqrt(running_var[c] + BN_EPS);
		FOR_CHANNEL(s, c, i)
			y[i] = (x[i] - running_mean[c]) * inv_std * gamma[c] + beta[c];
	}
}

void ref_bn_bwd(const struct bn_shape *s, const double *x, const double *dy, const double *gamma, const double *mean,
		const double *inv_std, double *dx, double *dgamma, double *dbeta)
{
	double count = (double)s->n * s->hw;
#pragma omp parallel for
	for (int c = 0; c < s->c; c++) {
		double sum = 0, dot = 0; /* dot: with the normalised x */
		FOR_CHANNEL(s, c, i) {
			sum += dy[i];
			dot += dy[i] * (x[i] - mean[c]) * inv_std[c];
		}
		dbeta[c] = sum;
		dgamma[c] = dot;
		FOR_CHANNEL(s, c, i) {
			double normal = (x[i] - mean[c]) * inv_std[c];
			dx[i] += gamma[c] * inv_std[c] * (dy[i] - sum / count - normal * dot / count);
		}
	}
}

/* --- element by element --- */

void ref_relu_fwd(size_t count, const double *x, double *y)
{
	for (size_t i = 0; i < count; i++)
		y[i] = x[i] > 0 || isnan(x[i]) ? x[i] : 0;
}

void ref_relu_bwd(size_t count, const double *y, const double *dy, double *dx)
{
	for (size_t i = 0; i < count; i++)
		if (y[i] > 0)
			dx[i] += dy[i];
}

void ref_add_fwd(size_t count, const double *a, const double *b, double *y)
{
	for (size_t i = 0; i < count; i++)
		y[i] = a[i] + b[i];
}

void ref_add_bwd(size_t count, const double *dy, double *da, double *db)
{
	for (size_t i = 0; i < count; i++) {
		da[i] += dy[i];
		db[i] += dy[i];
	}
}

/* --- pooling --- */

static int largest_of_window(const struct pool_shape *s, const double *plane, int oy, int ox)
{
	int best = -1;
	for (int y = MAX(0, oy * s->stride - s->pad); y < MIN(s->ih, oy * s->stride - s->pad + s->kernel); y++)
		for (int x = MAX(0, ox * s->stride - s->pad); x < MIN(s->iw, ox * s->stride - s->pad + s->kernel); x++) {
			int i = y * s->iw + x;
			if (best < 0 || plane[i] > plane[best] || isnan(plane[i]))
				best = i;
		}
	return best;
}

void ref_maxpool_fwd(const struct pool_shape *s, const double *x, double *y, int32_t *index)
{
	size_t in = (size_t)s->ih * (size_t)s->iw, out = (size_t)s->oh * (size_t)s->ow;
#pragma omp parallel for
	for (size_t plane = 0; plane < (size_t)s->n * (size_t)s->c; plane++)
		for (size_t o = 0; o < out; o++) {
			int i = largest_of_window(s, x + plane * in, (int)o / s->ow, (int)o % s->ow);
			index[plane * out + o] = i;
			y[plane * out + o] = x[plane * in + (size_t)i];
		}
}

void ref_maxpool_bwd(const struct pool_shape *s, const double *dy, const int32_t *index, double *dx)
{
	size_t in = (size_t)s->ih * (size_t)s->iw, out = (size_t)s->oh * (size_t)s->ow;
#pragma omp parallel for
	for (size_t plane = 0; plane < (size_t)s->n * (size_t)s->c; plane++)
		for (size_t o = 0; o < out; o++)
			dx[plane * in + (size_t)index[plane * out + o]] += dy[plane * out + o];
}

/* --- classifier --- */

void ref_avgpool_fwd(int n, int c, int hw, const double *x, double *y)
{
	for (int i = 0; i < n * c; i++) {
		double sum = 0;
		for (int j = 0; j < hw; j++)
			sum += x[(size_t)i * (size_t)hw + (size_t)j];
		y[i] = sum / hw;
	}
}

void ref_avgpool_bwd(int n, int c, int hw, const double *dy, double *dx)
{
	for (int i = 0; i < n * c; i++)
		for (int j = 0; j < hw; j++)
			dx[(size_t)i * (size_t)hw + (size_t)j] += dy[i] / hw;
}

void ref_fc_fwd(int n, int ic, int oc, const double *x, const double *w, const double *b, double *y)
{
	for (int i = 0; i < n; i++)
		for (int o = 0; o < oc; o++) {
			double sum = 0;
			for (int k = 0; k < ic; k++)
				sum += x[i * ic + k] * w[o * ic + k];
			y[i * oc + o] = sum + b[o];
		}
}

void ref_fc_bwd(int n, int ic, int oc, const double *x, const double *w, const double *dy, double *dx, double *dw,
		double *db)
{
	memset(dw, 0, (size_t)oc * (size_t)ic * sizeof(*dw));
	memset(db, 0, (size_t)oc * sizeof(*db));
	for (int i = 0; i < n; i++)
		for (int o = 0; o < oc; o++) {
			double d = dy[i * oc + o];
			db[o] += d;
			for (int k = 0; k < ic; k++) {
				dw[o * ic + k] += d * x[i * ic + k];
				dx[i * ic + k] += d * w[o * ic + k];
			}
		}
}

/* Of one image; returns its class with the largest logit. */
static int cross_entropy_row(int classes, const double *logits, const struct target *t, double scale, double *loss,
			     double *dlogits)
{
	int best = 0;
	for (int k = 1; k < classes; k++)
		if (logits[k] > logits[best])
			best = k;
	double sum = 0, total = 0; /* total: of all log-probabilities */
	for (int k = 0; k < classes; k++)
		sum += exp(logits[k] - logits[best]);
	double log_sum = log(sum) + logits[best];
	for (int k = 0; k < classes; k++) {
		total += logits[k] - log_sum;
		if (dlogits)
			dlogits[k] = (exp(logits[k] - log_sum) - target_at(t, k)) * scale;
	}
	*loss = -t->weight * (logits[t->label] - log_sum) - t->base * total;
	if (t->label2 >= 0)
		*loss -= t->weight2 * (logits[t->label2] - log_sum);
	return best;
}

double ref_cross_entropy(int n, int classes, const double *logits, const struct targets *targets, double *loss,
			 double *dlogits)
{
	double correct = 0;
	for (int i = 0; i < n; i++) {
		size_t row = (size_t)i * (size_t)classes;
		struct target t = target_of(targets, i, classes);
		int best = cross_entropy_row(classes, logits + row, &t, 1.0 / n, &loss[i], dlogits ? dlogits + row : NULL);
		correct += targets_correct(targets, i, best);
	}
	return correct;
}
