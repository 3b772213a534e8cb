/* Optimizers, one element at a time: plain C that a loop, a SIMD loop or a device kernel can inline, in float and
 * double.  What a step multiplies by is computed once a step, in double, and rounded (torch's scalars are Python's):
 *
 *   torch.optim.SGD    d = g + wd*p;  buf = m*buf + (1-dampening)*d, at first buf = d;  p -= lr*(nesterov ? d + m*buf : buf)
 *   torch.optim.Adam   d = g + wd*p;  m = b1*m + (1-b1)*d;  v = b2*v + (1-b2)*d*d;
 *                      p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)
 *   torch.optim.AdamW  p *= 1 - lr*wd, then Adam with d = g
 *
 * t counts the steps that were made, from 1.  State that is zero before the first step needs no case of its own, but for
 * dampening.  SGD without momentum keeps d in buf and reads nothing of it.
 *
 * To add an optimizer: its name in the enum and its slots, its coefficients in optim_coefs(), its element function, its
 * loop in optim_loop.h, its case in ref, cpu/kernels.c and cuda/kernel/optimizer.cu; a row in params.def; its traces in tests/golden/optim.json. */
#pragma once

#include "hd.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum optimizer { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW }; /* the order of params.def's choices */
#define N_SLOTS	 2 /* the most state values an optimizer keeps of a parameter */
#define N_GROUPS 3 /* of parameters, by learning rate (model.h) */

struct optim_settings { /* that never change in a training */
	enum optimizer optimizer;
	bool nesterov;
	double dampening;   /* SGD */
	double beta2, eps;  /* Adam, AdamW */
	double weight_decay;
};

struct step_values { /* that change from step to step */
	double lr;
	double momentum; /* SGD's, or Adam's beta1 */
};

/* Slots in use: SGD: momentum; Adam, AdamW: exp_avg, exp_avg_sq. */
HD int optim_slots(enum optimizer optimizer)
{
	return optimizer == OPTIMIZER_SGD ? 1 : 2;
}

/* base^n by squaring: the same bits on every device, which pow() would not promise. */
HD double optim_power(double base, uint64_t n)
{
	double power = 1;
	for (; n > 0; n >>= 1) {
		if (n & 1)
			power *= base;
		base *= base;
	}
	return power;
}

struct optim_f64 {
	double lr;	      /* Adam: divided by 1 - beta1^t */
	double keep;	      /* param *= keep: AdamW's weight decay */
	double decay;	      /* grad += decay * param */
	double first, first_new; /* slot 0 = first * slot 0 + first_new * grad */
	double second, second_new; /* slot 1 likewise, of grad * grad */
	double root, eps;     /* sqrt(slot 1) / root + eps */
	bool nesterov;
};

/* Of step t (from 1), of parameters whose learning rate is the step's times lr_scale and that do or do not decay. */
HD struct optim_f64 optim_coefs(const struct optim_settings *s, const struct step_values *values, uint64_t t, double lr_scale,
				bool decays)
{
	double lr = values->lr * lr_scale, momentum = values->momentum;
	double decay = decays ? s->weight_decay : 0;
	struct optim_f64 c = {lr, 1, decay, momentum, 1, 0, 0, 1, 0, s->nesterov};
	if (s->optimizer == OPTIMIZER_SGD) {
		if (t > 1 && momentum != 0)
			c.first_new = 1 - s->dampening;
		return c;
	}
	if (s->optimizer == OPTIMIZER_ADAMW) {
		c.keep = 1 - lr * decay;
		c.decay = 0;
	}
	c.lr = lr / (1 - optim_power(momentum, t));
	c.first_new = 1 - momentum;
	c.second = s->beta2;
	c.second_new = 1 - s->beta2;
	c.root = sqrt(1 - optim_power(s->beta2, t));
	c.eps = s->eps;
	return c;
}

struct optim_f32 { /* as optim_f64 */
	float lr, keep, decay, first, first_new, second, second_new, root, eps;
	uint32_t nesterov; /* no padding: device memory is compared */
};

HD struct optim_f32 optim_coefs_f32(const struct optim_f64 *c)
{
	struct optim_f32 r = {(float)c->lr,	(float)c->keep,	  (float)c->decay,	(float)c->first, (float)c->first_new,
			      (float)c->second, (float)c->second_new, (float)c->root, (float)c->eps, c->nesterov};
	return r;
}

/* What gradients of that norm, of all parameters together, are multiplied by (torch.nn.utils.clip_grad_norm_). */
HD double optim_clip(double norm, double max_norm)
{
	double scale = max_norm / (norm + 1e-6);
	return scale > 1 ? 1 : scale;
}

/* param and slots: updated in place */
#define OPTIM_ELEMENT(T, suffix, ROOT)                                                                             \
	HD void sgd_element_##suffix(T *param, T *buf, T grad, const struct optim_##suffix *c)                     \
	{                                                                                                          \
		T d = grad + c->decay * *param;                                                                    \
		*buf = c->first * *buf + c->first_new * d;                                                         \
		*param = *param - c->lr * (c->nesterov ? d + c->first * *buf : *buf);                              \
	}                                                                                                          \
	HD void adam_element_##suffix(T *param, T *avg, T *avg_sq, T grad, const struct optim_##suffix *c)         \
	{                                                                                                          \
		T d = grad + c->decay * *param;                                                                    \
		*avg = c->first * *avg + c->first_new * d;                                                         \
		*avg_sq = c->second * *avg_sq + c->second_new * d * d;                                             \
		*param = c->keep * *param - c->lr * *avg / (ROOT(*avg_sq) / c->root + c->eps);                     \
	}                                                                                                          \
	/* The average of the weights; keep: decay, take: 1 - decay */                                             \
	HD T ema_element_##suffix(T ema, T param, T keep, T take)                                                  \
	{                                                                                                          \
		return keep * ema + take * param;                                                                  \
	}

OPTIM_ELEMENT(float, f32, sqrtf)
OPTIM_ELEMENT(double, f64, sqrt)
