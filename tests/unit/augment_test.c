/* Augmentation beside augment_pillow_test.c: place against a slow version that follows the words; what is drawn: by torch's
 * histograms (golden/transforms.json) and by settings; the epoch's order. */
#include "golden.h"
#include "images.h"

#include "worker/augment.h"
#include "worker/augment_place.h"

#include <math.h>

static void test_sha256_known_answers(void **state)
{
	char hex[65];
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
	assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* --- against the words: pad by 4, crop at (row, col), flip --- */

static uint8_t slow_byte(const struct image_set *set, size_t index, const struct augment_draw *d, int c, int y, int x)
{
	uint8_t padded[40][40] = {{0}};
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 32; j++)
			padded[i + 4][j + 4] = set->pixels[index * set->pitch + (size_t)c * set->plane_pitch +
							   (size_t)(i * 32 + j)];
	return padded[d->row + y][d->col + (d->flip ? 31 - x : x)];
}

static void check_against_words(const struct augmenter *a, const struct image_set *set, size_t index, const struct augment_draw *d)
{
	uint8_t out[IMAGE_VALUES];
	augment_place(a, &a->settings, out, set, index, d);
	for (int i = 0; i < IMAGE_VALUES; i++) {
		assert_int_equal(out[i], slow_byte(set, index, d, i / IMAGE_PLANE, i / 32 % 32, i % 32));
		assert_int_equal(out[i], cropped_byte(set->pixels + index * set->pitch +
						      (size_t)(i / IMAGE_PLANE) * set->plane_pitch, d, i / 32 % 32, i % 32));
	}
}

static void test_every_crop_and_flip(void **state)
{
	struct dataset *colour = images_new(2, 1, 10, true), *grey = images_new(2, 1, 10, false);
	struct augment_settings s = {.size = 32, .crop = CROP_RANDOM, .flip = true};
	struct augmenter a;
	augmenter_init(&a, &s, colour->mean, colour->std);
	for (int i = 0; i < 9 * 9 * 2; i += 5) { /* 5 and 9 have no common factor: rows and columns all occur */
		struct augment_draw d = augment_draw_none(32);
		d.row = i / 2 % 9;
		d.col = i / 18;
		d.flip = i % 2;
		check_against_words(&a, &colour->sets[SPLIT_TRAIN], 1, &d);
		check_against_words(&a, &grey->sets[SPLIT_TRAIN], 1, &d);
	}
	augmenter_fini(&a);
	images_free(colour);
	images_free(grey);
}

/* Rounding half away from zero, as Pillow's C does, is truncating the value plus a half, for all of HSV -> RGB's values. */
static void test_hue_rounds_as_c(void **state)
{
	for (int hue = 0; hue < 256; hue++)
		for (int saturation = 1; saturation < 256; saturation++)
			for (int value = 1; value < 256; value += 3) {
				double sixths = hue * 6.0 / 255.0, fs = (double)(float)(saturation / 255.0);
				double f = (double)(float)(sixths - floor(sixths)), v = value;
				double q = v * (1.0 - (double)((float)fs * (float)f)), t = v * (1.0 - fs * (1.0 - f));
				assert_true((int)(v * (1 - fs) + 0.5) == (int)round(v * (1 - fs)));
				assert_true((int)(q + 0.5) == (int)round(q) && (int)(t + 0.5) == (int)round(t));
			}
}

/* --- draws --- */

static const struct augment_settings crop_flip = {.size = 32, .crop = CROP_RANDOM, .flip = true};

static void test_crops_and_flips(void **state)
{
	int rows[9] = {0}, cols[9] = {0}, flips = 0;
	enum { SAMPLES = 18000 };
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct sample_key key = {42, i, 3};
		struct augment_draw d = augment_draw(&key, &crop_flip);
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
	struct augment_settings crop = {.size = 32, .crop = CROP_RANDOM}, flip = {.size = 32, .flip = true};
	for (uint32_t i = 0; i < 50; i++) {
		struct sample_key key = {1, i, 0};
		struct augment_draw both = augment_draw(&key, &crop_flip), a = augment_draw(&key, &crop), b = augment_draw(&key, &flip);
		struct erase_draw erase = erase_draw(&key, &crop_flip);
		assert_true(a.row == both.row && a.col == both.col && !a.flip);
		assert_true(b.row == 4 && b.col == 4 && b.flip == both.flip);
		for (int at = 0; at < 1024; at++)
			assert_false(erase_has(&erase, at / 32, at % 32));
	}
}

