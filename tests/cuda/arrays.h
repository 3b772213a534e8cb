/* Arrays for kernel tests: of a cell type, exactly as long as they say (AddressSanitizer sees an access beyond), with
 * the values they hold in double; and launches in every order of threads and blocks, or on a GPU (target.h).
 *
 * A `struct bench` owns everything made with it. */
#pragma once

#include "tests/cuda/target.h"

struct bench {
	enum cell cell;
	uint64_t random;
	struct target_range owned[64], shared[8];
	size_t n_owned, n_shared;
};

struct array { /* of cells or of floats */
	enum cell cell;
	size_t count;
	void *data;	/* 16-byte aligned; filled with 0xff bytes (NaN) until something is put in */
	double *values; /* what array_fill() put in, rounded as it was; or what array_read() found */
};

void bench_init(struct bench *b, enum cell cell);
void bench_fini(struct bench *b);

/* Uniform in [0, 1). */
double bench_random(struct bench *b);
void *bench_alloc(struct bench *b, size_t bytes); /* poisoned, 16-byte aligned */
/* Memory of the caller's that arguments of launches point into, too. */
void bench_share(struct bench *b, const void *data, size_t bytes);

struct array array_new(struct bench *b, enum cell cell, size_t count); /* poisoned */
/* mean + spread * uniform(-1, 1) */
struct array array_random(struct bench *b, enum cell cell, size_t count, double mean, double spread);
struct array array_of(struct bench *b, enum cell cell, size_t count, double value);
/* Puts a->values in, and rounds them. */
void array_fill(struct array *a);
/* values = data */
const double *array_read(struct array *a);

/* What a launch writes.  keep: it goes on from what is there (+=, in place), which each launch finds anew. */
struct region {
	void *data;
	size_t bytes;
	bool keep;
};
#define REGION(array) {(array).data, (array).count * cell_size((array).cell), false}
#define KEPT(array)   {(array).data, (array).count * cell_size((array).cell), true}

/* Scratch for the launch, put where the arguments want it; tickets are 0. */
void bench_scratch(struct bench *b, enum kernel_id id, union kernel_args *args, float **partials, uint32_t **tickets);

/* Runs the launch once. */
void bench_launch(const struct bench *b, enum kernel_id id, const union kernel_args *args, enum host_order order);

/* Runs the launch in every order; outputs are poisoned before each.  Fails the test if the orders' bits differ.  The
 * outputs of the last order are left behind. */
void bench_run(const struct bench *b, enum kernel_id id, const union kernel_args *args, const struct region *outputs,
	       size_t n);

/* |got - want| <= relative * |want| + absolute for each value, both finite; else fails with the worst. */
void assert_all_near(const char *what, const double *got, const double *want, size_t count, double relative, double absolute);

/* Rounding to the cell type: half a unit in the last place, relative; and the least it can tell apart. */
double cell_rounding(enum cell cell);
double cell_least(enum cell cell);

/* (n, hw, c) <-> (n, c, hw).  The result is b's. */
double *to_nchw(struct bench *b, const double *nhwc, size_t n, size_t c, size_t hw);
double *to_nhwc(struct bench *b, const double *nchw, size_t n, size_t c, size_t hw);
