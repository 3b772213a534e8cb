/* See score.h. */
#include "score.h"

#include <math.h>

int score_rank(const double *row, int classes, int32_t label)
{
	int rank = 0;
	if (isnan(row[label]))
		return classes;
	for (int32_t k = 0; k < classes; k++)
		rank += row[k] > row[label] || (row[k] == row[label] && k < label);
	return rank;
}

int32_t score_best(const double *row, int classes)
{
	int32_t best = 0;
	for (int32_t k = 1; k < classes; k++)
		if (row[k] > row[best] || isnan(row[best]))
			best = k;
	return isnan(row[best]) ? 0 : best;
}

void score_log_softmax(double *row, int classes)
{
	double max = row[score_best(row, classes)], sum = 0;
	for (int k = 0; k < classes; k++)
		sum += exp(row[k] - max);
	for (int k = 0; k < classes; k++)
		row[k] -= max + log(sum);
}

void scorer_init(struct scorer *s, int batch, int classes)
{
	*s = (struct scorer){.classes = classes};
	s->log_p = xcalloc((size_t)batch * (size_t)classes, sizeof(*s->log_p));
	s->row = xcalloc((size_t)classes, sizeof(*s->row));
}

void scorer_fini(struct scorer *s)
{
	free(s->log_p);
	free(s->row);
	*s = (struct scorer){0};
}

void score_plain(struct scorer *s, const struct eval_options *options, int n, size_t first, const double *logits,
		 const int32_t *labels, struct sums *sums)
{
	for (int i = 0; i < n; i++) {
		const double *row = logits + (size_t)i * (size_t)s->classes;
		sums->correct5 += score_rank(row, s->classes, labels[i]) < 5;
		if (options->predicted)
			options->predicted[first + (size_t)i] = score_best(row, s->classes);
		if (!options->mirror)
			continue;
		double *kept = s->log_p + (size_t)i * (size_t)s->classes;
		memcpy(kept, row, (size_t)s->classes * sizeof(*row));
		score_log_softmax(kept, s->classes);
	}
}

/* log((exp(a) + exp(b)) / 2) */
static double log_mean(double a, double b)
{
	double max = a > b ? a : b, min = a > b ? b : a;
	return max + log1p(exp(min - max)) - M_LN2;
}

void score_mirrored(struct scorer *s, const struct eval_options *options, int n, const double *logits, const int32_t *labels)
{
	struct sums *sums = options->mirror;
	double *row = s->row;
	for (int i = 0; i < n; i++) {
		const double *kept = s->log_p + (size_t)i * (size_t)s->classes;
		memcpy(row, logits + (size_t)i * (size_t)s->classes, (size_t)s->classes * sizeof(*row));
		score_log_softmax(row, s->classes);
		for (int k = 0; k < s->classes; k++)
			row[k] = log_mean(row[k], kept[k]);
		int rank = score_rank(row, s->classes, labels[i]);
		sums->loss -= row[labels[i]];
		sums->correct += rank == 0;
		sums->correct5 += rank < 5;
	}
	sums->images += (uint64_t)n;
}

void images_mirror(float *out, const float *images, int n, int size)
{
	for (size_t row = 0; row < (size_t)n * 3 * (size_t)size; row++)
		for (int x = 0; x < size; x++)
			out[row * (size_t)size + (size_t)x] = images[row * (size_t)size + (size_t)(size - 1 - x)];
}
