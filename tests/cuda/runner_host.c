#include "runner_host.h"

#include "common/clock.h"
#include "tests/cuda/host_conv.h"
#include "tests/cuda/host_kernel.h"
#include "worker/cuda/conv_choice.h"
#include "worker/cuda/plan.h"

#include <pthread.h>

struct program {
	struct launch_list list;
};

static int host_alloc(struct runner *runner, size_t bytes, void **ret, struct err *err)
{
	if (posix_memalign(ret, 256, bytes) != 0)
		return err_set(err, -ENOMEM, "no memory for %zu bytes", bytes);
	memset(*ret, 0, bytes);
	return 0;
}

static void host_release(struct runner *runner, void *memory)
{
	free(memory);
}

static int host_copy(struct runner *runner, void *to, const void *from, size_t bytes, struct err *err)
{
	memcpy(to, from, bytes);
	return 0;
}

static int host_prepare(struct runner *runner, struct launch_list *list, struct program **ret, struct err *err)
{
	struct program *program = xcalloc(1, sizeof(*program));
	program->list = *list;
	*list = (struct launch_list){0};
	*ret = program;
	return 0;
}

static void host_program_free(struct runner *runner, struct program *program)
{
	if (program)
		launch_list_fini(&program->list);
	free(program);
}

/* (n, h, w, c) cells <-> (n, c, h, w) doubles. */
static double *planes_of(enum cell cell, const void *cells, int n, int hw, int c)
{
	size_t count = (size_t)n * (size_t)hw * (size_t)c;
	autofree double *values = xmalloc(count * sizeof(double));
	double *planes = xmalloc(count * sizeof(double));
	host_cells_to(cell, values, cells, count);
	for (int i = 0; i < n; i++)
		for (int at = 0; at < hw; at++)
			for (int k = 0; k < c; k++)
				planes[((size_t)i * (size_t)c + (size_t)k) * (size_t)hw + (size_t)at] =
					values[((size_t)i * (size_t)hw + (size_t)at) * (size_t)c + (size_t)k];
	return planes;
}

static void planes_into(enum cell cell, void *cells, const double *planes, int n, int hw, int c)
{
	size_t count = (size_t)n * (size_t)hw * (size_t)c;
	autofree double *values = xmalloc(count * sizeof(double));
	for (int i = 0; i < n; i++)
		for (int at = 0; at < hw; at++)
			for (int k = 0; k < c; k++)
				values[((size_t)i * (size_t)hw + (size_t)at) * (size_t)c + (size_t)k] =
					planes[((size_t)i * (size_t)c + (size_t)k) * (size_t)hw + (size_t)at];
	host_cells_from(cell, cells, values, count);
}

static void run_conv(const struct launch *launch)
{
	const struct conv_shape *s = &launch->conv.shape;
	int oh = conv_out(s->h, s), ow = conv_out(s->w, s), area = s->kernel * s->kernel;
	struct host_conv conv = {.n = s->n, .c = s->c, .h = s->h, .w = s->w, .k = s->k, .oh = oh, .ow = ow,
				 .kernel = s->kernel, .stride = s->stride, .pad = s->pad};
	autofree double *x = planes_of(s->cell, launch->conv.x, s->n, s->h * s->w, s->c);
	autofree double *w = planes_of(s->cell, launch->conv.w, s->k, area, s->c);
	autofree double *y = planes_of(s->cell, launch->conv.y, s->n, oh * ow, s->k);
	switch (s->pass) {
	case CONV_FPROP:
		host_conv_fprop(&conv, x, w, y);
		planes_into(s->cell, launch->conv.y, y, s->n, oh * ow, s->k);
		break;
	case CONV_DGRAD:
		host_conv_dgrad(&conv, x, w, y);
		planes_into(s->cell, launch->conv.x, x, s->n, s->h * s->w, s->c);
		break;
	case CONV_WGRAD:
		host_conv_wgrad(&conv, x, w, y);
		planes_into(s->cell, launch->conv.w, w, s->k, area, s->c);
		break;
	}
}

/* Fibers: one launch at a time in the process, whatever thread's. */
static pthread_mutex_t fibers = PTHREAD_MUTEX_INITIALIZER;

static void run_one(const struct launch *launch)
{
	if (launch->kind == LAUNCH_CONV) {
		run_conv(launch);
		return;
	}
	pthread_mutex_lock(&fibers);
	host_kernel_run(launch->kernel.id, launch->kernel.cell, &launch->kernel.args, HOST_FORWARD);
	pthread_mutex_unlock(&fibers);
}

static int host_run(struct runner *runner, struct program *program, uint32_t times, struct err *err)
{
	for (uint32_t t = 0; t < times; t++)
		for (int i = 0; i < program->list.n; i++)
			run_one(&program->list.items[i]);
	return 0;
}

static int host_time(struct runner *runner, struct program *program, struct launch_time **ret, int *ret_n, struct err *err)
{
	struct launch_time *times = xcalloc((size_t)program->list.n, sizeof(*times));
	for (int i = 0; i < program->list.n; i++) {
		double begin_s = monotonic_s();
		run_one(&program->list.items[i]);
		times[i] = (struct launch_time){&program->list.items[i], 1e3 * (monotonic_s() - begin_s), 0};
	}
	*ret = times;
	*ret_n = program->list.n;
	return 0;
}

/* Nothing is chosen here: every convolution has the same plan. */
static void host_describe(const struct program *program, json_t *into)
{
	char text[CONV_TEXT_MAX];
	for (int i = 0; i < program->list.n; i++)
		if (program->list.items[i].kind == LAUNCH_CONV) {
			conv_text(&program->list.items[i].conv.shape, text);
			json_object_set_new(into, text, conv_choice_json(text, &(struct conv_choice){0}));
		}
}

static void host_close(struct runner *runner)
{
	free(runner);
}

static size_t host_free_bytes(struct runner *runner)
{
	return (size_t)1 << 30;
}

static const struct runner_ops host_ops = {
	.alloc = host_alloc,
	.release = host_release,
	.free_bytes = host_free_bytes,
	.upload = host_copy,
	.download = host_copy,
	.prepare = host_prepare,
	.program_free = host_program_free,
	.run = host_run,
	.describe = host_describe,
	.time = host_time,
	.close = host_close,
};

static int host_runner_new(struct device *device, const struct recipe *recipe, struct runner **ret, struct err *err)
{
	struct runner *runner = xcalloc(1, sizeof(*runner));
	runner->ops = &host_ops;
	*ret = runner;
	return 0;
}

static int host_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	struct device *device = xcalloc(1, sizeof(*device));
	device->runner_new = host_runner_new;
	device->amp_cell = spec->direct ? CELL_F16 : CELL_BF16;
	*ret = device;
	return 0;
}

static void host_info(const struct device *device, struct device_info *ret)
{
	*ret = (struct device_info){.name = "the cuda backend's lists on the host", .amp = "bf16"};
}

const struct backend backend_host = {
	.name = "host",
	.open = host_open,
	.info = host_info,
	CUDA_VERBS,
};
