/* The device's augmentation against the CPU's, in all its settings: equal bytes, and equal bits once normalised, erased and
 * mixed; step_begin. */
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
	struct augmenter augmenter;
	uint32_t *order;
	int32_t *labels, *partners;
	float *shares;
	struct affine_table affines;
};

enum { STEPS = 3 };

static void batch_open(struct batch *t, enum cell cell, bool colour, uint32_t batch, uint32_t n,
		       const struct augment_settings *settings)
{
	*t = (struct batch){.data = images_new(40, 1, 10, colour)};
	augmenter_init(&t->augmenter, settings, t->data->mean, t->data->std);
	affine_table_fill(&t->affines, settings->size);
	bench_init(&t->b, cell);
	t->set = &t->data->sets[SPLIT_TRAIN];
	bench_share(&t->b, &t->state, sizeof(t->state));
	size_t last = t->set->count - 1;
	bench_share(&t->b, t->set->pixels, last * t->set->pitch + 2 * t->set->plane_pitch + IMAGE_PLANE);
	bench_share(&t->b, t->set->labels, last * t->set->label_pitch + 1);
	t->order = bench_alloc(&t->b, 40 * sizeof(*t->order));
	t->labels = bench_alloc(&t->b, n * sizeof(*t->labels));
	t->partners = bench_alloc(&t->b, n * sizeof(*t->partners));
	t->shares = bench_alloc(&t->b, n * sizeof(*t->shares));
	bench_share(&t->b, &t->affines, sizeof(t->affines));
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
					  .settings = *settings,
					  .draws = 1};
	memcpy(t->source.mean, t->data->mean, sizeof(t->source.mean));
	memcpy(t->source.std, t->data->std, sizeof(t->source.std));
}

static void batch_close(struct batch *t)
{
	bench_fini(&t->b);
	augmenter_fini(&t->augmenter);
	images_free(t->data);
}

/* The sample at place i of the batch. */
static uint32_t sample_at(const struct batch *t, uint32_t i)
{
	uint32_t at = t->state.step * t->source.batch + i;
	return t->source.order ? t->order[at] : at;
}

static struct sample_key key_of(const struct batch *t, uint32_t sample)
{
	return (struct sample_key){t->state.seed, sample, t->state.epoch};
}

static void check_labels(const struct batch *t)
{
	for (uint32_t i = 0; i < t->source.n; i++)
		assert_int_equal(t->labels[i], t->set->labels[sample_at(t, i) * t->set->label_pitch]);
}

static const struct augment_settings crop_flip = {.size = 32, .crop = CROP_RANDOM, .flip = true, .crop_scale = 1};
static const struct augment_settings heavy[] = {
	{.size = 32, .crop = CROP_RANDOM, .flip = true, .crop_scale = 1, .jitter = {0.4f, 0.4f, 0.4f, 0.1f}},
	{.size = 32, .crop = CROP_CENTER, .trivial = true, .erasing = 0.25f, .crop_scale = 1},
	{.size = 32, .crop = CROP_RESIZED, .crop_scale = 0.08f, .flip = true, .trivial = true, .cutout = 8},
	{.size = 48, .crop = CROP_RANDOM, .flip = true, .jitter = {0, 0.9f, 0, 0.5f}, .trivial = true, .erasing = 1, .crop_scale = 1},
	{.size = 48, .crop = CROP_RESIZED, .crop_scale = 0.3f, .flip = true},
	{.size = 48, .crop = CROP_CENTER, .crop_scale = 1},
};

/* The bytes of the batch's images; for many (seed, epoch, sample), the shared arrays being poisoned between. */
static void check_transform(const struct augment_settings *settings, bool colour, enum host_order order)
{
	struct batch t;
	size_t values = augment_values(settings->size);
	autofree uint8_t *want = xmalloc(values);
	batch_open(&t, CELL_F32, colour, 40, 40, settings);
	uint8_t *out = bench_alloc(&t.b, 40 * values), *moved = bench_alloc(&t.b, 40 * values);
	for (uint32_t epoch = 0; epoch < 3; epoch++) {
		t.state = (struct step_state){.seed = 0x123456789abcdefu * epoch, .epoch = epoch};
		union kernel_args args = {.transform = {t.source, settings->trivial ? &t.affines : NULL, out, moved}};
		memset(out, 0xff, 40 * values);
		bench_launch(&t.b, KERNEL_TRANSFORM, &args, order);
		for (uint32_t i = 0; i < 40; i++) {
			struct sample_key key = key_of(&t, sample_at(&t, i));
			augment_bytes(&t.augmenter, want, t.set, key.sample, &key);
			for (size_t at = 0; at < values; at++)
				if (out[i * values + at] != want[at])
					fail_msg("sample %u, byte %zu: %d, expected %d", key.sample, at, out[i * values + at], want[at]);
		}
	}
	batch_close(&t);
}

static void test_bytes_are_the_cpus(void **state)
{
	for (size_t k = 0; k < ARRAY_LEN(heavy); k++)
		check_transform(&heavy[k], k != 1, k % 2 ? HOST_FORWARD : HOST_BACKWARD);
	check_transform(&heavy[3], true, HOST_SHUFFLED);
}

static void test_test_images_are_not_drawn(void **state)
{
	struct batch t;
	const size_t values = augment_values(48);
	autofree uint8_t *want = xmalloc(values);
	batch_open(&t, CELL_F32, true, 3, 3, &heavy[3]);
	uint8_t *out = bench_alloc(&t.b, 3 * values), *moved = bench_alloc(&t.b, 3 * values);
	t.source.draws = 0;
	t.source.settings = augment_settings_test(48);
	t.source.order = NULL;
	union kernel_args args = {.transform = {t.source, NULL, out, moved}};
	bench_launch(&t.b, KERNEL_TRANSFORM, &args, HOST_FORWARD);
	for (uint32_t i = 0; i < 3; i++) {
		augment_bytes(&t.augmenter, want, t.set, i, NULL);
		assert_memory_equal(out + i * values, want, values);
	}
	batch_close(&t);
}

