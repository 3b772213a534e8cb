/* The words kernels are written in: CUDA's own under nvcc; under gcc the tests' shim, which runs the same bodies on the
 * host.  Kernels keep to the subset of C that both compile, and never contract a * b + c (nvcc --fmad=false, gcc
 * -ffp-contract=off), so that both compute the same bits wherever no exp() or log() is involved.
 *
 *   DEVICE           a function of the device
 *   KERNEL(name)     { body }: kernel `name`; its one parameter is `const struct name_args a`
 *   CELL_KERNEL(name)  the same for the cell type CELL, which kernels.cu sets: name_bf16, name_f16, name_f32
 *   ld8(p, i), st8(p, i, v)  the i-th vector of 8 cells as floats: 16-byte accesses; ld1(p, i): one cell
 *   PER_CELL(name)   a helper's name in a file that is compiled per cell
 *   last_block(...)  the end of a reduction, see there */
#pragma once

#include "kernels.h"

#include "worker/hd.h"

#ifdef __CUDACC__
#include "vocab_cuda.h"
#else
#include "tests/cuda/host_vocab.h"
#endif

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define PER_CELL(name) PASTE(name##_, CELL)
#define ld1 PER_CELL(ld1)
#define ld8 PER_CELL(ld8)
#define st8 PER_CELL(st8)
#define KERNEL(name)	  KERNEL_OF(name, name##_args)
#define CELL_KERNEL(name) KERNEL_OF(PER_CELL(name), name##_args)

#define EACH8(i) UNROLL for (int i = 0; i < 8; i++)

struct float8 {
	float v[8];
};

DEVICE struct float8 fill8(float value)
{
	struct float8 r;
	EACH8(i)
		r.v[i] = value;
	return r;
}

DEVICE struct float8 float8_of(float4 a, float4 b)
{
	struct float8 r = {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
	return r;
}

DEVICE struct float8 ld8_f32(const void *p, size_t i)
{
	const float4 *from = (const float4 *)p + 2 * i;
	return float8_of(from[0], from[1]);
}

DEVICE void st8_f32(void *p, size_t i, struct float8 v)
{
	float4 a = {v.v[0], v.v[1], v.v[2], v.v[3]}, b = {v.v[4], v.v[5], v.v[6], v.v[7]};
	float4 *to = (float4 *)p + 2 * i;
	to[0] = a;
	to[1] = b;
}

DEVICE float ld1_f32(const void *p, size_t i)
{
	return ((const float *)p)[i];
}

#define DEFINE_HALF_CELL(cell)                                                                            \
	DEVICE struct float8 ld8_##cell(const void *p, size_t i)                                          \
	{                                                                                                 \
		uint4 bits = ((const uint4 *)p)[i];                                                       \
		float2 a = unpack_##cell(bits.x), b = unpack_##cell(bits.y), c = unpack_##cell(bits.z),   \
		       d = unpack_##cell(bits.w);                                                         \
		struct float8 r = {{a.x, a.y, b.x, b.y, c.x, c.y, d.x, d.y}};                             \
		return r;                                                                                 \
	}                                                                                                 \
	DEVICE void st8_##cell(void *p, size_t i, struct float8 v)                                        \
	{                                                                                                 \
		uint4 bits = {pack_##cell(v.v[0], v.v[1]), pack_##cell(v.v[2], v.v[3]),                   \
			      pack_##cell(v.v[4], v.v[5]), pack_##cell(v.v[6], v.v[7])};                  \
		((uint4 *)p)[i] = bits;                                                                   \
	}                                                                                                 \
	DEVICE float ld1_##cell(const void *p, size_t i)                                                  \
	{                                                                                                 \
		return unpack_##cell(((const cell_bits *)p)[i]).x;                                        \
	}
DEFINE_HALF_CELL(bf16)
DEFINE_HALF_CELL(f16)

/* A vector that another block of this launch wrote: past the first cache, which does not see other blocks' writes. */
DEVICE struct float8 ld8_other_block(const float *p, size_t i)
{
	const float4 *from = (const float4 *)p + 2 * i;
	return float8_of(__ldcg(from), __ldcg(from + 1));
}

DEVICE bool first_thread(void)
{
	return threadIdx.x == 0 && threadIdx.y == 0;
}

/* Called by all threads of `blocks` blocks once their results are written: true in the block that comes last, which
 * then sees what the others wrote (ld8_other_block).  *ticket is 0 before and after. */
DEVICE bool last_block(uint32_t *ticket, uint32_t blocks)
{
	__shared__ bool last;
	__threadfence();
	__syncthreads();
	if (first_thread()) {
		last = atomicAdd(ticket, 1) == blocks - 1;
		if (last)
			*ticket = 0;
		__threadfence();
	}
	__syncthreads();
	return last;
}

#define WARP 32
/* The sum (largest) over the 32 threads of a warp, the same bits in each. */
DEVICE float warp_sum(float value)
{
	for (int offset = WARP / 2; offset > 0; offset /= 2)
		value += __shfl_xor_sync(0xffffffffu, value, offset);
	return value;
}

DEVICE float warp_max(float value)
{
	for (int offset = WARP / 2; offset > 0; offset /= 2)
		value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
	return value;
}