/* The statistic of a chi-square test of two histograms' being of one distribution; ret_bins: those that hold anything. */
static double chi_square(const double *a, const double *b, size_t bins, int *ret_bins)
{
	double sum = 0, n = 0, m = 0;
	*ret_bins = 0;
	for (size_t i = 0; i < bins; i++) {
		n += a[i];
		m += b[i];
	}
	for (size_t i = 0; i < bins; i++) {
		*ret_bins += a[i] + b[i] > 0;
		if (a[i] + b[i] > 0)
			sum += pow(a[i] * sqrt(m / n) - b[i] * sqrt(n / m), 2) / (a[i] + b[i]);
	}
	return sum;
}

/* Whether the histogram (33) of what was drawn may be of golden's distribution: one chance in a thousand that it fails. */
static void check_histogram(const double *found, const json_t *golden, const char *what)
{
	autofree double *want = golden_doubles(golden, NULL);
	int bins;
	double x = chi_square(found, want, 33, &bins), k = bins - 1;
	double limit = k * pow(1 - 2 / (9 * k) + 3.09 * sqrt(2 / (9 * k)), 3); /* Wilson and Hilferty */
	print_message("# %s: chi-square %.1f of at most %.1f\n", what, x, limit);
	assert_true(x < limit);
}

enum { DRAWS = 100000 };

static void test_resized_crops_are_torchs(void **state)
{
	static const char *const names[4] = {"crop's top", "crop's left", "crop's height", "crop's width"};
	struct augment_settings s = {.size = 32, .crop = CROP_RESIZED, .crop_scale = 0.08f};
	json_t *g = golden_load("transforms.json");
	double found[4][33] = {{0}};
	for (uint32_t i = 0; i < DRAWS; i++) {
		struct sample_key key = {7, i, 1};
		struct augment_draw d = augment_draw(&key, &s);
		int values[4] = {d.top, d.left, d.height, d.width};
		assert_true(d.height >= 1 && d.width >= 1 && d.top >= 0 && d.left >= 0);
		assert_true(d.top + d.height <= 32 && d.left + d.width <= 32);
		for (int k = 0; k < 4; k++)
			found[k][values[k]]++;
	}
	for (size_t k = 0; k < 4; k++)
		check_histogram(found[k], json_array_get(golden_get(golden_get(g, "drawn"), "resized_crop"), k), names[k]);
	json_decref(g);
}

static void test_erased_boxes_are_torchs(void **state)
{
	static const char *const names[4] = {"box's top", "box's left", "box's height", "box's width"};
	struct augment_settings s = {.size = 32, .erasing = 0.5f};
	json_t *g = golden_load("transforms.json");
	double found[4][33] = {{0}};
	int boxes = 0;
	for (uint32_t i = 0; i < 2 * DRAWS; i++) {
		struct sample_key key = {8, i, 1};
		struct erase_draw d = erase_draw(&key, &s);
		const struct box *b = &d.boxes[0];
		int values[4] = {b->y1, b->x1, b->y2 - b->y1, b->x2 - b->x1};
		if (values[2] == 0)
			continue;
		assert_true(b->y1 >= 0 && b->x1 >= 0 && b->y2 <= 32 && b->x2 <= 32 && values[2] < 32 && values[3] < 32);
		boxes++;
		for (int k = 0; k < 4; k++)
			found[k][values[k]]++;
	}
	assert_true(abs(boxes - DRAWS) < 1000); /* standard deviation 224 */
	for (size_t k = 0; k < 4; k++)
		check_histogram(found[k], json_array_get(golden_get(golden_get(g, "drawn"), "erasing"), k), names[k]);
	json_decref(g);
}

