/* Where the kernel tests' launches run: on the host by fibers, or, where $TEST_GPU names a GPU ("cuda:0", a UUID), on it.
 * TEST_GPU=host: by fibers too, but on copies as a GPU needs them: so that copying and the moving of pointers are tested
 * where no GPU is. */
#pragma once

#include "tests/cuda/host_kernel.h"

struct runner; /* worker/cuda/runner.h */
struct device; /* worker/cuda/plan.h */

struct target_range { /* host memory that arguments may point into */
	void *data;
	size_t bytes;
};

/* $TEST_GPU, or NULL: the tests run on the host as ever. */
const char *target_name(void);
/* Memory and lists of the target: a GPU's or the host's.  One for the process; a GPU that is not there ends it with a
 * sentence. */
struct runner *target_runner(void);
/* Runs one launch to its end.  The arguments point into ranges; what they point to is afterwards as the kernel left it. */
void target_launch(enum kernel_id id, enum cell cell, const union kernel_args *args, enum host_order order,
		   const struct target_range *ranges, size_t n);

/* target_cuda.c; target_none.c in a build without CUDA. */
struct target_gpu {
	struct runner *runner;
	/* args: with pointers of the device. */
	int (*launch)(enum kernel_id id, enum cell cell, union kernel_args *args, struct err *err);
};
int target_gpu_open(struct target_gpu *ret, const char *id, struct err *err);
/* The cuda backend on that GPU, with exact fp32, for whole steps; amp: its cells of mixed precision. */
int target_gpu_device(struct device **ret, const char *id, enum cell amp, struct err *err);
