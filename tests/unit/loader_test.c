/* The loader's batches: what they hold, and that neither threads nor stops nor a start in the middle change it. */
#include "golden.h"
#include "images.h"

#include "worker/augment.h"
#include "worker/loader.h"

enum { IMAGES = 53, TESTS = 17, BATCH = 8, STEPS = 7 }; /* last batches: 5 and 1 */

static const struct recipe recipe = {.augment = {.size = 32, .crop = CROP_RANDOM, .flip = true}, .seed = 11};

struct fixture {
	struct dataset *data;
	uint32_t order[IMAGES];
	struct epoch_tables tables;
	struct augmenter augmenter;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->data = images_new(IMAGES, TESTS, 10, true);
	epoch_order(f->order, IMAGES, 11, 2);
	f->tables = (struct epoch_tables){.epoch = 2, .order = f->order, .n_order = IMAGES};
	augmenter_init(&f->augmenter, &recipe.augment, f->data->mean, f->data->std);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	images_free(f->data);
	augmenter_fini(&f->augmenter);
	free(f);
	return 0;
}

static struct loader *new_loader(const struct fixture *f, int workers, int ring)
{
	struct loader *loader;
	struct err err;
	struct recipe with = recipe;
	with.num_workers = workers;
	assert_int_equal(loader_new(&loader, f->data, &with, BATCH, ring, &err), 0);
	return loader;
}

/* The batch that must come, sample by sample. */
static void check_train_batch(struct fixture *f, const struct batch *b, uint32_t step)
{
	const struct image_set *set = &f->data->sets[SPLIT_TRAIN];
	float expected[IMAGE_VALUES];
	assert_non_null(b);
	assert_int_equal(b->step, step);
	assert_int_equal(b->n, MIN(BATCH, IMAGES - (int)step * BATCH));
	for (int i = 0; i < b->n; i++) {
		uint32_t index = f->order[step * BATCH + (uint32_t)i];
		struct sample_key key = {11, index, 2};
		augment_sample(&f->augmenter, expected, set, index, &key);
		assert_memory_equal(b->images + (size_t)i * IMAGE_VALUES, expected, sizeof(expected));
		assert_int_equal(b->labels[i], set->labels[index * set->label_pitch]);
	}
}

static void take(struct fixture *f, struct loader *loader, uint32_t from, uint32_t to)
{
	for (uint32_t step = from; step < to; step++) {
		assert_true(loader_at_train(loader, step));
		const struct batch *b = loader_next(loader);
		check_train_batch(f, b, step);
		loader_release_batch(loader, b);
	}
}

static const struct {
	int workers, ring;
} kinds[] = {{0, 1}, {1, 1}, {1, 3}, {3, 2}, {3, 5}};

static void test_epoch_with_any_threads(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct loader *loader = new_loader(*state, kinds[i].workers, kinds[i].ring);
		struct fixture *f = *state;
		assert_null(loader_next(loader)); /* no pass yet */
		for (int epoch = 0; epoch < 3; epoch++) {
			loader_start_train(loader, &f->tables, 0);
			take(f, loader, 0, STEPS);
			assert_null(loader_next(loader));
		}
		loader_free(loader);
	}
}

