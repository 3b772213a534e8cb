/* A matrix (rows, C) cut among blocks of 256 threads: x over vectors of 8 channels, y over rows (kernels.c shapes it).
 * And per-channel sums over all rows, added in one fixed order. */
#pragma once

#include "vocab.h"

struct tile {
	uint32_t vector; /* this thread's 8 channels begin at 8 * vector */
	bool inside;	 /* vector < C / 8 */
	uint32_t row, row_step;
};

DEVICE struct tile tile_of_thread(uint32_t c)
{
	struct tile t;
	t.vector = blockIdx.x * blockDim.x + threadIdx.x;
	t.inside = t.vector < c / 8;
	t.row = blockIdx.y * blockDim.y + threadIdx.y;
	t.row_step = gridDim.y * blockDim.y;
	return t;
}

#define TILE_THREADS 256
#define TILE_LANES   16 /* that one thread adds in the first pass */

/* Adds the two sums of 8 channels that each thread holds over the block's lanes (threadIdx.y).  Returns, in thread t <
 * 16 * blockDim.x, the total of column t: the first sums of the block's channels, then the second ones.  Between two
 * uses there must be a barrier. */
DEVICE float block_total(struct float8 first, struct float8 second)
{
	__shared__ float terms[TILE_THREADS * 16]; /* (lanes, columns) */
	__shared__ float halfway[TILE_THREADS];	   /* (lanes / 16, columns) */
	uint32_t channels = 8 * blockDim.x, columns = 2 * channels;
	uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x;
	float *mine = terms + threadIdx.y * columns + 8 * threadIdx.x;
	st8_f32(mine, 0, first);
	st8_f32(mine + channels, 0, second);
	__syncthreads();
	uint32_t column = thread % columns, part = thread / columns;
	float sum = 0;
	for (uint32_t lane = part * TILE_LANES; lane < (part + 1) * TILE_LANES; lane++)
		sum += terms[lane * columns + column];
	halfway[thread] = sum;
	__syncthreads();
	float total = 0;
	if (thread < columns)
		for (uint32_t i = thread; i < TILE_THREADS; i += columns)
			total += halfway[i];
	return total;
}

/* What a thread is left with after tile_sum(): a channel's sums over all rows, where `mine`. */
struct channel_sums {
	bool mine;
	uint32_t channel;
	float first, second;
};

/* Adds two sums of 8 channels per thread over all threads and blocks.  The last block of each group of channels gets
 * the result, one channel a thread. */
DEVICE struct channel_sums tile_sum(struct float8 first, struct float8 second, uint32_t c, float *partials,
				    uint32_t *tickets)
{
	__shared__ float totals[16 * 8];
	uint32_t channels = 8 * blockDim.x, columns = 2 * channels;
	uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x;
	float *group = partials + (size_t)blockIdx.x * gridDim.y * columns; /* (blocks, columns) */
	struct channel_sums r = {false, 0, 0, 0};
	float total = block_total(first, second);
	if (thread < columns)
		group[blockIdx.y * columns + thread] = total;
	if (!last_block(&tickets[blockIdx.x], gridDim.y))
		return r;
	first = fill8(0);
	second = fill8(0);
	for (uint32_t block = threadIdx.y; block < gridDim.y; block += blockDim.y) {
		struct float8 p = ld8_other_block(group + block * columns, threadIdx.x);
		struct float8 q = ld8_other_block(group + block * columns + channels, threadIdx.x);
		EACH8(i) {
			first.v[i] += p.v[i];
			second.v[i] += q.v[i];
		}
	}
	total = block_total(first, second);
	if (thread < columns)
		totals[thread] = total;
	__syncthreads();
	r.channel = blockIdx.x * channels + thread;
	r.mine = thread < channels && r.channel < c;
	if (r.mine) {
		r.first = totals[thread];
		r.second = totals[channels + thread];
	}
	return r;
}
