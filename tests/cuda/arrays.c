#include "arrays.h"

#include "tests/unit/cmocka_all.h"

#include <math.h>

void bench_init(struct bench *b, enum cell cell)
{
	*b = (struct bench){.cell = cell, .random = 12345};
}

void bench_fini(struct bench *b)
{
	for (size_t i = 0; i < b->n_owned; i++)
		free(b->owned[i].data);
}

double bench_random(struct bench *b)
{
	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	return (double)(b->random >> 11) / 9007199254740992.0;
}

void *bench_alloc(struct bench *b, size_t bytes)
{
	void *p = NULL;
	INVARIANT(b->n_owned < ARRAY_LEN(b->owned), "too many arrays for one bench");
	INVARIANT(posix_memalign(&p, 16, MAX(bytes, 1)) == 0, "no memory");
	memset(p, 0xff, bytes);
	b->owned[b->n_owned++] = (struct target_range){p, MAX(bytes, 1)};
	return p;
}

void bench_share(struct bench *b, const void *data, size_t bytes)
{
	INVARIANT(b->n_shared < ARRAY_LEN(b->shared), "too much shared memory for one bench");
	b->shared[b->n_shared++] = (struct target_range){(void *)data, bytes};
}

struct array array_new(struct bench *b, enum cell cell, size_t count)
{
	return (struct array){cell, count, bench_alloc(b, count * cell_size(cell)), bench_alloc(b, count * sizeof(double))};
}

void array_fill(struct array *a)
{
	host_cells_from(a->cell, a->data, a->values, a->count);
	host_cells_to(a->cell, a->values, a->data, a->count);
}

const double *array_read(struct array *a)
{
	host_cells_to(a->cell, a->values, a->data, a->count);
	return a->values;
}

struct array array_random(struct bench *b, enum cell cell, size_t count, double mean, double spread)
{
	struct array a = array_new(b, cell, count);
	for (size_t i = 0; i < count; i++)
		a.values[i] = mean + spread * (2 * bench_random(b) - 1);
	array_fill(&a);
	return a;
}

struct array array_of(struct bench *b, enum cell cell, size_t count, double value)
{
	return array_random(b, cell, count, value, 0);
}

void bench_scratch(struct bench *b, enum kernel_id id, union kernel_args *args, float **partials, uint32_t **tickets)
{
	size_t n_partials, n_tickets;
	kernel_scratch(id, args, &n_partials, &n_tickets);
	if (partials)
		*partials = bench_alloc(b, n_partials * sizeof(float));
	*tickets = bench_alloc(b, n_tickets * sizeof(uint32_t));
	memset(*tickets, 0, n_tickets * sizeof(uint32_t));
}

void bench_launch(const struct bench *b, enum kernel_id id, const union kernel_args *args, enum host_order order)
{
	struct target_range ranges[ARRAY_LEN(b->owned) + ARRAY_LEN(b->shared)];
	memcpy(ranges, b->owned, b->n_owned * sizeof(*ranges));
	memcpy(ranges + b->n_owned, b->shared, b->n_shared * sizeof(*ranges));
	target_launch(id, b->cell, args, order, ranges, b->n_owned + b->n_shared);
}

void bench_run(const struct bench *b, enum kernel_id id, const union kernel_args *args, const struct region *outputs,
	       size_t n)
{
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += outputs[i].bytes;
	autofree uint8_t *before = xmalloc(MAX(total, 1)), *first = xmalloc(MAX(total, 1));
	for (size_t i = 0, at = 0; i < n; at += outputs[i++].bytes)
		memcpy(before + at, outputs[i].data, outputs[i].bytes);
	for (enum host_order order = 0; order < HOST_ORDERS; order++) {
		for (size_t i = 0, at = 0; i < n; at += outputs[i++].bytes)
			if (outputs[i].keep)
				memcpy(outputs[i].data, before + at, outputs[i].bytes);
			else
				memset(outputs[i].data, 0xff, outputs[i].bytes);
		bench_launch(b, id, args, order);
		for (size_t i = 0, at = 0; i < n; at += outputs[i++].bytes)
			if (order == 0)
				memcpy(first + at, outputs[i].data, outputs[i].bytes);
			else if (memcmp(first + at, outputs[i].data, outputs[i].bytes) != 0)
				fail_msg("%s: output %zu differs between orders of threads", kernel_name(id, b->cell), i);
	}
}

void assert_all_near(const char *what, const double *got, const double *want, size_t count, double relative, double absolute)
{
	double worst = 0;
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		double excess = fabs(got[i] - want[i]) / (relative * fabs(want[i]) + absolute);
		if (!(excess <= worst)) {
			worst = excess;
			at = i;
		}
	}
	if (!(worst <= 1))
		fail_msg("%s[%zu of %zu]: %.9g, expected %.9g: %.3g times the tolerance", what, at, count, got[at], want[at],
			 worst);
}

double cell_rounding(enum cell cell)
{
	static const double units[CELL_COUNT] = {[CELL_BF16] = 0x1p-8, [CELL_F16] = 0x1p-11, [CELL_F32] = 0x1p-24};
	return units[cell];
}

double cell_least(enum cell cell)
{
	return cell == CELL_F16 ? 0x1p-25 : 0;
}

static double *transposed(struct bench *b, const double *from, size_t n, size_t rows, size_t columns)
{
	double *to = bench_alloc(b, n * rows * columns * sizeof(*to));
	for (size_t i = 0; i < n; i++)
		for (size_t r = 0; r < rows; r++)
			for (size_t c = 0; c < columns; c++)
				to[(i * columns + c) * rows + r] = from[(i * rows + r) * columns + c];
	return to;
}

double *to_nchw(struct bench *b, const double *nhwc, size_t n, size_t c, size_t hw)
{
	return transposed(b, nhwc, n, hw, c);
}

double *to_nhwc(struct bench *b, const double *nchw, size_t n, size_t c, size_t hw)
{
	return transposed(b, nchw, n, c, hw);
}
