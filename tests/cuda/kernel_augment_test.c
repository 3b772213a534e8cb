/* The device's augmentation against the CPU's: equal bytes, and equal bits once normalised; enlargement against the
 * formula in double; step_begin. */
#include "arrays.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/images.h"
#include "worker/augment.h"

#include <math.h>

struct batch { /* of one step */
	struct bench b;
	struct dataset *data;
	const struct image_set *set;
	struct step_state state;
	struct batch_source source;
	uint32_t *order;
	int32_t *labels;
};

static void batch_open(struct batch *t, enum cell cell, bool colour, uint32_t batch, uint32_t n)
{
	*t = (struct batch){.data = images_new(40, 1, 10, colour)};
	bench_init(&t->b, cell);
	t->set = &t->data->sets[SPLIT_TRAIN];
	bench_share(&t->b, &t->state, sizeof(t->state));
	size_t last = t->set->count - 1;
	bench_share(&t->b, t->set->pixels, last * t->set->pitch + 2 * t->set->plane_pitch + IMAGE_PLANE);
	bench_share(&t->b, t->set->labels, last * t->set->label_pitch + 1);
	t->order = bench_alloc(&t->b, 40 * sizeof(*t->order));
	t->labels = bench_alloc(&t->b, n * sizeof(*t->labels));
	epoch_order(t->order, 40, 3, 5);
	t->source = (struct batch_source){.state = &t->state,
					  .pixels = t->set->pixels,
					  .labels = t->set->labels,
					  .pitch = t->set->pitch,
					  .plane_pitch = t->set->plane_pitch,
					  .label_pitch = t->set->label_pitch,
					  .order = t->order,
					  .batch = batch,
					  .n = n,
					  .crop = 1,
					  .flip = 1};
	memcpy(t->source.mean, t->data->mean, sizeof(t->source.mean));
	memcpy(t->source.std, t->data->std, sizeof(t->source.std));
}

static void batch_close(struct batch *t)
{
	bench_fini(&t->b);
	images_free(t->data);
}

/* The sample at place i of the batch. */
static uint32_t sample_at(const struct batch *t, uint32_t i)
{
	uint32_t at = t->state.step * t->source.batch + i;
	return t->source.order ? t->order[at] : at;
}

static struct augment_draw draw_of(const struct batch *t, uint32_t sample)
{
	return augment_draw(t->state.seed, sample, t->state.epoch, t->source.crop, t->source.flip);
}

static void check_labels(const struct batch *t)
{
	for (uint32_t i = 0; i < t->source.n; i++)
		assert_int_equal(t->labels[i], t->set->labels[sample_at(t, i) * t->set->label_pitch]);
}

/* Out as fp32 with nothing normalised away: value * 255 is the byte. */
static void check_bytes(struct batch *t, const struct array *out)
{
	uint8_t want[IMAGE_VALUES];
	for (uint32_t i = 0; i < t->source.n; i++) {
		uint32_t sample = sample_at(t, i);
		augment_bytes(want, t->set, sample, draw_of(t, sample));
		for (size_t p = 0; p < IMAGE_PLANE; p++) {
			const float *pixel = (const float *)out->data + (i * IMAGE_PLANE + p) * 8;
			for (size_t c = 0; c < 3; c++) {
				float byte = (float)want[c * IMAGE_PLANE + p] / 255.0f;
				if (memcmp(&pixel[c], &byte, sizeof(byte)) != 0)
					fail_msg("sample %u, channel %zu, pixel %zu: %g, expected %g", sample, c, p,
						 (double)pixel[c], (double)byte);
			}
			for (size_t c = 3; c < 8; c++)
				assert_true(pixel[c] == 0);
		}
	}
}

