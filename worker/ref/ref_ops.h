/* Every operation of a network in double, as plainly as speed allows: the specification other backends are tested
 * against.  Tensors are dense NCHW.  Sums run in one fixed order whatever the number of threads.
 *
 * In the backward functions the gradient of an activation is added (+=), so that the two gradients of a residual branch
 * join: the caller zeroes it.  Gradients of parameters are set (=). */
#pragma once

#include "worker/mix.h"

#include <stddef.h>
#include <stdint.h>

struct conv_shape {
	int n;		/* images */
	int ic, ih, iw; /* x: (n, ic, ih, iw) */
	int oc, oh, ow; /* y: (n, oc, oh, ow) */
	int kernel, stride, pad; /* w: (oc, ic, kernel, kernel) */
};

/* y = x * w */
void ref_conv_fwd(const struct conv_shape *s, const double *x, const double *w, double *y);
/* dx += */
void ref_conv_dgrad(const struct conv_shape *s, const double *dy, const double *w, double *dx);
/* dw = */
void ref_conv_wgrad(const struct conv_shape *s, const double *x, const double *dy, double *dw);

struct bn_shape {
	int n, c, hw; /* x, y: (n, c, hw) */
};

/* y = gamma * (x - mean) / sqrt(var + BN_EPS) + beta with the biased variance of the batch.  mean, inv_std: (c), =, for
 * the backward pass.  running_mean, running_var: (c), moved by BN_MOMENTUM, the variance with n/(n-1). */
void ref_bn_train(const struct bn_shape *s, const double *x, const double *gamma, const double *beta, double *y,
		  double *mean, double *inv_std, double *running_mean, double *running_var);
/* The same with the running statistics, which stay. */
void ref_bn_eval(const struct bn_shape *s, const double *x, const double *gamma, const double *beta,
		 const double *running_mean, const double *running_var, double *y);
/* dx +=; dgamma, dbeta: (c), = */
void ref_bn_bwd(const struct bn_shape *s, const double *x, const double *dy, const double *gamma, const double *mean,
		const double *inv_std, double *dx, double *dgamma, double *dbeta);

/* y = max(x, 0) */
void ref_relu_fwd(size_t count, const double *x, double *y);
/* dx += dy where y > 0 */
void ref_relu_bwd(size_t count, const double *y, const double *dy, double *dx);
/* y = a + b */
void ref_add_fwd(size_t count, const double *a, const double *b, double *y);
/* da += dy; db += dy */
void ref_add_bwd(size_t count, const double *dy, double *da, double *db);

struct pool_shape {
	int n, c, ih, iw, oh, ow; /* x: (n, c, ih, iw); y: (n, c, oh, ow) */
	int kernel, stride, pad;
};

/* y = the largest of each window, without its padding; index: (n, c, oh, ow), the place in the plane (ih, iw) of the
 * first of equals; a NaN is larger than any number, the last one counts (torch.nn.MaxPool2d). */
void ref_maxpool_fwd(const struct pool_shape *s, const double *x, double *y, int32_t *index);
/* dx += */
void ref_maxpool_bwd(const struct pool_shape *s, const double *dy, const int32_t *index, double *dx);

/* y: (n, c) = mean over hw of x: (n, c, hw) */
void ref_avgpool_fwd(int n, int c, int hw, const double *x, double *y);
/* dx += */
void ref_avgpool_bwd(int n, int c, int hw, const double *dy, double *dx);

/* y: (n, oc) = x: (n, ic) times w^T: (oc, ic), + b: (oc) */
void ref_fc_fwd(int n, int ic, int oc, const double *x, const double *w, const double *b, double *y);
/* dx +=; dw, db = */
void ref_fc_bwd(int n, int ic, int oc, const double *x, const double *w, const double *dy, double *dx, double *dw,
		double *db);

/* Cross entropy against targets (mix.h).
 * loss: (n), =, of each image.  dlogits: (n, classes), = the gradient of the mean over n; NULL: not wanted.
 * Returns how many images are correct by their largest logit (the first of equals): targets_correct(), summed. */
double ref_cross_entropy(int n, int classes, const double *logits, const struct targets *targets, double *loss,
			 double *dlogits);
