/* The cuda backend: the plan of cuda/plan.h on a real GPU. */
#include "backend_cuda.h"

#include "cuda/plan.h"
#include "cuda/runner_cuda.h"

static int runner_new(struct device *device, const struct recipe *recipe, struct runner **ret, struct err *err)
{
	return cuda_runner_new(device->impl, recipe && recipe->deterministic, ret, err);
}

static void shut(struct device *device)
{
	cuda_free(device->impl);
}

static int cuda_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	struct cuda *cuda;
	int r = cuda_new(&cuda, spec->id, spec->direct, err);
	if (r < 0)
		return r;
	struct device *device = xcalloc(1, sizeof(*device));
	device->impl = cuda;
	device->runner_new = runner_new;
	device->shut = shut;
	device->amp_cell = cuda->gpu.sm >= 80 ? CELL_BF16 : CELL_F16;
	*ret = device;
	return 0;
}

static void cuda_info(const struct device *device, struct device_info *ret)
{
	const struct cuda *cuda = device->impl;
	*ret = (struct device_info){.amp = device->amp_cell == CELL_BF16 ? "bf16" : "fp16", .library = "cudnn"};
	snprintf(ret->name, sizeof(ret->name), "%s", cuda->gpu.name);
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", cuda->gpu.uuid);
	cudnn_version_text(cuda->cudnn->version, ret->version);
}

static const struct backend cuda = {
	.name = "cuda",
	.open = cuda_open,
	.info = cuda_info,
	CUDA_VERBS,
};

const struct backend *const backend_cuda = &cuda;
