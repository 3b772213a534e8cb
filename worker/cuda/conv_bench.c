/* See conv_bench.h. */
#include "conv_bench.h"

#define ALIGNMENT 256

struct conv_bench {
	const struct gpu *gpu;
	const struct cudnn *cudnn;
	cudnnHandle_t handle;
	CUstream stream;
	CUevent begin, end;
	CUdeviceptr block; /* x, w, y and workspace, each aligned */
	size_t block_bytes;
};

static int cuda_failed(const struct conv_bench *b, CUresult result, const char *what, struct err *err)
{
	return result == CUDA_SUCCESS ? 0 : driver_err(b->gpu->driver, err, result, "timing a convolution: %s", what);
}

static int make_handle(struct conv_bench *b, struct err *err)
{
	cudnnStatus_t status = b->cudnn->cudnnCreate(&b->handle);
	if (status == CUDNN_STATUS_SUCCESS)
		status = b->cudnn->cudnnSetStream(b->handle, (cudaStream_t)b->stream);
	return status == CUDNN_STATUS_SUCCESS ? 0 : cudnn_err(b->cudnn, err, status, "cannot start cuDNN");
}

int conv_bench_new(struct conv_bench **ret, const struct gpu *gpu, const struct cudnn *cudnn, struct err *err)
{
	const struct driver *d = gpu->driver;
	struct conv_bench *b = xcalloc(1, sizeof(*b));
	b->gpu = gpu;
	b->cudnn = cudnn;
	CUresult result = d->cuStreamCreate(&b->stream, CU_STREAM_NON_BLOCKING);
	result = result ? result : d->cuEventCreate(&b->begin, CU_EVENT_DEFAULT);
	result = result ? result : d->cuEventCreate(&b->end, CU_EVENT_DEFAULT);
	int r = cuda_failed(b, result, "no stream", err);
	r = r ? r : make_handle(b, err);
	if (r < 0) {
		conv_bench_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void conv_bench_free(struct conv_bench *b)
{
	if (!b)
		return;
	const struct driver *d = b->gpu->driver;
	if (b->handle)
		b->cudnn->cudnnDestroy(b->handle);
	if (b->block)
		d->cuMemFree(b->block);
	if (b->end)
		d->cuEventDestroy(b->end);
	if (b->begin)
		d->cuEventDestroy(b->begin);
	if (b->stream)
		d->cuStreamDestroy(b->stream);
	free(b);
}

static size_t aligned(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int make_room(struct conv_bench *b, size_t bytes, struct err *err)
{
	const struct driver *d = b->gpu->driver;
	if (bytes <= b->block_bytes)
		return 0;
	if (b->block)
		d->cuMemFree(b->block);
	b->block = 0;
	b->block_bytes = 0;
	int r = cuda_failed(b, d->cuMemAlloc(&b->block, bytes), "no memory for its arrays", err);
	if (r < 0)
		return r;
	b->block_bytes = bytes;
	return cuda_failed(b, d->cuMemsetD8Async(b->block, 0, bytes, b->stream), "cannot clear its arrays", err);
}

static int run_timed(struct conv_bench *b, const struct conv_call *call, int repeats, double *ret_ms, struct err *err)
{
	const struct driver *d = b->gpu->driver;
	float ms = 0;
	int r = cuda_failed(b, d->cuEventRecord(b->begin, b->stream), "no event", err);
	for (int i = 0; r == 0 && i < repeats; i++)
		r = conv_call_run(call, b->handle, err);
	if (r < 0)
		return r;
	CUresult result = d->cuEventRecord(b->end, b->stream);
	result = result ? result : d->cuEventSynchronize(b->end);
	result = result ? result : d->cuEventElapsedTime(&ms, b->begin, b->end);
	r = cuda_failed(b, result, "it failed", err);
	if (r == 0)
		*ret_ms = (double)ms / repeats;
	return r;
}

int conv_bench_time(void *arg, const struct conv_plan *plan, int repeats, double *ret_ms, struct err *err)
{
	struct conv_bench *b = arg;
	const struct conv_shape *s = conv_op_shape(plan->op);
	size_t cell = cell_bytes(s->cell);
	size_t x = aligned(conv_x_count(s) * cell), w = aligned(conv_w_count(s) * cell), y = aligned(conv_y_count(s) * cell);
	int r = make_room(b, x + w + y + aligned((size_t)plan->choice.workspace), err);
	if (r < 0)
		return r;
	char *base = (char *)(uintptr_t)b->block; /* never read here: the device's */
	struct conv_call *call;
	r = conv_call_new(&call, plan, base, base + x, base + x + w, base + x + w + y, err);
	if (r < 0)
		return r;
	r = run_timed(b, call, repeats, ret_ms, err);
	conv_call_free(call);
	return r;
}
