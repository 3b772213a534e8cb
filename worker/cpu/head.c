/* Each output is computed by one thread in a fixed order, so the result does not depend on how many there are. */
#include "head.h"

#include <math.h>

#define CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
#define LANES 16

/* Sum of a[i] * b[i] in LANES interleaved partial sums: the same order on every instruction set. */
CLONES static float dot(const float *a, const float *b, int n)
{
	float lanes[LANES] = {0};
	int whole = n - n % LANES;
	for (int i = 0; i < whole; i += LANES)
		for (int l = 0; l < LANES; l++)
			lanes[l] += a[i + l] * b[i + l];
	for (int i = whole; i < n; i++)
		lanes[i - whole] += a[i] * b[i];
	for (int half = LANES / 2; half > 0; half /= 2)
		for (int l = 0; l < half; l++)
			lanes[l] += lanes[l + half];
	return lanes[0];
}

/* y += s * x */
CLONES static void add_scaled(float *restrict y, const float *restrict x, float s, int n)
{
	for (int i = 0; i < n; i++)
		y[i] += s * x[i];
}

void head_forward(const struct head *h)
{
#pragma omp parallel for schedule(static)
	for (int i = 0; i < h->n; i++) {
		float *pooled = h->pooled + (size_t)i * h->channels;
		for (int c = 0; c < h->channels; c++) {
			const float *plane = h->features + ((size_t)i * h->channels + c) * h->pixels;
			double sum = 0;
			for (int p = 0; p < h->pixels; p++)
				sum += plane[p];
			pooled[c] = (float)(sum / h->pixels);
		}
		float *logits = h->logits + (size_t)i * h->classes;
		for (int k = 0; k < h->classes; k++)
			logits[k] = h->bias[k] + dot(pooled, h->weight + (size_t)k * h->channels, h->channels);
	}
}

static int row_argmax(const float *row, int n)
{
	int best = 0;
	for (int k = 1; k < n; k++)
		if (row[k] > row[best])
			best = k;
	return best;
}

/* -sum_k q_k log p_k of one row; dlogits: NULL, or gets (p - q) * scale, and may be row. */
static double row_loss(const float *row, int classes, const struct target *target, float *dlogits, double scale)
{
	double max = row[row_argmax(row, classes)], sum = 0, loss = 0;
	for (int k = 0; k < classes; k++)
		sum += exp(row[k] - max);
	double log_sum = max + log(sum);
	for (int k = 0; k < classes; k++) {
		double q = target_at(target, k);
		double log_p = row[k] - log_sum;
		loss -= q != 0 ? q * log_p : 0;
		if (dlogits)
			dlogits[k] = (float)((exp(log_p) - q) * scale);
	}
	return loss;
}

void head_loss(const struct head *h, const struct targets *targets, bool train)
{
#pragma omp parallel for schedule(static)
	for (int i = 0; i < h->n; i++) {
		float *row = h->logits + (size_t)i * h->classes;
		struct target target = target_of(targets, i, h->classes);
		h->correct[i] = targets_correct(targets, i, row_argmax(row, h->classes));
		h->losses[i] = row_loss(row, h->classes, &target, train ? row : NULL, 1.0 / h->n);
	}
}

/* Gradients of weight and bias, a class a time: dweight[k] = sum over images of dlogits[i][k] * pooled[i]. */
static void classifier_backward(const struct head *h)
{
#pragma omp parallel for schedule(static)
	for (int k = 0; k < h->classes; k++) {
		float *dweight = h->dweight + (size_t)k * h->channels;
		double dbias = 0;
		memset(dweight, 0, (size_t)h->channels * sizeof(*dweight));
		for (int i = 0; i < h->n; i++) {
			float d = h->logits[(size_t)i * h->classes + k];
			dbias += d;
			add_scaled(dweight, h->pooled + (size_t)i * h->channels, d, h->channels);
		}
		h->dbias[k] = (float)dbias;
	}
}

void head_backward(const struct head *h)
{
	classifier_backward(h);
#pragma omp parallel for schedule(static)
	for (int i = 0; i < h->n; i++) {
		float *dpooled = h->pooled + (size_t)i * h->channels;
		memset(dpooled, 0, (size_t)h->channels * sizeof(*dpooled));
		for (int k = 0; k < h->classes; k++)
			add_scaled(dpooled, h->weight + (size_t)k * h->channels, h->logits[(size_t)i * h->classes + k],
				   h->channels);
		for (int c = 0; c < h->channels; c++) {
			float *plane = h->features + ((size_t)i * h->channels + c) * h->pixels;
			for (int p = 0; p < h->pixels; p++)
				plane[p] = dpooled[c] / (float)h->pixels;
		}
	}
}
