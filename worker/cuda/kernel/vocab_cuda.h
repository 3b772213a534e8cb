/* vocab.h's words under nvcc. */
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define DEVICE static __device__ __forceinline__
#define UNROLL _Pragma("unroll")
/* Two blocks of 256 threads on a multiprocessor at least: at most 128 registers a thread. */
#define KERNEL_OF(name, args) extern "C" __global__ void __launch_bounds__(256, 2) name(const struct args a)

typedef uint16_t cell_bits; /* of one bf16 or fp16 */

DEVICE uint32_t pack_bf16(float low, float high)
{
	__nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
	return *(uint32_t *)&pair;
}

DEVICE uint32_t pack_f16(float low, float high)
{
	__half2 pair = __floats2half2_rn(low, high);
	return *(uint32_t *)&pair;
}

DEVICE float2 unpack_bf16(uint32_t bits)
{
	return make_float2(__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u));
}

DEVICE float2 unpack_f16(uint32_t bits)
{
	return __half22float2(*(__half2 *)&bits);
}