static void test_jitter(void **state)
{
	struct augment_settings s = {.size = 32, .jitter = {0.4f, 1.9f, 0.2f, 0.1f}}; /* contrast: cut off at 0 */
	static const double low[4] = {0.6, 0, 0.8, -0.1}, high[4] = {1.4, 2.9, 1.2, 0.1};
	int orders[256] = {0}, n_orders = 0;
	double sum[4] = {0};
	enum { SAMPLES = 24000 };
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct sample_key key = {9, i, 2};
		struct jitter_draw d = jitter_draw(&key, &s);
		n_orders += orders[d.order[0] + 4 * d.order[1] + 16 * d.order[2] + 64 * d.order[3]]++ == 0;
		for (int k = 0; k < 4; k++) {
			assert_true((double)d.factor[k] >= low[k] - 1e-6 && (double)d.factor[k] <= high[k] + 1e-6);
			sum[k] += (double)d.factor[k];
		}
	}
	assert_int_equal(n_orders, 24);
	for (int i = 0; i < 256; i++) /* 1000 each, standard deviation 31 */
		assert_true(orders[i] == 0 || abs(orders[i] - 1000) < 150);
	for (int k = 0; k < 4; k++) /* standard deviation of the mean: width / sqrt(12 n) */
		assert_near(sum[k] / SAMPLES, (low[k] + high[k]) / 2, 0, 4 * (high[k] - low[k]) / sqrt(12.0 * SAMPLES), "mean");
}

static void test_trivial_draws(void **state)
{
	int ops[TRIVIAL_OPS] = {0}, bins[TRIVIAL_BINS] = {0}, negative = 0;
	enum { SAMPLES = 14 * 31 * 100 };
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct sample_key key = {10, i, 0};
		struct trivial_draw d = trivial_draw(&key);
		ops[d.op]++;
		bins[d.bin]++;
		negative += d.negative;
	}
	for (int i = 0; i < TRIVIAL_OPS; i++) /* standard deviation 54 */
		assert_true(abs(ops[i] - 3100) < 220);
	for (int i = 0; i < TRIVIAL_BINS; i++) /* standard deviation 37 */
		assert_true(abs(bins[i] - 1400) < 150);
	assert_true(abs(negative - SAMPLES / 2) < 420);
}

static void test_cutout(void **state)
{
	struct augment_settings s = {.size = 32, .cutout = 16};
	int rows[32] = {0};
	for (uint32_t i = 0; i < 32000; i++) {
		struct sample_key key = {11, i, 0};
		struct erase_draw d = erase_draw(&key, &s);
		const struct box *b = &d.boxes[1];
		assert_true(b->x2 - b->x1 >= 8 && b->x2 - b->x1 <= 16 && b->y2 - b->y1 >= 8 && b->y2 - b->y1 <= 16);
		rows[b->y1 > 0 ? b->y1 + 8 : b->y2 - 8]++;
	}
	for (int i = 0; i < 32; i++) /* 1000 each, standard deviation 31 */
		assert_true(abs(rows[i] - 1000) < 150);
}

/* The draws' own exp() is good to the last bits. */
static void test_exp(void **state)
{
	for (double x = -1.25; x <= 1.25; x += 1.0 / 512)
		assert_near(draw_exp(x), exp(x), 1e-15, 0, "exp");
}

/* --- order --- */

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
		cmocka_unit_test(test_every_crop_and_flip),
		cmocka_unit_test(test_hue_rounds_as_c),
		cmocka_unit_test(test_crops_and_flips),
		cmocka_unit_test(test_draws_can_be_switched_off),
		cmocka_unit_test(test_resized_crops_are_torchs),
		cmocka_unit_test(test_erased_boxes_are_torchs),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_trivial_draws),
		cmocka_unit_test(test_cutout),
		cmocka_unit_test(test_exp),
		cmocka_unit_test(test_order_is_a_permutation),
		cmocka_unit_test(test_order_is_fair),
	};
	return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