/* For many (seed, epoch, sample). */
static void test_bytes_are_the_cpus(void **state)
{
	for (int colour = 0; colour <= 1; colour++) {
		struct batch t;
		batch_open(&t, CELL_F32, colour, 40, 40);
		struct array out = array_new(&t.b, CELL_F32, 40 * IMAGE_PLANE * 8);
		for (int c = 0; c < 3; c++) {
			t.source.mean[c] = 0;
			t.source.std[c] = 1;
		}
		union kernel_args args = {.augment = {t.source, out.data, t.labels}};
		for (uint64_t seed = 0; seed < 3; seed++)
			for (uint32_t epoch = 0; epoch < 3; epoch++) {
				t.state.seed = seed * 0x123456789abcdefu;
				t.state.epoch = epoch * 77;
				memset(out.data, 0xff, out.count * sizeof(float));
				bench_launch(&t.b, KERNEL_AUGMENT, &args, HOST_FORWARD);
				check_bytes(&t, &out);
				check_labels(&t);
			}
		batch_close(&t);
	}
}

static void test_crop_and_flip_are_switches(void **state)
{
	for (uint32_t which = 0; which < 4; which++) {
		struct batch t;
		batch_open(&t, CELL_F32, true, 40, 40);
		struct array out = array_new(&t.b, CELL_F32, 40 * IMAGE_PLANE * 8);
		t.source.crop = which & 1;
		t.source.flip = which >> 1;
		for (int c = 0; c < 3; c++) {
			t.source.mean[c] = 0;
			t.source.std[c] = 1;
		}
		union kernel_args args = {.augment = {t.source, out.data, t.labels}};
		bench_launch(&t.b, KERNEL_AUGMENT, &args, HOST_FORWARD);
		check_bytes(&t, &out);
		batch_close(&t);
	}
}

/* Normalised, a later step, the epoch's last (shorter) batch, an evaluation without order: augment_sample()'s values,
 * bit for bit in fp32 and rounded once in the others. */
static void test_values_are_the_cpus(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)
		for (uint32_t step = 0; step < 3; step++) {
			struct batch t;
			struct normalizer normalizer;
			float want[IMAGE_VALUES];
			batch_open(&t, cell, true, 16, step == 2 ? 8 : 16);
			t.state = (struct step_state){.seed = 99, .epoch = 4, .step = step};
			t.source.order = step == 1 ? NULL : t.order;
			struct array out = array_new(&t.b, cell, t.source.n * IMAGE_PLANE * 8),
				     rounded = array_new(&t.b, cell, 8);
			union kernel_args args = {.augment = {t.source, out.data, t.labels}};
			bench_run(&t.b, KERNEL_AUGMENT, &args,
				  (struct region[]){REGION(out), {t.labels, t.source.n * sizeof(int32_t), false}}, 2);
			check_labels(&t);
			normalizer_init(&normalizer, t.source.mean, t.source.std);
			array_read(&out);
			for (uint32_t i = 0; i < t.source.n; i++) {
				augment_sample(want, t.set, sample_at(&t, i), draw_of(&t, sample_at(&t, i)),
					       &normalizer);
				for (size_t p = 0; p < IMAGE_PLANE; p++) {
					for (size_t c = 0; c < 8; c++)
						rounded.values[c] = c < 3 ? (double)want[c * IMAGE_PLANE + p] : 0;
					array_fill(&rounded);
					assert_memory_equal(&out.values[(i * IMAGE_PLANE + p) * 8], rounded.values, 64);
				}
			}
			batch_close(&t);
		}
}

/* torch's interpolate(mode="bilinear", align_corners=False) of a plane (32, 32), in double. */
static double enlarged(const uint8_t *plane, double size, int y, int x)
{
	double at_y = fmax((y + 0.5) * 32 / size - 0.5, 0), at_x = fmax((x + 0.5) * 32 / size - 0.5, 0);
	int y0 = (int)at_y, x0 = (int)at_x, y1 = MIN(y0 + 1, 31), x1 = MIN(x0 + 1, 31);
	double wy = at_y - y0, wx = at_x - x0;
	return (1 - wy) * ((1 - wx) * plane[y0 * 32 + x0] + wx * plane[y0 * 32 + x1]) +
	       wy * ((1 - wx) * plane[y1 * 32 + x0] + wx * plane[y1 * 32 + x1]);
}

