/* The cuda backend's plan: memory, launch lists for every batch size that occurs, and the verbs of worker/backend.h over
 * a runner.  What a GPU is, is the runner's; so the tests run the same plan on the host. */
#pragma once

#include "memory.h"
#include "runner.h"
#include "step.h"

#include "worker/data.h"

struct resident_set { /* a split in device memory, dense */
	struct batch_source source; /* its pixels, labels, pitches, mean and std */
	size_t count;
};

/* Data sets in device memory, each once for all the devices (slots of a worker) that were given the same store: known again
 * by its contents.  Threads: any. */
struct resident_store;
struct resident_store *resident_store_new(void);
void resident_store_free(struct resident_store *store); /* when its devices are closed; accepts NULL */

struct device {
	/* A stream of its own for a plan; recipe NULL: for loading. */
	int (*runner_new)(struct device *device, const struct recipe *recipe, struct runner **ret, struct err *err);
	void (*shut)(struct device *device); /* frees what the runners came from */
	void *impl;
	enum cell amp_cell; /* with mixed precision: bf16 where tensor cores have it, else fp16 */
	struct device_info info;
	struct runner *runner; /* of the resident sets */
	struct resident_store *store; /* borrowed; NULL: load() makes one of its own */
	struct resident_store *own_store;
	struct resident *resident; /* what it has of the store */
	struct resident_set sets[N_SPLITS]; /* a copy of that */
};

/* Verbs of struct backend but open and info: see worker/backend.h. */
int cuda_load(struct device *device, const struct dataset *data, struct err *err);
int cuda_prepare(struct device *device, const struct net *net, const struct recipe *recipe, int batch, struct plan **ret,
		 struct err *err);
void cuda_state_alloc(const struct plan *plan, struct state *ret);
int cuda_state_get(struct plan *plan, struct state *into, struct err *err);
int cuda_state_set(struct plan *plan, const struct state *from, struct err *err);
int cuda_begin_epoch(struct plan *plan, const struct epoch_tables *tables, struct err *err);
int cuda_run(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err);
int cuda_evaluate(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
		  struct sums *sums, struct err *err);
json_t *cuda_describe(const struct plan *plan);
void cuda_memory(const struct plan *plan, struct memory_use *ret);
void cuda_release(struct plan *plan);
void cuda_close(struct device *device);
/* All of them, for a table's initializer. */
#define CUDA_VERBS                                                                                                    \
	.load = cuda_load, .prepare = cuda_prepare, .state_alloc = cuda_state_alloc, .state_get = cuda_state_get,     \
	.state_set = cuda_state_set, .begin_epoch = cuda_begin_epoch, .run = cuda_run, .evaluate = cuda_evaluate,     \
	.memory = cuda_memory, .describe = cuda_describe, .release = cuda_release, .close = cuda_close

/* The list of one training step on n images, for counting and tests: freed with launch_list_fini(). */
int cuda_step_list(const struct net *net, const struct recipe *recipe, enum cell cell, int n, struct launch_list *ret,
		   size_t *ret_bytes, struct err *err);
/* For measurements: trains the epoch's first full batch, and tells how long each launch took.  Caller frees. */
int cuda_time_step(struct plan *plan, struct launch_time **ret, int *ret_n, struct err *err);
/* For tests: fills what must not outlive a step (activations, gradients, scratch) with NaN. */
int cuda_poison(struct plan *plan, struct err *err);
