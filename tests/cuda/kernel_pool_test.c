/* Pooling's kernels against ref's in double.  Maximum pooling moves values: exact, but for sums of gradients. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "worker/ref/ref_ops.h"

#include <math.h>

static const struct {
	int n, h, w, c;
} shapes[] = {{1, 1, 1, 8}, {2, 2, 3, 16}, {1, 7, 5, 24}, {3, 8, 8, 64}, {2, 13, 10, 40}};

struct pool {
	struct bench b;
	struct pool_shape s;
	size_t in, out; /* pixels of an image */
	struct array x, y;
	uint8_t *index;
	double *ref_y; /* (n, c, oh, ow) */
	int32_t *ref_index;
};

static size_t pool_count(const struct pool *p, size_t pixels)
{
	return (size_t)p->s.n * (size_t)p->s.c * pixels;
}

static void pool_open(struct pool *p, enum cell cell, int n, int h, int w, int c)
{
	p->s = (struct pool_shape){n, c, h, w, (h - 1) / 2 + 1, (w - 1) / 2 + 1, 3, 2, 1};
	p->in = (size_t)h * (size_t)w;
	p->out = (size_t)p->s.oh * (size_t)p->s.ow;
	bench_init(&p->b, cell);
	p->x = array_new(&p->b, cell, pool_count(p, p->in));
	p->y = array_new(&p->b, cell, pool_count(p, p->out));
	for (size_t i = 0; i < p->x.count; i++) /* few values, so that windows hold equals */
		p->x.values[i] = floor(5 * bench_random(&p->b)) - 2;
	array_fill(&p->x);
	p->index = bench_alloc(&p->b, p->y.count);
	p->ref_y = bench_alloc(&p->b, p->y.count * sizeof(double));
	p->ref_index = bench_alloc(&p->b, p->y.count * sizeof(int32_t));
}

/* Forward, both; x as it is now. */
static void pool_forward(struct pool *p)
{
	ref_maxpool_fwd(&p->s, to_nchw(&p->b, p->x.values, (size_t)p->s.n, (size_t)p->s.c, p->in), p->ref_y,
			p->ref_index);
	union kernel_args args = {.maxpool_forward = {p->x.data, p->y.data, p->index, (uint32_t)p->s.n,
						      (uint32_t)p->s.ih, (uint32_t)p->s.iw, (uint32_t)p->s.c}};
	bench_run(&p->b, KERNEL_MAXPOOL_FORWARD, &args, (struct region[]){REGION(p->y), {p->index, p->y.count, false}},
		  2);
	array_read(&p->y);
}

/* The kernel's place in the window as ref's in the plane; i: of (n, c, oh, ow). */
static void check_index(const struct pool *p, size_t i)
{
	size_t pixel = i % p->out, channel = i / p->out % (size_t)p->s.c, image = i / p->out / (size_t)p->s.c;
	int k = p->index[(image * p->out + pixel) * (size_t)p->s.c + channel];
	int y = 2 * ((int)pixel / p->s.ow) - 1 + k / 3, x = 2 * ((int)pixel % p->s.ow) - 1 + k % 3;
	assert_int_equal(y * p->s.iw + x, p->ref_index[i]);
}

#define FOR_CELLS_AND_SHAPES(cell, i)                                                                                  \
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)                                                            \
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++)

static void test_maxpool_forward(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, i) {
		struct pool p;
		pool_open(&p, cell, shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].c);
		pool_forward(&p);
		assert_all_near("y", p.y.values, to_nhwc(&p.b, p.ref_y, (size_t)p.s.n, (size_t)p.s.c, p.out), p.y.count,
				0, 1e-30);
		for (size_t j = 0; j < p.y.count; j++)
			check_index(&p, j);
		bench_fini(&p.b);
	}
}