static void check_resize(enum cell cell, uint32_t size, uint32_t n)
{
	struct batch t;
	uint8_t bytes[IMAGE_VALUES];
	batch_open(&t, cell, true, n, n);
	size_t pixels = (size_t)size * size;
	struct array out = array_new(&t.b, cell, n * pixels * 8);
	union kernel_args args = {.resize = {t.source, size, out.data, t.labels}};
	bench_run(&t.b, KERNEL_RESIZE, &args, (struct region[]){REGION(out), {t.labels, n * sizeof(int32_t), false}},
		  2);
	check_labels(&t);
	array_read(&out);
	for (uint32_t i = 0; i < n; i++) {
		augment_bytes(bytes, t.set, sample_at(&t, i), draw_of(&t, sample_at(&t, i)));
		for (size_t p = 0; p < pixels; p++) {
			double want[8] = {0};
			for (int c = 0; c < 3; c++)
				want[c] = (enlarged(bytes + c * IMAGE_PLANE, size, (int)(p / size), (int)(p % size)) /
						   255 -
					   (double)t.source.mean[c]) /
					  (double)t.source.std[c];
			assert_all_near("pixel", &out.values[(i * pixels + p) * 8], want, 8, 1.01 * cell_rounding(cell),
					2e-5);
		}
	}
	batch_close(&t);
}

static void test_resize(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++) {
		check_resize(cell, 32, 2);
		check_resize(cell, 45, 3);
	}
	check_resize(CELL_BF16, 224, 2);
}

static void test_step_begin(void **state)
{
	struct step_values values[3] = {{0.1, 0.8}, {0.2, 0.9}, {0.3, 0.95}};
	struct optim_f32 coefs[OPTIM_SEGMENTS];
	struct bench b;
	struct step_state s = {.next = 1, .steps = 6, .loss = 5};
	struct region regions[] = {{&s, sizeof(s), true}, {coefs, sizeof(coefs), false}};
	bench_init(&b, CELL_F32);
	bench_share(&b, &s, sizeof(s));
	bench_share(&b, values, sizeof(values));
	bench_share(&b, coefs, sizeof(coefs));
	union kernel_args args = {.step_begin = {.state = &s, .values = values, .coefs = coefs}}, evaluation = args;
	args.step_begin.optim = (struct optim_settings){OPTIMIZER_ADAMW, false, 0, 0.99, 1e-6, 0.05};
	for (uint32_t i = 0; i < OPTIM_SEGMENTS; i++)
		args.step_begin.segments[i] = (struct optim_segment){0.5 + i, i % 2};
	evaluation.step_begin.values = NULL;
	for (uint32_t step = 1; step < 3; step++) {
		bench_run(&b, KERNEL_STEP_BEGIN, &args, regions, 2);
		assert_true(s.step == step && s.next == step + 1 && s.loss == 5 && s.steps == 6);
		for (uint32_t i = 0; i < OPTIM_SEGMENTS; i++) {
			struct optim_f64 c = optim_coefs(&args.step_begin.optim, &values[step], 7, 0.5 + i, i % 2);
			struct optim_f32 expected = optim_coefs_f32(&c);
			assert_true(coefs[i].lr == expected.lr && coefs[i].keep == expected.keep && coefs[i].root == expected.root);
			assert_true(coefs[i].first == expected.first && coefs[i].second_new == expected.second_new);
		}
	}
	bench_run(&b, KERNEL_STEP_BEGIN, &evaluation, regions, 1);
	assert_true(s.step == 3 && s.next == 4);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_are_the_cpus),  cmocka_unit_test(test_crop_and_flip_are_switches),
		cmocka_unit_test(test_values_are_the_cpus), cmocka_unit_test(test_resize),
		cmocka_unit_test(test_step_begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
