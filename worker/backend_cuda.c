/* The cuda backend: the plan of cuda/plan.h on a real GPU. */
#include "backend_cuda.h"

#include "cuda/plan.h"
#include "cuda/runner_cuda.h"

#include <pthread.h>

static int runner_new(struct device *device, const struct recipe *recipe, struct runner **ret, struct err *err)
{
	return cuda_runner_new(device->impl, recipe && recipe->deterministic, ret, err);
}

/* A process has one GPU: handles that are opened after the first share its context, kernels, plans and data sets. */
static struct {
	pthread_mutex_t lock;
	struct cuda *cuda;
	struct resident_store *store;
	int users;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void shut(struct device *device)
{
	pthread_mutex_lock(&shared.lock);
	if (--shared.users == 0) {
		resident_store_free(shared.store);
		cuda_free(shared.cuda);
		shared.store = NULL;
		shared.cuda = NULL;
	}
	pthread_mutex_unlock(&shared.lock);
}

static int share(const struct device_spec *spec, struct err *err)
{
	pthread_mutex_lock(&shared.lock);
	int r = shared.users ? 0 : cuda_new(&shared.cuda, spec->id, spec->direct, err);
	if (r == 0 && shared.users++ == 0)
		shared.store = resident_store_new();
	INVARIANT(r < 0 || shared.cuda->strict == spec->direct, "one GPU with two kinds of arithmetic");
	pthread_mutex_unlock(&shared.lock);
	return r;
}

static int cuda_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	int r = share(spec, err);
	if (r < 0)
		return r;
	struct device *device = xcalloc(1, sizeof(*device));
	struct cuda *cuda = shared.cuda;
	device->impl = cuda;
	device->store = shared.store;
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
