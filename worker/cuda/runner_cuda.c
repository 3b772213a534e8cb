#include "runner_cuda.h"

#define GRAPH_STEPS 8 /* of the larger graph: one launch, no word from the host for so many steps */

struct cuda_runner {
	struct runner base;
	struct cuda *cuda;
	bool deterministic;
	CUstream stream;
	cudnnHandle_t handle;
	CUdeviceptr workspace; /* of every convolution of the stream */
};

struct planned { /* what a convolution of a list needs */
	struct conv_op *op;
	struct conv_plan *plan;
	struct conv_call *call;
};

struct program {
	struct launch_list list;
	struct planned *planned; /* of the convolutions, in their order */
	int n_planned;
	CUgraphExec one, several; /* of GRAPH_STEPS */
};

static struct cuda_runner *self(struct runner *runner)
{
	return (struct cuda_runner *)runner;
}

static int failed(const struct cuda_runner *r, CUresult result, struct err *err, const char *what)
{
	return result == CUDA_SUCCESS ? 0 : driver_err(r->cuda->driver, err, result, "%s: %s", r->cuda->gpu.name, what);
}

/* --- memory --- */

static CUdeviceptr address(const void *p)
{
	return (CUdeviceptr)(uintptr_t)p;
}

static int cuda_alloc(struct runner *runner, size_t bytes, void **ret, struct err *err)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	CUdeviceptr p = 0;
	size_t unused = 0, total = 0;
	int code = gpu_use(&r->cuda->gpu, err);
	if (code < 0)
		return code;
	CUresult result = d->cuMemAlloc(&p, bytes);
	if (result == CUDA_ERROR_OUT_OF_MEMORY && d->cuMemGetInfo(&unused, &total) == CUDA_SUCCESS)
		return err_set(err, -ENOMEM, "%s: %.1f MiB of device memory are needed, %.1f of %.1f MiB are free; a smaller "
			       "batch_size needs less", r->cuda->gpu.name, (double)bytes / 1048576, (double)unused / 1048576,
			       (double)total / 1048576);
	code = failed(r, result, err, "no device memory");
	if (code < 0)
		return code;
	result = d->cuMemsetD8Async(p, 0, bytes, r->stream);
	result = result ? result : d->cuStreamSynchronize(r->stream);
	*ret = (void *)(uintptr_t)p;
	return failed(r, result, err, "cannot clear device memory");
}

static void cuda_memory_release(struct runner *runner, void *memory)
{
	struct cuda_runner *r = self(runner);
	if (memory && gpu_use(&r->cuda->gpu, NULL) == 0)
		r->cuda->driver->cuMemFree(address(memory));
}

static size_t cuda_free_bytes(struct runner *runner)
{
	struct cuda_runner *r = self(runner);
	size_t unused = 0, total = 0;
	if (gpu_use(&r->cuda->gpu, NULL) < 0 || r->cuda->driver->cuMemGetInfo(&unused, &total) != CUDA_SUCCESS)
		return 0;
	return unused;
}

static int cuda_upload(struct runner *runner, void *to, const void *from, size_t bytes, struct err *err)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	int code = gpu_use(&r->cuda->gpu, err);
	if (code < 0)
		return code;
	CUresult result = d->cuMemcpyHtoDAsync(address(to), from, bytes, r->stream);
	result = result ? result : d->cuStreamSynchronize(r->stream);
	return failed(r, result, err, "cannot copy to the device");
}

static int cuda_download(struct runner *runner, void *to, const void *from, size_t bytes, struct err *err)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	int code = gpu_use(&r->cuda->gpu, err);
	if (code < 0)
		return code;
	CUresult result = d->cuMemcpyDtoHAsync(to, address(from), bytes, r->stream);
	result = result ? result : d->cuStreamSynchronize(r->stream);
	return failed(r, result, err, "the device failed while it trained");
}

/* --- programs --- */

static int plan_conv(struct cuda_runner *r, struct launch *launch, struct planned *planned, struct err *err)
{
	struct cuda *c = r->cuda;
	struct conv_tuner tuner = {
		.cache = c->cache,
		.limits = {.workspace_bytes = CONV_WORKSPACE_BYTES,
			   .deterministic = true,
			   .tensor_cores = !(c->strict && launch->conv.shape.cell == CELL_F32)},
		.time = r->deterministic ? NULL : conv_bench_time,
		.arg = c->bench,
	};
	int code = conv_op_new(&planned->op, c->target, &launch->conv.shape, err);
	code = code < 0 ? code : conv_tune(&planned->plan, &tuner, planned->op, err);
	code = code < 0 ? code : conv_call_new(&planned->call, planned->plan, launch->conv.x, launch->conv.w, launch->conv.y,
					       (void *)(uintptr_t)r->workspace, err);
	launch->conv.call = planned->call;
	return code;
}

