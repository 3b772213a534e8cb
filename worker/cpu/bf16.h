/* bfloat16: the upper half of a float. */
#pragma once

#include <stdint.h>

static inline float from_bf16(uint16_t h)
{
	union {
		uint32_t u;
		float f;
	} v = {.u = (uint32_t)h << 16};
	return v.f;
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t to_bf16(float f)
{
	union {
		float f;
		uint32_t u;
	} v = {.f = f};
	uint32_t rounded = (v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16;
	uint32_t quiet = (v.u >> 16) | 0x40;
	return (uint16_t)((v.u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}