/* --- normalised, erased, mixed --- */

/* What the loader would make of the batch. */
static float *batch_wanted(struct batch *t, const struct mix *mix)
{
	int size = t->source.settings.size;
	size_t values = augment_values(size);
	float *want = xmalloc(t->source.n * values * sizeof(*want));
	autofree float *kept = xmalloc(values * sizeof(*kept));
	for (uint32_t i = 0; i < t->source.n; i++) {
		struct sample_key key = key_of(t, sample_at(t, i));
		augment_sample(&t->augmenter, want + i * values, t->set, key.sample, t->source.draws ? &key : NULL);
	}
	if (mix)
		mix_images(want, (int)t->source.n, size, mix, kept);
	return want;
}

/* Bit for bit in fp32, rounded once in the others. */
static void check_values(struct batch *t, struct array *out, const struct mix *mix)
{
	size_t pixels = augment_values(t->source.settings.size) / 3;
	autofree float *want = batch_wanted(t, mix);
	struct array rounded = array_new(&t->b, t->b.cell, 8);
	array_read(out);
	for (size_t i = 0; i < t->source.n; i++)
		for (size_t p = 0; p < pixels; p++) {
			for (size_t c = 0; c < 8; c++)
				rounded.values[c] = c < 3 ? (double)want[(i * 3 + c) * pixels + p] : 0;
			array_fill(&rounded);
			assert_memory_equal(&out->values[(i * pixels + p) * 8], rounded.values, 64);
		}
}

static void check_mixed_labels(const struct batch *t, const struct mix *mix)
{
	check_labels(t);
	for (uint32_t i = 0; i < t->source.n; i++) {
		uint32_t partner = mix->kind == MIX_NONE ? i : i > 0 ? i - 1 : t->source.n - 1;
		assert_int_equal(t->partners[i], t->labels[partner]);
		assert_true(t->shares[i] == (mix->kind == MIX_NONE ? 1 : mix->lambda));
	}
}

static struct mix mixes[STEPS] = { /* a launch may copy them back */
	{.kind = MIX_MIXUP, .lambda = 0.3f}, {.kind = MIX_NONE, .lambda = 1},
	{.kind = MIX_CUTMIX, .lambda = 0.7f, .box = {3, 0, 20, 17}}};

/* A later step, the epoch's last (shorter) batch, an evaluation without order. */
static void check_batch(const struct augment_settings *settings, enum cell cell, uint32_t step, bool train)
{
	struct batch t;
	size_t values = augment_values(settings->size);
	batch_open(&t, cell, true, 16, step == 2 ? 8 : 16, settings);
	bench_share(&t.b, mixes, sizeof(mixes));
	t.state = (struct step_state){.seed = 99, .epoch = 4, .step = step};
	t.source.draws = train;
	t.source.order = train ? t.order : NULL;
	if (!train)
		t.source.settings = augment_settings_test(settings->size);
	uint8_t *bytes = bench_alloc(&t.b, t.source.n * values), *moved = bench_alloc(&t.b, t.source.n * values);
	bool moves_only = augment_moves_only(&t.source.settings);
	union kernel_args transform = {.transform = {t.source, t.source.settings.trivial ? &t.affines : NULL, bytes, moved}};
	if (!moves_only)
		bench_launch(&t.b, KERNEL_TRANSFORM, &transform, HOST_FORWARD);
	struct array out = array_new(&t.b, cell, t.source.n * values / 3 * 8);
	union kernel_args args = {.augment = {t.source, moves_only ? NULL : bytes, train ? mixes : NULL, out.data, t.labels,
					      t.partners, t.shares}};
	size_t n = t.source.n;
	bench_run(&t.b, KERNEL_AUGMENT, &args,
		  (struct region[]){REGION(out), {t.labels, n * 4, false}, {t.partners, n * 4, false}, {t.shares, n * 4, false}},
		  train ? 4 : 2);
	check_values(&t, &out, train ? &mixes[step] : NULL);
	if (train)
		check_mixed_labels(&t, &mixes[step]);
	else
		check_labels(&t);
	batch_close(&t);
}

static void test_values_are_the_cpus(void **state)
{
	for (enum cell cell = 0; cell < CELL_COUNT; cell++)
		for (uint32_t step = 0; step < STEPS; step++)
			check_batch(&crop_flip, cell, step, true);
	for (uint32_t step = 0; step < STEPS; step++) {
		check_batch(&heavy[1], CELL_F32, step, true);
		check_batch(&heavy[2], CELL_BF16, step, true);
	}
	check_batch(&heavy[3], CELL_F32, 0, true);
	check_batch(&crop_flip, CELL_BF16, 1, false);
	check_batch(&heavy[3], CELL_F32, 1, false);
}

static void test_crop_and_flip_are_switches(void **state)
{
	for (int which = 0; which < 4; which++) {
		struct augment_settings s = {.size = 32, .crop = which & 1 ? CROP_RANDOM : CROP_CENTER, .flip = which >> 1};
		check_batch(&s, CELL_F32, 1, true);
	}
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
		cmocka_unit_test(test_bytes_are_the_cpus),	 cmocka_unit_test(test_test_images_are_not_drawn),
		cmocka_unit_test(test_crop_and_flip_are_switches), cmocka_unit_test(test_values_are_the_cpus),
		cmocka_unit_test(test_step_begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