static int plan_convs(struct cuda_runner *r, struct program *program, struct err *err)
{
	int code = 0;
	pthread_mutex_lock(&r->cuda->choosing);
	for (int i = 0; code == 0 && i < program->list.n; i++)
		if (program->list.items[i].kind == LAUNCH_CONV)
			code = plan_conv(r, &program->list.items[i], &program->planned[program->n_planned++], err);
	struct err note; /* a cache that cannot be written costs the next run some seconds */
	if (code == 0 && conv_cache_save(r->cuda->cache, &note) < 0)
		fprintf(stderr, "%s\n", note.text);
	pthread_mutex_unlock(&r->cuda->choosing);
	return code;
}

static int launch_one(struct cuda_runner *r, struct launch *launch, struct err *err)
{
	if (launch->kind == LAUNCH_CONV)
		return conv_call_run(launch->conv.call, r->handle, err);
	struct kernel_shape s = kernel_shape(launch->kernel.id, &launch->kernel.args);
	void *params[] = {&launch->kernel.args};
	CUresult result = r->cuda->driver->cuLaunchKernel(r->cuda->functions[launch->kernel.id][launch->kernel.cell],
							  s.grid[0], s.grid[1], s.grid[2], s.block[0], s.block[1],
							  s.block[2], 0, r->stream, params, NULL);
	return failed(r, result, err, launch->label);
}

static int launch_all(struct cuda_runner *r, struct program *program, struct err *err)
{
	int code = 0;
	for (int i = 0; code == 0 && i < program->list.n; i++)
		code = launch_one(r, &program->list.items[i], err);
	return code;
}

static int capture(struct cuda_runner *r, struct program *program, int times, CUgraphExec *ret, struct err *err)
{
	const struct driver *d = r->cuda->driver;
	CUgraph graph = NULL;
	int code = failed(r, d->cuStreamBeginCapture(r->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), err, "cannot capture");
	if (code < 0)
		return code;
	for (int i = 0; code == 0 && i < times; i++)
		code = launch_all(r, program, err);
	CUresult result = d->cuStreamEndCapture(r->stream, &graph);
	code = code < 0 ? code : failed(r, result, err, "cannot end the capture");
	if (code == 0)
		code = failed(r, d->cuGraphInstantiate(ret, graph, 0), err, "cannot make a graph");
	if (graph)
		d->cuGraphDestroy(graph);
	return code;
}

static void cuda_program_free(struct runner *runner, struct program *program)
{
	struct cuda_runner *r = self(runner);
	if (!program || gpu_use(&r->cuda->gpu, NULL) < 0)
		return;
	if (program->one)
		r->cuda->driver->cuGraphExecDestroy(program->one);
	if (program->several)
		r->cuda->driver->cuGraphExecDestroy(program->several);
	for (int i = 0; i < program->n_planned; i++) {
		conv_call_free(program->planned[i].call);
		conv_plan_free(program->planned[i].plan);
		conv_op_free(program->planned[i].op);
	}
	free(program->planned);
	launch_list_fini(&program->list);
	free(program);
}

/* The first run, before capturing, loads what cuDNN loads lazily. */
static int cuda_program_prepare(struct runner *runner, struct launch_list *list, struct program **ret, struct err *err)
{
	struct cuda_runner *r = self(runner);
	struct program *program = xcalloc(1, sizeof(*program));
	program->list = *list;
	*list = (struct launch_list){0};
	program->planned = xcalloc((size_t)program->list.n, sizeof(*program->planned));
	int code = gpu_use(&r->cuda->gpu, err);
	code = code < 0 ? code : plan_convs(r, program, err);
	code = code < 0 ? code : launch_all(r, program, err);
	code = code < 0 ? code : failed(r, r->cuda->driver->cuStreamSynchronize(r->stream), err, "the first step failed");
	code = code < 0 ? code : capture(r, program, 1, &program->one, err);
	if (code == 0 && program->n_planned)
		code = capture(r, program, GRAPH_STEPS, &program->several, err);
	if (code < 0) {
		cuda_program_free(runner, program);
		return code;
	}
	*ret = program;
	return 0;
}

static int cuda_program_run(struct runner *runner, struct program *program, uint32_t times, struct err *err)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	int code = gpu_use(&r->cuda->gpu, err);
	for (; code == 0 && program->several && times >= GRAPH_STEPS; times -= GRAPH_STEPS)
		code = failed(r, d->cuGraphLaunch(program->several, r->stream), err, "cannot launch steps");
	for (; code == 0 && times > 0; times--)
		code = failed(r, d->cuGraphLaunch(program->one, r->stream), err, "cannot launch a step");
	return code;
}

static void cuda_program_describe(const struct program *program, json_t *into)
{
	char text[CONV_TEXT_MAX];
	for (int i = 0; i < program->n_planned; i++) {
		const struct planned *p = &program->planned[i];
		conv_text(conv_op_shape(p->op), text);
		json_object_set_new(into, text, conv_choice_json(text, &p->plan->choice));
	}
}

/* --- times of launches --- */

#define HEAD_START 200 /* fills of the workspace: some ms, so that the launches are all queued before the first begins */

