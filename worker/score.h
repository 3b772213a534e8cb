/* What a test makes of the logits of a batch, on the host: beside loss and top-1, which the networks' own loss finds, the
 * top-5, the predicted class, and the average over an image and its mirror image.
 *
 * Mirror averaging (horizontal flip): p = (softmax(f(x)) + softmax(f(mirrored x))) / 2, loss = -log p[label]; computed
 * with logarithms, so that a p too small for a number is no infinite loss. */
#pragma once

#include "backend.h"

/* Logits a and b come in order of size, the first of equals first: how many come before that of `label`. */
int score_rank(const double *row, int classes, int32_t label);
/* The first of the largest; 0 where nothing is a number. */
int32_t score_best(const double *row, int classes);

/* row (classes): logits -> logarithms of their softmax */
void score_log_softmax(double *row, int classes);

struct scorer { /* of one test of a plan; log_p of a batch of so many images lives from score_plain() to score_mirrored() */
	int classes;
	double *log_p; /* (batch, classes) */
	double *row;   /* (classes): room */
};
void scorer_init(struct scorer *s, int batch, int classes);
void scorer_fini(struct scorer *s);

/* logits: (n, classes) of images whose first is number `first` of the split.  Adds top-5 to sums, writes what options ask
 * for, and keeps what the mirror images are averaged with. */
void score_plain(struct scorer *s, const struct eval_options *options, int n, size_t first, const double *logits,
		 const int32_t *labels, struct sums *sums);
/* logits of the same images mirrored.  Adds loss, top-1, top-5 and images to options->mirror. */
void score_mirrored(struct scorer *s, const struct eval_options *options, int n, const double *logits, const int32_t *labels);

/* out = images (n, 3, size, size), left and right exchanged */
void images_mirror(float *out, const float *images, int n, int size);
