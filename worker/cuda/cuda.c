/* What the runners of a GPU share; see runner_cuda.h. */
#include "runner_cuda.h"

static int load_kernels(struct cuda *c, struct err *err)
{
	const struct driver *d = c->driver;
	CUresult result = d->cuModuleLoadData(&c->module, kernel_fatbin);
	for (int id = 0; result == CUDA_SUCCESS && id < KERNEL_COUNT; id++)
		for (int cell = 0; result == CUDA_SUCCESS && cell < CELL_COUNT; cell++)
			result = d->cuModuleGetFunction(&c->functions[id][cell], c->module,
							kernel_name((enum kernel_id)id, (enum cell)cell));
	if (result != CUDA_SUCCESS)
		return driver_err(d, err, result, "cannot load sweepd's kernels onto %s (sm_%d)", c->gpu.name, c->gpu.sm);
	return 0;
}

static void open_cache(struct cuda *c)
{
	char kind[192];
	struct err note;
	autofree char *dir = conv_cache_dir();
	c->cache = conv_cache_open(dir, gpu_kind(&c->gpu, kind), c->cudnn->version, &note);
	if (note.text[0])
		fprintf(stderr, "plans are timed anew: %s\n", note.text);
}

int cuda_new(struct cuda **ret, const char *id, bool strict, struct err *err)
{
	struct cuda *c = xcalloc(1, sizeof(*c));
	c->strict = strict;
	pthread_mutex_init(&c->choosing, NULL);
	int r = driver_open(&c->driver, err);
	r = r < 0 ? r : cudnn_open(&c->cudnn, err);
	r = r < 0 ? r : gpu_open(&c->gpu, c->driver, id, err);
	r = r < 0 ? r : load_kernels(c, err);
	r = r < 0 ? r : conv_target_new(&c->target, c->cudnn, 0, err);
	r = r < 0 ? r : conv_bench_new(&c->bench, &c->gpu, c->cudnn, err);
	if (r < 0) {
		cuda_free(c);
		return r;
	}
	if (*c->gpu.lock_note)
		fprintf(stderr, "another worker on %s would not be noticed: %s\n", c->gpu.name, c->gpu.lock_note);
	open_cache(c);
	*ret = c;
	return 0;
}

void cuda_free(struct cuda *c)
{
	if (!c)
		return;
	conv_bench_free(c->bench);
	conv_cache_free(c->cache);
	conv_target_free(c->target);
	if (c->module)
		c->driver->cuModuleUnload(c->module);
	gpu_close(&c->gpu);
	pthread_mutex_destroy(&c->choosing);
	free(c);
}