/* An event before each launch, one behind the last, and one more: between these two lies what an event itself takes. */
static int record_all(struct cuda_runner *r, struct program *program, CUevent *events, struct err *err)
{
	const struct driver *d = r->cuda->driver;
	CUresult result = CUDA_SUCCESS;
	int code = 0, n = program->list.n;
	for (int i = 0; result == CUDA_SUCCESS && i < HEAD_START; i++)
		result = d->cuMemsetD8Async(r->workspace, 0, CONV_WORKSPACE_BYTES, r->stream);
	for (int i = 0; code == 0 && result == CUDA_SUCCESS && i < n + 2; i++) {
		result = d->cuEventRecord(events[i], r->stream);
		if (result == CUDA_SUCCESS && i < n)
			code = launch_one(r, &program->list.items[i], err);
	}
	result = result ? result : d->cuStreamSynchronize(r->stream);
	return code < 0 ? code : failed(r, result, err, "a timed step failed");
}

static int read_times(struct cuda_runner *r, struct program *program, const CUevent *events, struct launch_time *ret,
		      struct err *err)
{
	const struct driver *d = r->cuda->driver;
	float gap = 0, ms = 0;
	int n = program->list.n;
	CUresult result = d->cuEventElapsedTime(&gap, events[n], events[n + 1]);
	for (int i = 0, conv = 0; result == CUDA_SUCCESS && i < n; i++) {
		const struct launch *launch = &program->list.items[i];
		result = d->cuEventElapsedTime(&ms, events[i], events[i + 1]);
		double plan_ms = launch->kind == LAUNCH_CONV ? program->planned[conv++].plan->choice.ms : 0;
		ret[i] = (struct launch_time){launch, ms > gap ? (double)(ms - gap) : 0, plan_ms};
	}
	return failed(r, result, err, "cannot read an event");
}

static int cuda_program_time(struct runner *runner, struct program *program, struct launch_time **ret, int *ret_n,
			     struct err *err)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	size_t n = (size_t)program->list.n;
	autofree struct launch_time *times = xcalloc(n, sizeof(*times));
	autofree CUevent *events = xcalloc(n + 2, sizeof(*events));
	int code = gpu_use(&r->cuda->gpu, err);
	for (size_t i = 0; code == 0 && i < n + 2; i++)
		code = failed(r, d->cuEventCreate(&events[i], CU_EVENT_DEFAULT), err, "no event");
	code = code < 0 ? code : record_all(r, program, events, err);
	code = code < 0 ? code : read_times(r, program, events, times, err);
	for (size_t i = 0; i < n + 2 && events[i]; i++)
		d->cuEventDestroy(events[i]);
	if (code < 0)
		return code;
	*ret = steal_ptr(times);
	*ret_n = (int)n;
	return 0;
}

static void cuda_runner_close(struct runner *runner)
{
	struct cuda_runner *r = self(runner);
	const struct driver *d = r->cuda->driver;
	if (gpu_use(&r->cuda->gpu, NULL) == 0) {
		if (r->handle)
			r->cuda->cudnn->cudnnDestroy(r->handle);
		if (r->workspace)
			d->cuMemFree(r->workspace);
		if (r->stream)
			d->cuStreamDestroy(r->stream);
	}
	free(r);
}

static const struct runner_ops cuda_ops = {
	.own_bytes = CONV_WORKSPACE_BYTES,
	.alloc = cuda_alloc,
	.release = cuda_memory_release,
	.free_bytes = cuda_free_bytes,
	.upload = cuda_upload,
	.download = cuda_download,
	.prepare = cuda_program_prepare,
	.program_free = cuda_program_free,
	.run = cuda_program_run,
	.describe = cuda_program_describe,
	.time = cuda_program_time,
	.close = cuda_runner_close,
};

static int make_handle(struct cuda_runner *r, struct err *err)
{
	const struct cudnn *c = r->cuda->cudnn;
	cudnnStatus_t status = c->cudnnCreate(&r->handle);
	if (status == CUDNN_STATUS_SUCCESS)
		status = c->cudnnSetStream(r->handle, (cudaStream_t)r->stream);
	return status == CUDNN_STATUS_SUCCESS ? 0 : cudnn_err(c, err, status, "cannot start cuDNN");
}

int cuda_runner_new(struct cuda *cuda, bool deterministic, struct runner **ret, struct err *err)
{
	struct cuda_runner *r = xcalloc(1, sizeof(*r));
	r->base.ops = &cuda_ops;
	r->cuda = cuda;
	r->deterministic = deterministic;
	int code = gpu_use(&cuda->gpu, err);
	if (code == 0)
		code = failed(r, cuda->driver->cuStreamCreate(&r->stream, CU_STREAM_NON_BLOCKING), err, "no stream");
	if (code == 0)
		code = failed(r, cuda->driver->cuMemAlloc(&r->workspace, CONV_WORKSPACE_BYTES), err, "no workspace");
	code = code < 0 ? code : make_handle(r, err);
	if (code < 0) {
		cuda_runner_close(&r->base);
		return code;
	}
	*ret = &r->base;
	return 0;
}
