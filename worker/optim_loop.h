/* Optimizers over arrays, on the host (a kernel has its own loop); see optim.h. */
#pragma once

#include "optim.h"

/* n elements; the arrays do not overlap; grads are multiplied by grad_scale first (clipping) */
#define OPTIM_LOOP(T, suffix)                                                                                      \
	static inline void sgd_update_##suffix(size_t n, T *restrict param, T *restrict buf, const T *restrict grad, \
					       T grad_scale, const struct optim_##suffix *coefs)                   \
	{                                                                                                          \
		struct optim_##suffix c = *coefs;                                                                  \
		_Pragma("omp simd") for (size_t i = 0; i < n; i++)                                                 \
			sgd_element_##suffix(&param[i], &buf[i], grad_scale * grad[i], &c);                        \
	}                                                                                                          \
	static inline void adam_update_##suffix(size_t n, T *restrict param, T *restrict avg, T *restrict avg_sq,  \
						const T *restrict grad, T grad_scale,                              \
						const struct optim_##suffix *coefs)                                \
	{                                                                                                          \
		struct optim_##suffix c = *coefs;                                                                  \
		_Pragma("omp simd") for (size_t i = 0; i < n; i++)                                                 \
			adam_element_##suffix(&param[i], &avg[i], &avg_sq[i], grad_scale * grad[i], &c);           \
	}                                                                                                          \
	static inline void ema_update_##suffix(size_t n, T *restrict ema, const T *restrict param, T keep, T take) \
	{                                                                                                          \
		_Pragma("omp simd") for (size_t i = 0; i < n; i++)                                                 \
			ema[i] = ema_element_##suffix(ema[i], param[i], keep, take);                               \
	}

OPTIM_LOOP(float, f32)
OPTIM_LOOP(double, f64)