/* Strong augmentation, a larger size, mixing: what the plain functions make of the batch, with any threads. */
static void test_mixed_batches(void **state)
{
	enum { SIZE = 40 };
	static const struct mix mixes[STEPS] = {
		{.kind = MIX_MIXUP, .lambda = 0.3f}, {.kind = MIX_NONE, .lambda = 1},
		{.kind = MIX_CUTMIX, .lambda = 0.6f, .box = {0, 2, 30, 21}}, {.kind = MIX_CUTMIX, .lambda = 1},
		{.kind = MIX_NONE, .lambda = 1}, {.kind = MIX_NONE, .lambda = 1}, {.kind = MIX_MIXUP, .lambda = 0.5f}};
	struct fixture *f = *state;
	const struct image_set *set = &f->data->sets[SPLIT_TRAIN];
	struct recipe heavy = {.seed = 11, .augment = {.size = SIZE, .crop = CROP_RESIZED, .crop_scale = 0.2f, .flip = true,
						       .trivial = true, .jitter = {0.4f, 0.4f, 0.4f, 0.1f}, .erasing = 0.5f}};
	size_t values = augment_values(SIZE);
	autofree float *want = xmalloc(BATCH * values * sizeof(*want)), *kept = xmalloc(values * sizeof(*kept));
	struct augmenter a;
	augmenter_init(&a, &heavy.augment, f->data->mean, f->data->std);
	f->tables.mixes = mixes;
	for (int workers = 0; workers < 3; workers++) {
		struct loader *loader;
		struct err err;
		heavy.num_workers = workers;
		assert_int_equal(loader_new(&loader, f->data, &heavy, BATCH, workers + 2, &err), 0);
		loader_start_train(loader, &f->tables, 0);
		for (uint32_t step = 0; step < STEPS; step++) {
			const struct batch *b = loader_next(loader);
			assert_non_null(b);
			for (int i = 0; i < b->n; i++) {
				uint32_t index = f->order[step * BATCH + (uint32_t)i];
				int before = i > 0 ? i - 1 : b->n - 1;
				augment_sample(&a, want + (size_t)i * values, set, index, &(struct sample_key){11, index, 2});
				assert_true(mixes[step].kind == MIX_NONE || b->partners[i] == b->labels[before]);
			}
			mix_images(want, b->n, SIZE, &mixes[step], kept);
			assert_memory_equal(b->images, want, (size_t)b->n * values * sizeof(*want));
			assert_true(b->share == (double)mixes[step].lambda && !b->partners == (mixes[step].kind == MIX_NONE));
			loader_release_batch(loader, b);
		}
		loader_start_eval(loader, SPLIT_TEST, 0);
		const struct batch *b = loader_next(loader);
		augment_sample(&a, want, &f->data->sets[SPLIT_TEST], 0, NULL);
		assert_true(b->share == 1 && !b->partners);
		assert_memory_equal(b->images, want, values * sizeof(*want));
		loader_free(loader);
	}
	augmenter_fini(&a);
}

static void test_start_in_the_middle(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct loader *loader = new_loader(f, kinds[i].workers, kinds[i].ring);
		loader_start_train(loader, &f->tables, 3);
		assert_false(loader_at_train(loader, 0));
		take(f, loader, 3, 5);
		loader_start_train(loader, &f->tables, 1); /* back, with batches in flight */
		take(f, loader, 1, STEPS);
		loader_start_train(loader, &f->tables, STEPS);
		assert_null(loader_next(loader));
		loader_free(loader);
	}
}

static void test_evaluation_between_steps(void **state)
{
	struct fixture *f = *state;
	const struct image_set *set = &f->data->sets[SPLIT_TEST];
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct loader *loader = new_loader(f, kinds[i].workers, kinds[i].ring);
		loader_start_train(loader, &f->tables, 0);
		take(f, loader, 0, 2);
		loader_start_eval(loader, SPLIT_TEST, 0);
		assert_false(loader_at_train(loader, 0));
		size_t seen = 0;
		const struct batch *b;
		while ((b = loader_next(loader))) {
			for (int k = 0; k < b->n; k++, seen++) {
				float expected[IMAGE_VALUES];
				augment_sample(&f->augmenter, expected, set, seen, NULL);
				assert_memory_equal(b->images + (size_t)k * IMAGE_VALUES, expected, sizeof(expected));
				assert_int_equal(b->labels[k], set->labels[seen * set->label_pitch]);
			}
			loader_release_batch(loader, b);
		}
		assert_int_equal(seen, TESTS);
		loader_start_train(loader, &f->tables, 2);
		take(f, loader, 2, STEPS);
		loader_free(loader);
	}
}

static void test_stop_and_free_at_any_time(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 60; i++) {
		struct loader *loader = new_loader(f, 3, 4);
		if (i % 4)
			loader_start_train(loader, &f->tables, 0);
		if (i % 4 == 2)
			take(f, loader, 0, 1);
		if (i % 4 == 3)
			loader_stop(loader);
		loader_stop(loader);
		assert_null(loader_next(loader));
		if (i % 2)
			loader_start_train(loader, &f->tables, 0);
		loader_free(loader);
	}
	loader_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_epoch_with_any_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mixed_batches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evaluation_between_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_and_free_at_any_time, setup, teardown),
	};
	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
