/* The shim itself: a barrier forgotten or not reached by all is found; shuffles, dimensions, roundings are CUDA's. */
#include "tests/cuda/host_kernel.h"
#include "tests/unit/cmocka_all.h"
#include "worker/cuda/kernel/vocab.h"

#define THREADS 96

struct reverse_args {
	const uint32_t *in;
	uint32_t *out; /* in, each block's THREADS values backwards */
};

#define AT(thread) (blockIdx.x * THREADS + (thread))

KERNEL_OF(reverse, reverse_args)
{
	__shared__ uint32_t values[THREADS];
	values[threadIdx.x] = a.in[AT(threadIdx.x)];
	__syncthreads();
	a.out[AT(threadIdx.x)] = values[THREADS - 1 - threadIdx.x];
}

KERNEL_OF(reverse_without_barrier, reverse_args)
{
	__shared__ uint32_t values[THREADS];
	values[threadIdx.x] = a.in[AT(threadIdx.x)];
	a.out[AT(threadIdx.x)] = values[THREADS - 1 - threadIdx.x];
}

/* Right as long as threads run forward. */
KERNEL_OF(neighbour_without_barrier, reverse_args)
{
	__shared__ uint32_t values[THREADS];
	values[threadIdx.x] = a.in[AT(threadIdx.x)];
	a.out[AT(threadIdx.x)] = values[threadIdx.x > 0 ? threadIdx.x - 1 : 0];
}

struct total_args {
	uint32_t *counts; /* (blocks, THREADS): what each thread found */
	uint32_t *ticket, *total;
};

/* The last block adds up what all wrote. */
KERNEL(total)
{
	a.counts[AT(threadIdx.x)] = 1;
	if (last_block(a.ticket, gridDim.x) && threadIdx.x == 0)
		for (uint32_t thread = 0; thread < gridDim.x * THREADS; thread++)
			*a.total += a.counts[thread];
}

/* The same, but a block may draw its ticket before all its threads have written. */
KERNEL_OF(total_without_barrier, total_args)
{
	__shared__ bool last;
	a.counts[AT(threadIdx.x)] = 1;
	if (threadIdx.x == 0)
		last = atomicAdd(a.ticket, 1) == gridDim.x - 1;
	__syncthreads();
	if (last && threadIdx.x == 0)
		for (uint32_t thread = 0; thread < gridDim.x * THREADS; thread++)
			*a.total += a.counts[thread];
}

/* Every thread adds its value to its warp's sum by shuffles, twice with a barrier between. */
KERNEL_OF(warp_sums, reverse_args)
{
	uint32_t sum = a.in[AT(threadIdx.x)];
	for (int offset = 16; offset > 0; offset /= 2)
		sum += __shfl_xor_sync(0xffffffffu, sum, offset);
	__syncthreads();
	sum += __shfl_xor_sync(0xffffffffu, threadIdx.x, 1);
	a.out[AT(threadIdx.x)] = sum;
}

KERNEL_OF(barrier_of_half, reverse_args)
{
	if (threadIdx.x < THREADS / 2)
		__syncthreads();
	a.out[AT(threadIdx.x)] = 1;
}

KERNEL_OF(two_barriers, reverse_args)
{
	if (threadIdx.x == 5)
		__syncthreads();
	else
		__syncthreads();
	a.out[AT(threadIdx.x)] = 1;
}

struct place_args {
	uint32_t *out; /* of thread (x, y) of block (x, y): the four numbers in one */
};
KERNEL_OF(places, place_args)
{
	uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x, block = blockIdx.y * gridDim.x + blockIdx.x;
	a.out[block * blockDim.x * blockDim.y + thread] =
		threadIdx.x | threadIdx.y << 8 | blockIdx.x << 16 | blockIdx.y << 24;
}

static const struct kernel_shape two_blocks = {{2, 1, 1}, {THREADS, 1, 1}};

static bool reverses(host_body *body, enum host_order order)
{
	uint32_t in[2 * THREADS], out[2 * THREADS];
	struct reverse_args args = {in, out};
	struct err err;
	for (uint32_t i = 0; i < 2 * THREADS; i++)
		in[i] = i * i + 1;
	memset(out, 0, sizeof(out));
	assert_int_equal(host_launch(body, two_blocks, &args, order, &err), 0);
	for (uint32_t i = 0; i < 2 * THREADS; i++)
		if (out[i] != in[i / THREADS * THREADS + THREADS - 1 - i % THREADS])
			return false;
	return true;
}

static void test_barriers(void **state)
{
	for (enum host_order order = 0; order < HOST_ORDERS; order++)
		assert_true(reverses(reverse, order));
}

static bool shows_neighbours(enum host_order order)
{
	uint32_t in[2 * THREADS], out[2 * THREADS];
	struct reverse_args args = {in, out};
	struct err err;
	for (uint32_t i = 0; i < 2 * THREADS; i++)
		in[i] = i + 1;
	assert_int_equal(host_launch(neighbour_without_barrier, two_blocks, &args, order, &err), 0);
	for (uint32_t i = 0; i < 2 * THREADS; i++)
		if (out[i] != in[i % THREADS > 0 ? i - 1 : i])
			return false;
	return true;
}

