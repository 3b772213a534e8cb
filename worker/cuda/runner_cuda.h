/* The runner of a real GPU: driver and cuDNN by dlopen, kernels from the embedded module, plans tuned once, lists captured
 * into CUDA graphs of one step and of several. */
#pragma once

#include "conv_bench.h"
#include "conv_tune.h"
#include "driver.h"
#include "runner.h"

#include <pthread.h>

struct cuda { /* one per process: what the runners of a GPU, and so the slots of a worker, share */
	struct gpu gpu;
	const struct driver *driver;
	const struct cudnn *cudnn;
	CUmodule module;
	CUfunction functions[KERNEL_COUNT][CELL_COUNT];
	struct conv_target *target;
	struct conv_cache *cache;
	struct conv_bench *bench;
	pthread_mutex_t choosing; /* held while plans are chosen: of op, cache and bench */
	bool strict; /* fp32 keeps its 24 bits (parity tests), instead of TF32 */
};

/* id: as gpu_open()'s.  Errors say which library or GPU is missing. */
int cuda_new(struct cuda **ret, const char *id, bool strict, struct err *err);
void cuda_free(struct cuda *cuda); /* accepts NULL */
/* A stream of its own, with cuDNN's handle and workspace.  deterministic: no plan is timed. */
int cuda_runner_new(struct cuda *cuda, bool deterministic, struct runner **ret, struct err *err);
