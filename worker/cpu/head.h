/* The end of the net: global average pooling, the classifier and softmax cross-entropy, always in fp32 (the loss in
 * double), on plain rows.  All arrays are borrowed. */
#pragma once

#include "common/base.h"

struct head {
	int n, channels, pixels, classes; /* pixels: H * W of the features */
	float *features;		  /* (N, channels, pixels); head_backward() overwrites it with its gradient */
	float *pooled;			  /* (N, channels); likewise */
	float *logits;			  /* (N, classes); head_loss() overwrites it with its gradient */
	double *losses;			  /* (N) */
	uint8_t *correct;		  /* (N) */
	const float *weight, *bias;	  /* (classes, channels), (classes) */
	float *dweight, *dbias;		  /* = by head_backward() */
};

/* features -> pooled, logits */
void head_forward(const struct head *head);
/* logits, labels (N) -> losses, correct; with train also the gradient of the mean loss, in place over logits.
 * smoothing: q = (1 - smoothing) * onehot + smoothing / classes. */
void head_loss(const struct head *head, const int32_t *labels, double smoothing, bool train);
/* gradient of the logits -> gradients of weight, bias and, in place, features */
void head_backward(const struct head *head);
