/* See target.h: the tests' GPU.  Opened once and never closed, so that its context outlives every device of a test. */
#include "target.h"

#include "worker/backend_cuda.h"
#include "worker/cuda/plan.h"
#include "worker/cuda/runner_cuda.h"

static struct device *kept;
static struct cuda *cuda; /* its */

static int open_once(const char *id, struct err *err)
{
	struct device_spec spec = {.threads = 1, .direct = true, .id = id};
	int r = kept ? 0 : backend_cuda->open(&kept, &spec, err);
	if (r == 0)
		cuda = kept->impl;
	return r;
}

static int launch(enum kernel_id id, enum cell cell, union kernel_args *args, struct err *err)
{
	struct kernel_shape s = kernel_shape(id, args);
	void *params[] = {args};
	CUresult result = cuda->driver->cuLaunchKernel(cuda->functions[id][cell], s.grid[0], s.grid[1], s.grid[2], s.block[0],
						       s.block[1], s.block[2], 0, NULL, params, NULL);
	result = result ? result : cuda->driver->cuStreamSynchronize(NULL);
	return result == CUDA_SUCCESS ? 0 : driver_err(cuda->driver, err, result, "%s", kernel_name(id, cell));
}

int target_gpu_open(struct target_gpu *ret, const char *id, struct err *err)
{
	int r = open_once(id, err);
	ret->launch = launch;
	return r < 0 ? r : cuda_runner_new(cuda, false, &ret->runner, err);
}

int target_gpu_device(struct device **ret, const char *id, enum cell amp, struct err *err)
{
	struct device_spec spec = {.threads = 1, .direct = true, .id = id};
	int r = open_once(id, err);
	r = r < 0 ? r : backend_cuda->open(ret, &spec, err);
	if (r == 0)
		(*ret)->amp_cell = amp;
	return r;
}
