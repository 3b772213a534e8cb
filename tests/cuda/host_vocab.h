/* worker/cuda/kernel/vocab.h's words under gcc: kernel bodies run on the host, in fibers (host_kernel.h). */
#pragma once

#include "common/base.h"

#include <math.h>

#define DEVICE static inline __attribute__((unused))
#define UNROLL
#define KERNEL_OF(name, args) KERNEL_OF_(name, args)
#define KERNEL_OF_(name, args)                        \
	void name(const void *p);                     \
	static void name##_body(const struct args a); \
	void name(const void *p)                      \
	{                                             \
		name##_body(*(const struct args *)p); \
	}                                             \
	static void name##_body(const struct args a)

/* The dimensions of the thread that runs. */
struct host_dim {
	uint32_t x, y, z;
};
extern struct host_dim threadIdx, blockIdx, blockDim, gridDim;

/* A block's memory: one for all blocks, which run one after another; poisoned before each. */
#define __shared__ static __attribute__((section("kernel_shared")))

#define HOST_TEXT_(x)	#x
#define HOST_TEXT(x)	HOST_TEXT_(x)
#define HOST_PLACE	__FILE__ ":" HOST_TEXT(__LINE__)
#define __syncthreads() host_barrier(HOST_PLACE)
void host_barrier(const char *place);

/* All 32 threads of the warp, as the mask of every call here says. */
#define __shfl_xor_sync(mask, value, offset)                               \
	({                                                                 \
		__typeof__(value) value_ = (value);                        \
		_Static_assert(sizeof(value_) == 4, "a word");             \
		host_shuffle_xor(&value_, (uint32_t)(offset), HOST_PLACE); \
		value_;                                                    \
	})
void host_shuffle_xor(void *word, uint32_t offset, const char *place);

#define __threadfence() ((void)0)
static inline uint32_t atomicAdd(uint32_t *p, uint32_t value)
{
	uint32_t old = *p;
	*p = old + value;
	return old;
}

/* Aligned as the device's: UBSan reports an access that is not. */
#define HOST_VECTOR(type, size, ...)                                          \
	typedef struct __attribute__((may_alias, aligned(size))) {            \
		__VA_ARGS__;                                                  \
	} type
HOST_VECTOR(float2, 8, float x, y);
HOST_VECTOR(float4, 16, float x, y, z, w);
HOST_VECTOR(uint2, 8, uint32_t x, y);
HOST_VECTOR(uint4, 16, uint32_t x, y, z, w);
static inline float4 __ldcg(const float4 *p)
{
	return *p;
}

typedef uint16_t __attribute__((may_alias)) cell_bits; /* of one bf16 or fp16 */

static inline uint32_t host_bf16(float value) /* to nearest, ties to even */
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	if (value != value)
		return 0x7fff;
	return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline float host_from_bf16(uint32_t half)
{
	uint32_t bits = half << 16;
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t host_f16(float value)
{
	_Float16 half = (_Float16)value;
	uint16_t bits;
	memcpy(&bits, &half, sizeof(bits));
	return bits;
}

static inline float host_from_f16(uint32_t half)
{
	uint16_t bits = (uint16_t)half;
	_Float16 value;
	memcpy(&value, &bits, sizeof(value));
	return (float)value;
}

#define HOST_PACKING(cell)                                                                     \
	static inline uint32_t pack_##cell(float low, float high)                              \
	{                                                                                      \
		return host_##cell(low) | host_##cell(high) << 16;                             \
	}                                                                                      \
	static inline float2 unpack_##cell(uint32_t bits)                                      \
	{                                                                                      \
		return (float2){host_from_##cell(bits & 0xffff), host_from_##cell(bits >> 16)}; \
	}
HOST_PACKING(bf16)
HOST_PACKING(f16)
