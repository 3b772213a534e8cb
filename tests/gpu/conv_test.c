/* The convolutions of the networks on a GPU, with the plans that training uses, against sums in double at places drawn at
 * random: fprop, dgrad and wgrad of every distinct shape, full and last batches, in bf16, fp16 and fp32.
 *
 * TEST_GPU names the GPU (tests/cuda/target.h).  "host" runs small shapes on the tests' host instead. */
#include "tests/cuda/target.h"
#include "tests/unit/cmocka_all.h"
#include "worker/cuda/runner.h"

#include <math.h>

#define PLACES 48 /* looked at of each result */

/* Values are uniform in (-1, 1): a sum of K products has a standard deviation of sqrt(K) / 3.  fp32 sums, on tensor cores
 * with truncated partial sums, may be off by this times sqrt(K); the result is then rounded to its cell. */
static const double sum_tolerance[CELL_COUNT] = {[CELL_BF16] = 3e-4, [CELL_F16] = 3e-4, [CELL_F32] = 3e-5};
static const double rounding[CELL_COUNT] = {[CELL_BF16] = 0x1p-8, [CELL_F16] = 0x1p-11, [CELL_F32] = 0x1p-24};

struct arrays { /* host copies in double, and the device's cells */
	double *x, *w, *y; /* (n, h, w, c), (k, kernel, kernel, c), (n, oh, ow, k) */
	void *device[3];
};

static uint64_t random_state = 99;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

