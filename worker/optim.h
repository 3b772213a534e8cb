/* Optimizers, one element at a time: plain C that a loop, a SIMD loop or a device kernel can inline, in float and
 * double.
 *
 * torch.optim.SGD (dampening 0):  d = g + wd*p;  buf = m*buf + d;  p = p - lr*(nesterov ? d + m*buf : buf).
 * torch's first step sets buf = d; a buffer of zeros gives the same value, so the first step needs no case of its own:
 * the momentum arena must be zero before it.  With m = 0 buf is d and the step is plain SGD.
 *
 * To add an optimizer: its X_element in OPTIM_ELEMENT, its coefficients and X_update in OPTIM_LOOP; a row in
 * params.def; its traces from tests/golden/optim.json in optim_test.c. */
#pragma once

#include "hd.h"

#include <stdbool.h>
#include <stddef.h>

/* param, buf: updated in place */
#define OPTIM_ELEMENT(T, suffix)                                                                                 \
	HD void sgd_element_##suffix(T *param, T *buf, T grad, T lr, T momentum, T weight_decay, bool nesterov) \
	{                                                                                                        \
		T d = grad + weight_decay * *param;                                                              \
		*buf = momentum * *buf + d;                                                                      \
		*param = *param - lr * (nesterov ? d + momentum * *buf : *buf);                                  \
	}

/* n elements; the three arrays do not overlap */
#define OPTIM_LOOP(T, suffix)                                                                           \
	struct sgd_##suffix {                                                                           \
		T lr, momentum, weight_decay;                                                           \
		bool nesterov;                                                                          \
	};                                                                                              \
                                                                                                        \
	static inline void sgd_update_##suffix(size_t n, T *restrict param, T *restrict buf,            \
					       const T *restrict grad, const struct sgd_##suffix *c)    \
	{                                                                                               \
		T lr = c->lr, momentum = c->momentum, weight_decay = c->weight_decay;                   \
		bool nesterov = c->nesterov;                                                            \
		_Pragma("omp simd") for (size_t i = 0; i < n; i++)                                      \
			sgd_element_##suffix(&param[i], &buf[i], grad[i], lr, momentum, weight_decay, nesterov); \
	}

OPTIM_ELEMENT(float, f32)
OPTIM_ELEMENT(double, f64)
#ifndef __CUDACC__ /* a kernel has its own loop */
OPTIM_LOOP(float, f32)
OPTIM_LOOP(double, f64)
#endif