static void test_maxpool_shows_nan(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		struct pool p;
		pool_open(&p, cell, 1, 6, 6, 8);
		p.x.values[8 * 14 + 3] = NAN; /* channel 3 of pixel (2, 2), and (2, 3) */
		p.x.values[8 * 15 + 3] = NAN;
		array_fill(&p.x);
		pool_forward(&p);
		double *want = to_nhwc(&p.b, p.ref_y, 1, 8, p.out);
		for (size_t j = 0; j < p.y.count; j++)
			assert_true(isnan(want[j]) ? isnan(p.y.values[j]) : p.y.values[j] == want[j]);
		for (size_t j = 0; j < p.y.count; j++)
			check_index(&p, j);
		bench_fini(&p.b);
	}
}

static void test_maxpool_backward(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, i)
		for (int join = 0; join <= 1; join++) {
			struct pool p;
			pool_open(&p, cell, shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].c);
			pool_forward(&p);
			size_t n = (size_t)p.s.n, c = (size_t)p.s.c;
			struct array a = array_random(&p.b, cell, p.y.count, 0, 1),
				     b = array_random(&p.b, cell, p.y.count, 0, 1);
			struct array dx = array_new(&p.b, cell, p.x.count);
			union kernel_args args = {.maxpool_backward = {a.data, join ? b.data : NULL, p.index, dx.data,
								       (uint32_t)n, (uint32_t)p.s.ih, (uint32_t)p.s.iw,
								       (uint32_t)c}};
			bench_run(&p.b, KERNEL_MAXPOOL_BACKWARD, &args, (struct region[]){REGION(dx)}, 1);
			for (size_t j = 0; join && j < a.count; j++)
				a.values[j] += b.values[j];
			double *want = bench_alloc(&p.b, p.x.count * sizeof(double));
			memset(want, 0, p.x.count * sizeof(double));
			ref_maxpool_bwd(&p.s, to_nchw(&p.b, a.values, n, c, p.out), p.ref_index, want);
			assert_all_near("dx", array_read(&dx), to_nhwc(&p.b, want, n, c, p.in), dx.count,
					1.01 * cell_rounding(cell), 1e-6);
			bench_fini(&p.b);
		}
}

static void test_avgpool(void **state)
{
	FOR_CELLS_AND_SHAPES(cell, i) {
		struct bench b;
		bench_init(&b, cell);
		size_t n = (size_t)shapes[i].n, hw = (size_t)(shapes[i].h * shapes[i].w), c = (size_t)shapes[i].c;
		struct array x = array_random(&b, cell, n * hw * c, 0.5, 1), y = array_new(&b, cell, n * c);
		struct array dy = array_random(&b, cell, n * c, 0, 1), dx = array_new(&b, cell, n * hw * c);
		union kernel_args forward = {
			.avgpool_forward = {x.data, y.data, (uint32_t)n, (uint32_t)hw, (uint32_t)c}};
		union kernel_args backward = {
			.avgpool_backward = {dy.data, dx.data, (uint32_t)n, (uint32_t)hw, (uint32_t)c}};
		bench_run(&b, KERNEL_AVGPOOL_FORWARD, &forward, (struct region[]){REGION(y)}, 1);
		bench_run(&b, KERNEL_AVGPOOL_BACKWARD, &backward, (struct region[]){REGION(dx)}, 1);
		double *want = bench_alloc(&b, x.count * sizeof(double));
		ref_avgpool_fwd((int)n, (int)c, (int)hw, to_nchw(&b, x.values, n, c, hw), want);
		assert_all_near("y", array_read(&y), want, y.count, 1.01 * cell_rounding(cell), 1e-6);
		memset(want, 0, x.count * sizeof(double));
		ref_avgpool_bwd((int)n, (int)c, (int)hw, dy.values, want);
		assert_all_near("dx", array_read(&dx), to_nhwc(&b, want, n, c, hw), dx.count,
				1.01 * cell_rounding(cell), 1e-7 + cell_least(cell));
		bench_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maxpool_forward),
		cmocka_unit_test(test_maxpool_shows_nan),
		cmocka_unit_test(test_maxpool_backward),
		cmocka_unit_test(test_avgpool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