static void check(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

static double *new_array(enum cell cell, size_t count, void **ret_device)
{
	struct err err = {0};
	struct runner *r = target_runner();
	double *values = xmalloc(count * sizeof(*values));
	autofree void *cells = xmalloc(count * cell_size(cell));
	for (size_t i = 0; i < count; i++)
		values[i] = (double)draw(2000001) / 1e6 - 1;
	host_cells_from(cell, cells, values, count);
	host_cells_to(cell, values, cells, count);
	check(r->ops->alloc(r, count * cell_size(cell), ret_device, &err), &err);
	check(r->ops->upload(r, *ret_device, cells, count * cell_size(cell), &err), &err);
	return values;
}

static void read_array(enum cell cell, size_t count, double *values, const void *device)
{
	struct err err = {0};
	struct runner *r = target_runner();
	autofree void *cells = xmalloc(count * cell_size(cell));
	check(r->ops->download(r, cells, device, count * cell_size(cell), &err), &err);
	host_cells_to(cell, values, cells, count);
}

/* --- the sums, each at one place --- */

static double x_at(const struct conv_shape *s, const double *x, int n, int y, int at, int c)
{
	bool inside = y >= 0 && y < s->h && at >= 0 && at < s->w;
	return inside ? x[(((size_t)n * (size_t)s->h + (size_t)y) * (size_t)s->w + (size_t)at) * (size_t)s->c + (size_t)c] : 0;
}

static double w_at(const struct conv_shape *s, const double *w, int k, int r, int q, int c)
{
	return w[(((size_t)k * (size_t)s->kernel + (size_t)r) * (size_t)s->kernel + (size_t)q) * (size_t)s->c + (size_t)c];
}

static double y_at(const struct conv_shape *s, const double *y, int n, int oy, int ox, int k)
{
	int oh = conv_out(s->h, s), ow = conv_out(s->w, s);
	bool inside = oy >= 0 && oy < oh && ox >= 0 && ox < ow;
	return inside ? y[(((size_t)n * (size_t)oh + (size_t)oy) * (size_t)ow + (size_t)ox) * (size_t)s->k + (size_t)k] : 0;
}

static double fprop_sum(const struct conv_shape *s, const struct arrays *a, const int at[4])
{
	double sum = 0;
	for (int r = 0; r < s->kernel; r++)
		for (int q = 0; q < s->kernel; q++)
			for (int c = 0; c < s->c; c++)
				sum += x_at(s, a->x, at[0], at[1] * s->stride - s->pad + r, at[2] * s->stride - s->pad + q, c) *
				       w_at(s, a->w, at[3], r, q, c);
	return sum;
}

/* Of input pixel at[1], at[2]: the outputs that saw it through (r, q). */
static double dgrad_sum(const struct conv_shape *s, const struct arrays *a, const int at[4])
{
	double sum = 0;
	for (int r = 0; r < s->kernel; r++)
		for (int q = 0; q < s->kernel; q++) {
			int y = at[1] + s->pad - r, x = at[2] + s->pad - q;
			if (y < 0 || x < 0 || y % s->stride || x % s->stride)
				continue;
			for (int k = 0; k < s->k; k++)
				sum += y_at(s, a->y, at[0], y / s->stride, x / s->stride, k) * w_at(s, a->w, k, r, q, at[3]);
		}
	return sum;
}

static double wgrad_sum(const struct conv_shape *s, const struct arrays *a, const int at[4])
{
	double sum = 0;
	for (int n = 0; n < s->n; n++)
		for (int oy = 0; oy < conv_out(s->h, s); oy++)
			for (int ox = 0; ox < conv_out(s->w, s); ox++)
				sum += y_at(s, a->y, n, oy, ox, at[0]) *
				       x_at(s, a->x, n, oy * s->stride - s->pad + at[1], ox * s->stride - s->pad + at[2], at[3]);
	return sum;
}

struct result { /* what a pass writes */
	double (*sum)(const struct conv_shape *s, const struct arrays *a, const int at[4]);
	double *values;
	void *device;
	int size[4];
	double terms; /* of a sum */
};

static struct result result_of(const struct conv_shape *s, const struct arrays *a)
{
	int oh = conv_out(s->h, s), ow = conv_out(s->w, s), area = s->kernel * s->kernel;
	switch (s->pass) {
	case CONV_FPROP:
		return (struct result){fprop_sum, a->y, a->device[2], {s->n, oh, ow, s->k}, (double)area * s->c};
	case CONV_DGRAD:
		return (struct result){dgrad_sum, a->x, a->device[0], {s->n, s->h, s->w, s->c}, (double)area * s->k};
	case CONV_WGRAD:
		break;
	}
	return (struct result){wgrad_sum, a->w, a->device[1], {s->k, s->kernel, s->kernel, s->c}, (double)s->n * oh * ow};
}

/* Returns the worst error in tolerances. */
static double compare(const struct conv_shape *s, const struct arrays *a, const struct result *t)
{
	double worst = 0;
	for (int i = 0; i < PLACES; i++) {
		int at[4];
		size_t index = 0;
		for (int d = 0; d < 4; d++) { /* corners too: padding is there */
			at[d] = i < 2 ? (i ? t->size[d] - 1 : 0) : (int)draw((uint32_t)t->size[d]);
			index = index * (size_t)t->size[d] + (size_t)at[d];
		}
		double want = t->sum(s, a, at), got = t->values[index];
		double excess = fabs(got - want) / (1.01 * rounding[s->cell] * fabs(want) + sum_tolerance[s->cell] * sqrt(t->terms));
		worst = excess > worst || isnan(excess) ? excess : worst;
	}
	return worst;
}

static bool check_conv(const struct conv_shape *s)
{
	struct err err = {0};
	char text[CONV_TEXT_MAX];
	struct runner *r = target_runner();
	struct arrays a;
	struct program *program;
	struct launch_list list = {0};
	a.x = new_array(s->cell, conv_x_count(s), &a.device[0]);
	a.w = new_array(s->cell, conv_w_count(s), &a.device[1]);
	a.y = new_array(s->cell, conv_y_count(s), &a.device[2]);
	launch_conv(&list, s, a.device[0], a.device[1], a.device[2], "%s", conv_text(s, text));
	check(r->ops->prepare(r, &list, &program, &err), &err);
	check(r->ops->run(r, program, 1, &err), &err);
	struct result t = result_of(s, &a);
	size_t count = (size_t)t.size[0] * (size_t)t.size[1] * (size_t)t.size[2] * (size_t)t.size[3];
	read_array(s->cell, count, t.values, t.device);
	double worst = compare(s, &a, &t);
	print_message("# %s: %.2g of the tolerance\n", text, worst);
	r->ops->program_free(r, program);
	for (int i = 0; i < 3; i++)
		r->ops->release(r, a.device[i]);
	free(a.x);
	free(a.w);
	free(a.y);
	return worst <= 1;
}

struct conv_case {
	const char *name, *model;
	int size, batch;
};

static bool on_host(void)
{
	return !target_name() || str_eq(target_name(), "host");
}

static void test_convs(void **state)
{
	const struct conv_case *c = *state;
	bool good = true;
	struct net *net = on_host() ? net_new_custom(STEM_CIFAR, true, (int[]){1, 1, 0, 0}, 8, 9, 10)
				    : net_new(c->model, STEM_CIFAR, c->size, 100);
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		size_t n;
		autofree struct conv_shape *shapes = conv_shapes_of_net(net, cell, on_host() ? 2 : c->batch, &n);
		for (size_t i = 0; i < n; i++) {
			bool seen = false;
			for (size_t before = 0; before < i; before++)
				seen |= conv_shape_eq(&shapes[before], &shapes[i]);
			good &= seen || check_conv(&shapes[i]);
		}
	}
	net_free(net);
	assert_true(good);
}

int main(void)
{
	static const struct conv_case cases[] = {
		{"resnet18, 128 images", "resnet18", 32, 128},
		{"resnet18, the last 80", "resnet18", 32, 80},
		{"resnet50, 64 images", "resnet50", 32, 64},
		{"resnet50, 224 pixels, 8 images", "resnet50", 224, 8},
	};
	struct CMUnitTest tests[ARRAY_LEN(cases)];
	size_t n = on_host() ? 1 : ARRAY_LEN(cases);
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = test_convs,
					       .initial_state = (void *)&cases[i]};
	return _cmocka_run_group_tests("convolutions", tests, n, NULL, NULL);
}
