/* Augmentation against torchvision's results and against a slow version that follows the words; the epoch's order. */
#include "golden.h"
#include "images.h"

#include "worker/augment.h"
#include "worker/rng.h"

static uint8_t golden_image[IMAGE_VALUES]; /* planes */

static struct image_set golden_set(void)
{
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < 32; y++)
			for (int x = 0; x < 32; x++)
				golden_image[(c * 32 + y) * 32 + x] = golden_pixel(y, x, c);
	return (struct image_set){.pixels = golden_image, .pitch = IMAGE_VALUES, .plane_pitch = IMAGE_PLANE, .count = 1};
}

/* The golden digests are of interleaved colours. */
static void check_interleaved(const uint8_t *planes, const char *expected)
{
	uint8_t pixels[IMAGE_VALUES];
	char hex[65];
	for (int i = 0; i < IMAGE_PLANE; i++)
		for (int c = 0; c < 3; c++)
			pixels[3 * i + c] = planes[c * IMAGE_PLANE + i];
	sha256_hex(pixels, sizeof(pixels), hex);
	assert_string_equal(hex, expected);
}

static const char *digest(const json_t *g, const char *key)
{
	return json_string_value(golden_get(golden_get(g, key), "sha256"));
}

static void test_sha256_known_answers(void **state)
{
	char hex[65];
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
	assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_bytes_are_torchvisions(void **state)
{
	json_t *g = golden_load("transforms.json");
	struct image_set set = golden_set();
	uint8_t out[IMAGE_VALUES];
	augment_bytes(out, &set, 0, augment_draw_none());
	check_interleaved(out, json_string_value(golden_get(g, "image_sha256")));
	augment_bytes(out, &set, 0, (struct augment_draw){3, 7, false});
	check_interleaved(out, digest(g, "pad4_crop_i3_j7"));
	augment_bytes(out, &set, 0, (struct augment_draw){4, 4, true});
	check_interleaved(out, digest(g, "hflip"));
	json_decref(g);
}

static void test_floats_are_torchvisions(void **state)
{
	json_t *g = golden_load("transforms.json");
	struct image_set set = golden_set();
	struct normalizer normalizer;
	float out[IMAGE_VALUES];
	char hex[65];
	normalizer_init(&normalizer, (float[]){.5071f, .4867f, .4408f}, (float[]){.2675f, .2565f, .2761f});
	augment_sample(out, &set, 0, augment_draw_none(), &normalizer);
	sha256_hex(out, sizeof(out), hex);
	const json_t *expected = golden_get(g, "normalize_0.5071_chw_float32");
	assert_string_equal(hex, json_string_value(golden_get(expected, "sha256_le_f32")));
	json_decref(g);
}

/* --- against the words: pad by 4, crop at (row, col), flip --- */

static uint8_t slow_byte(const struct image_set *set, size_t index, struct augment_draw d, int c, int y, int x)
{
	uint8_t padded[40][40] = {{0}};
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++)
			padded[i + 4][j + 4] = set->pixels[index * set->pitch + (size_t)c * set->plane_pitch +
							   (size_t)(i * 32 + j)];
	return padded[d.row + y][d.col + (d.flip ? 31 - x : x)];
}

static void check_against_words(const struct image_set *set, size_t index, struct augment_draw d)
{
	uint8_t out[IMAGE_VALUES];
	augment_bytes(out, set, index, d);
	for (int i = 0; i < IMAGE_VALUES; i++)
		assert_int_equal(out[i], slow_byte(set, index, d, i / IMAGE_PLANE, i / 32 % 32, i % 32));
}

static void test_every_crop_and_flip(void **state)
{
	struct dataset *colour = images_new(2, 1, 10, true), *grey = images_new(2, 1, 10, false);
	for (int i = 0; i < 9 * 9 * 2; i += 5) { /* 5 and 9 have no common factor: rows and columns all occur */
		struct augment_draw d = {i / 2 % 9, i / 18, i % 2};
		check_against_words(&colour->sets[SPLIT_TRAIN], 1, d);
		check_against_words(&grey->sets[SPLIT_TRAIN], 1, d);
	}
	images_free(colour);
	images_free(grey);
}

/* --- draws --- */

static void test_draws(void **state)
{
	int rows[9] = {0}, cols[9] = {0}, flips = 0;
	enum { SAMPLES = 18000 };
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct augment_draw d = augment_draw(42, i, 3, true, true);
		struct philox r = philox4x32(42, i, 3, RNG_AUGMENT, 0);
		assert_int_equal(d.row, (uint64_t)r.v[0] * 9 >> 32);
		assert_int_equal(d.col, (uint64_t)r.v[1] * 9 >> 32);
		assert_int_equal(d.flip, r.v[2] >> 31);
		rows[d.row]++;
		cols[d.col]++;
		flips += d.flip;
	}
	for (int i = 0; i < 9; i++) /* 2000 each, standard deviation 42 */
		assert_true(abs(rows[i] - 2000) < 200 && abs(cols[i] - 2000) < 200);
	assert_true(abs(flips - SAMPLES / 2) < 300);
}

static void test_draws_can_be_switched_off(void **state)
{
	for (uint32_t i = 0; i < 50; i++) {
		struct augment_draw both = augment_draw(1, i, 0, true, true), crop = augment_draw(1, i, 0, true, false);
		struct augment_draw flip = augment_draw(1, i, 0, false, true);
		assert_true(crop.row == both.row && crop.col == both.col && !crop.flip);
		assert_true(flip.row == 4 && flip.col == 4 && flip.flip == both.flip);
	}
}

static void test_order_is_a_permutation(void **state)
{
	enum { N = 1000 };
	uint32_t a[N], b[N];
	uint8_t seen[N] = {0};
	int fixed = 0;
	epoch_order(a, N, 5, 0);
	for (int i = 0; i < N; i++) {
		assert_true(a[i] < N && seen[a[i]]++ == 0);
		fixed += a[i] == (uint32_t)i;
	}
	assert_true(fixed < 10); /* one is expected */
	epoch_order(b, N, 5, 0);
	assert_memory_equal(a, b, sizeof(a));
	epoch_order(b, N, 5, 1);
	assert_memory_not_equal(a, b, sizeof(a));
	epoch_order(b, N, 6, 0);
	assert_memory_not_equal(a, b, sizeof(a));
	epoch_order(b, 1, 5, 0);
	assert_int_equal(b[0], 0);
}

/* Every image is as likely at every place. */
static void test_order_is_fair(void **state)
{
	int counts[4][4] = {{0}};
	for (uint32_t epoch = 0; epoch < 8000; epoch++) {
		uint32_t order[4];
		epoch_order(order, 4, 9, epoch);
		for (int i = 0; i < 4; i++)
			counts[i][order[i]]++;
	}
	for (int i = 0; i < 16; i++) /* 2000 each, standard deviation 39 */
		assert_true(abs(counts[i / 4][i % 4] - 2000) < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256_known_answers),
		cmocka_unit_test(test_bytes_are_torchvisions),
		cmocka_unit_test(test_floats_are_torchvisions),
		cmocka_unit_test(test_every_crop_and_flip),
		cmocka_unit_test(test_draws),
		cmocka_unit_test(test_draws_can_be_switched_off),
		cmocka_unit_test(test_order_is_a_permutation),
		cmocka_unit_test(test_order_is_fair),
	};
	return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
