/* The end of the net: global average pooling, the classifier and softmax cross-entropy, always in fp32 (the loss in
 * double), on plain rows.  All arrays are borrowed. */
#pragma once

#include "common/base.h"
#include "worker/mix.h"

struct head {
	int n, channels, pixels, classes; /* pixels: H * W of the features */
	float *features;		  /* (N, channels, pixels); head_backward() overwrites it with its gradient */
	float *pooled;			  /* (N, channels); likewise */
	float *logits;			  /* (N, classes); head_loss() overwrites it with its gradient */
	double *losses;			  /* (N) */
	double *correct;		  /* (N): targets_correct() */
	const float *weight, *bias;	  /* (classes, channels), (classes) */
	float *dweight, *dbias;		  /* = by head_backward() */
};

/* features -> pooled, logits */
void head_forward(const struct head *head);
/* logits, targets -> losses, correct; with train also the gradient of the mean loss, in place over logits. */
void head_loss(const struct head *head, const struct targets *targets, bool train);
/* gradient of the logits -> gradients of weight, bias and, in place, features */
void head_backward(const struct head *head);