static void test_missing_barrier_is_found(void **state)
{
	for (enum host_order order = 0; order < HOST_ORDERS; order++)
		assert_false(reverses(reverse_without_barrier, order));
	assert_true(shows_neighbours(HOST_FORWARD)); /* luck, that another order takes away */
	assert_false(shows_neighbours(HOST_BACKWARD));
	assert_false(shows_neighbours(HOST_SHUFFLED));
}

/* In how many of 100 shuffled launches of 4 blocks the total is right. */
static int right_totals(host_body *body)
{
	int right = 0;
	for (int i = 0; i < 100; i++) {
		uint32_t counts[4 * THREADS] = {0}, ticket = 0, sum = 0;
		struct total_args args = {counts, &ticket, &sum};
		struct err err;
		assert_int_equal(host_launch(body, (struct kernel_shape){{4, 1, 1}, {THREADS, 1, 1}}, &args,
					     HOST_SHUFFLED, &err),
				 0);
		right += sum == 4 * THREADS;
	}
	return right;
}

static void test_blocks_interrupt_each_other(void **state)
{
	assert_int_equal(right_totals(total), 100);
	assert_in_range(right_totals(total_without_barrier), 0, 99);
}

static void test_shuffles(void **state)
{
	uint32_t in[2 * THREADS], out[2 * THREADS];
	struct reverse_args args = {in, out};
	struct err err;
	for (uint32_t i = 0; i < 2 * THREADS; i++)
		in[i] = i + 7;
	for (enum host_order order = 0; order < HOST_ORDERS; order++) {
		memset(out, 0xff, sizeof(out));
		assert_int_equal(host_launch(warp_sums, two_blocks, &args, order, &err), 0);
		for (uint32_t i = 0; i < 2 * THREADS; i++) {
			uint32_t first = i / 32 * 32, sum = 0;
			for (uint32_t lane = 0; lane < 32; lane++)
				sum += in[first + lane];
			assert_int_equal(out[i], sum + (i % THREADS ^ 1));
		}
	}
}

static void test_deadlocks_are_errors(void **state)
{
	uint32_t in[2 * THREADS] = {0}, out[2 * THREADS];
	struct reverse_args args = {in, out};
	for (enum host_order order = 0; order < HOST_ORDERS; order++) {
		struct err err;
		assert_int_equal(host_launch(barrier_of_half, two_blocks, &args, order, &err), -EDEADLK);
		assert_non_null(strstr(err.text, "48 threads wait, one at "));
		assert_non_null(strstr(err.text, "shim_test.c"));
		assert_int_equal(host_launch(two_barriers, two_blocks, &args, order, &err), -EDEADLK);
		assert_true(reverses(reverse, order)); /* and the shim works on */
	}
}

static void test_dimensions(void **state)
{
	uint32_t out[3 * 2 * 4 * 8];
	struct place_args args = {out};
	struct err err;
	for (enum host_order order = 0; order < HOST_ORDERS; order++) {
		memset(out, 0xff, sizeof(out));
		assert_int_equal(host_launch(places, (struct kernel_shape){{3, 2, 1}, {4, 8, 1}}, &args, order, &err),
				 0);
		for (uint32_t i = 0; i < ARRAY_LEN(out); i++) {
			uint32_t thread = i % 32, block = i / 32;
			assert_int_equal(out[i], thread % 4 | thread / 4 << 8 | block % 3 << 16 | block / 3 << 24);
		}
	}
}

/* bf16 against the nearest of its neighbours; fp16 is the compiler's. */
static void test_bf16_rounds_to_nearest_even(void **state)
{
	for (uint32_t half = 0; half < 0x7f80; half++) { /* finite, positive */
		double below = (double)host_from_bf16(half), above = (double)host_from_bf16(half + 1);
		if (half == 0x7f7f) /* above is infinity: as if one more step */
			above = below + (below - (double)host_from_bf16(half - 1));
		double middle = (below + above) / 2;
		assert_int_equal(host_bf16((float)below), half);
		assert_int_equal(host_bf16((float)middle), half % 2 ? half + 1 : half);
		assert_int_equal(host_bf16(nextafterf((float)middle, 0)), half);
		assert_int_equal(host_bf16(nextafterf((float)middle, INFINITY)), half + 1);
		assert_int_equal(host_bf16(-(float)below), half | 0x8000);
	}
	assert_true(isnan(host_from_bf16(host_bf16(NAN))));
	assert_true(isinf(host_from_bf16(host_bf16(INFINITY))));
	assert_true(isinf(host_from_f16(host_f16(70000))));
	assert_true((double)host_from_f16(host_f16(0.1f)) == 0.0999755859375);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_barriers),
		cmocka_unit_test(test_missing_barrier_is_found),
		cmocka_unit_test(test_blocks_interrupt_each_other),
		cmocka_unit_test(test_shuffles),
		cmocka_unit_test(test_deadlocks_are_errors),
		cmocka_unit_test(test_dimensions),
		cmocka_unit_test(test_bf16_rounds_to_nearest_even),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
