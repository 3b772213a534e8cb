/* Images held out of the training set: each image in one of the two sets, classes in their shares, drawn by the seed. */
#include "cmocka_all.h"
#include "images.h"

#include "worker/data.h"

enum { IMAGES = 1003, CLASSES = 7 };

/* How many images of each class a set has. */
static void count(const struct image_set *set, size_t *ret)
{
	for (size_t c = 0; c < CLASSES; c++)
		ret[c] = 0;
	for (size_t i = 0; i < set->count; i++)
		ret[image_label(set, i)]++;
}

static void check(size_t n)
{
	struct dataset *data = images_new(IMAGES, 5, CLASSES, true);
	const struct image_set *train = &data->sets[SPLIT_TRAIN], *val = &data->sets[SPLIT_VAL];
	size_t all[CLASSES], left[CLASSES], held[CLASSES];
	bool seen[IMAGES] = {0};
	count(train, all);
	dataset_hold_out(data, n, 3);
	assert_true(train->count == IMAGES - n && val->count == n && data->sets[SPLIT_TEST].index == NULL);
	count(train, left);
	count(val, held);
	for (size_t c = 0; c < CLASSES; c++) {
		double share = (double)(all[c] * n) / IMAGES;
		assert_int_equal(left[c] + held[c], all[c]);
		assert_true((double)held[c] > share - 1 && (double)held[c] < share + 1);
	}
	for (size_t i = 0; i < IMAGES; i++) {
		const struct image_set *set = i < train->count ? train : val;
		size_t k = i < train->count ? i : i - train->count;
		assert_false(seen[set->index[k]]);
		seen[set->index[k]] = true;
		assert_ptr_equal(image_plane(set, k, 2), set->pixels + set->index[k] * set->pitch + 2 * set->plane_pitch);
	}
	free(data->held);
	images_free(data);
}

static void test_shares(void **state)
{
	const size_t wanted[] = {1, 6, 100, 501, IMAGES - 1};
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		check(wanted[i]);
}

static void test_the_seed_draws(void **state)
{
	uint32_t held[3][100];
	const uint64_t seeds[3] = {1, 1, 2};
	for (int i = 0; i < 3; i++) {
		struct dataset *data = images_new(IMAGES, 5, CLASSES, true);
		dataset_hold_out(data, 100, seeds[i]);
		memcpy(held[i], data->sets[SPLIT_VAL].index, sizeof(held[i]));
		free(data->held);
		images_free(data);
	}
	assert_memory_equal(held[0], held[1], sizeof(held[0]));
	assert_memory_not_equal(held[0], held[2], sizeof(held[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_the_seed_draws)};
	return cmocka_run_group_tests_name("hold_out", tests, NULL, NULL);
}
