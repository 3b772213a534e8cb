/* Mixing: what is drawn (against torch's own Beta), what that does to images and targets. */
#include "golden.h"

#include "worker/mix.h"

#include <math.h>

enum { STEPS = 50000, SIZE = 32 };

static struct mix *drawn(const struct mix_settings *settings, uint32_t epoch)
{
	struct mix *mixes = xcalloc(STEPS, sizeof(*mixes));
	mixes_draw(mixes, STEPS, settings, 42, epoch, SIZE);
	return mixes;
}

/* Of two histograms of n values each: the statistic of a chi-square test of their being of one distribution. */
static double chi_square(const double *a, const double *b, size_t bins)
{
	double sum = 0, n = 0, m = 0;
	for (size_t i = 0; i < bins; i++) {
		n += a[i];
		m += b[i];
	}
	for (size_t i = 0; i < bins; i++)
		if (a[i] + b[i] > 0)
			sum += pow(a[i] * sqrt(m / n) - b[i] * sqrt(n / m), 2) / (a[i] + b[i]);
	return sum;
}

/* MixUp's lambda in 20 bins against 200,000 of torch.distributions.Beta's. */
static void test_lambda_is_beta(void **state)
{
	static const char *const names[] = {"0.2", "1.0", "2.5"};
	json_t *g = golden_load("transforms.json");
	const json_t *beta = golden_get(golden_get(g, "drawn"), "beta");
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		struct mix_settings settings = {.mixup = true, .mixup_alpha = strtod(names[k], NULL), .probability = 1};
		autofree struct mix *mixes = drawn(&settings, 3);
		autofree double *want = golden_doubles(golden_get(beta, names[k]), NULL);
		double found[20] = {0};
		for (int i = 0; i < STEPS; i++) {
			assert_int_equal(mixes[i].kind, MIX_MIXUP);
			assert_true(mixes[i].lambda >= 0 && mixes[i].lambda <= 1);
			found[MIN((int)(mixes[i].lambda * 20), 19)]++;
		}
		double x = chi_square(found, want, 20);
		print_message("# Beta(%s): chi-square %.1f of 19 degrees of freedom\n", names[k], x);
		assert_true(x < 43.8); /* one in a thousand */
	}
	json_decref(g);
}

static void test_a_batch_depends_on_seed_epoch_and_step_alone(void **state)
{
	struct mix_settings both = {.mixup = true, .cutmix = true, .mixup_alpha = 0.2, .cutmix_alpha = 1, .probability = 0.5};
	struct mix some[100], again[100], other[100];
	mixes_draw(some, 100, &both, 7, 1, SIZE);
	mixes_draw(again, 50, &both, 7, 1, SIZE);
	assert_memory_equal(some, again, 50 * sizeof(*some));
	mixes_draw(other, 100, &both, 7, 2, SIZE);
	assert_memory_not_equal(some, other, sizeof(some));
	mixes_draw(other, 100, &both, 8, 1, SIZE);
	assert_memory_not_equal(some, other, sizeof(some));
}

static void test_odds(void **state)
{
	struct mix_settings settings = {.mixup = true, .cutmix = true, .mixup_alpha = 1, .cutmix_alpha = 1, .probability = 0.6};
	autofree struct mix *mixes = drawn(&settings, 0);
	int counts[3] = {0};
	for (int i = 0; i < STEPS; i++) {
		counts[mixes[i].kind]++;
		assert_true(mixes[i].kind != MIX_NONE || mixes[i].lambda == 1);
	}
	assert_true(abs(counts[MIX_NONE] - 20000) < 450); /* standard deviation 110 */
	assert_true(abs(counts[MIX_MIXUP] - 15000) < 420 && abs(counts[MIX_CUTMIX] - 15000) < 420);
	settings = (struct mix_settings){.cutmix = true, .cutmix_alpha = 1, .probability = 1};
	mixes_draw(mixes, 100, &settings, 1, 0, SIZE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mixes[i].kind, MIX_CUTMIX);
	settings = (struct mix_settings){.probability = 1};
	mixes_draw(mixes, 100, &settings, 1, 0, SIZE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mixes[i].kind, MIX_NONE);
}

/* The centre is uniform, the box inside the image, lambda what is left of it; with alpha 1, as long as the box is not cut,
 * the area that it takes is uniform. */
static void test_boxes(void **state)
{
	struct mix_settings settings = {.cutmix = true, .cutmix_alpha = 1, .probability = 1};
	autofree struct mix *mixes = drawn(&settings, 1);
	double left[SIZE] = {0}, right[SIZE] = {0}, share = 0;
	for (int i = 0; i < STEPS; i++) {
		const struct box *b = &mixes[i].box;
		int w = b->x2 - b->x1, h = b->y2 - b->y1;
		assert_true(b->x1 >= 0 && b->y1 >= 0 && b->x2 <= SIZE && b->y2 <= SIZE && w >= 0 && h >= 0);
		assert_true(mixes[i].lambda == 1 - (float)(w * h) / (SIZE * SIZE));
		share += (double)mixes[i].lambda / STEPS;
		if (w % 2 == 0 && b->x1 > 0 && b->x2 < SIZE) { /* not cut: as far left as right of the centre */
			left[(b->x1 + b->x2) / 2]++;
			right[SIZE - (b->x1 + b->x2) / 2]++;
		}
	}
	double mirrored = chi_square(left + 1, right + 1, SIZE - 1);
	print_message("# mean lambda %.4f; mirror image of the centres: chi-square %.1f\n", share, mirrored);
	assert_true(mirrored < 61.1); /* 30 degrees of freedom, one in a thousand */
	assert_true(share > 0.6 && share < 0.75);
}

/* --- images --- */

enum { N = 5, VALUES = 3 * SIZE * SIZE };

static float value_of(int image, int i)
{
	return (float)golden_u((uint64_t)image, (uint64_t)i);
}

static float *made_images(void)
{
	float *images = xmalloc(N * VALUES * sizeof(*images));
	for (int i = 0; i < N * VALUES; i++)
		images[i] = value_of(i / VALUES, i % VALUES);
	return images;
}

static void test_mixed_images(void **state)
{
	float kept[VALUES];
	struct mix mixup = {.kind = MIX_MIXUP, .lambda = 0.3f}, cutmix = {.kind = MIX_CUTMIX, .lambda = 0.5f, .box = {3, 5, 20, 9}};
	for (int n = 1; n <= N; n++) {
		autofree float *blended = made_images(), *cut = made_images();
		mix_images(blended, n, SIZE, &mixup, kept);
		mix_images(cut, n, SIZE, &cutmix, kept);
		for (int i = 0; i < N * VALUES; i++) {
			int image = i / VALUES, at = i % VALUES, x = at % SIZE, y = at / SIZE % SIZE;
			float own = value_of(image, at), partner = value_of(image > 0 ? image - 1 : n - 1, at);
			bool mixed = image < n, inside = x >= 3 && x < 20 && y >= 5 && y < 9;
			assert_true(blended[i] == (mixed ? 0.3f * own + (1 - 0.3f) * partner : own));
			assert_true(cut[i] == (mixed && inside ? partner : own));
		}
	}
}

static void test_nothing_to_mix(void **state)
{
	float kept[VALUES];
	autofree float *images = made_images(), *same = made_images();
	mix_images(images, N, SIZE, &(struct mix){.kind = MIX_NONE, .lambda = 1}, kept);
	assert_memory_equal(images, same, N * VALUES * sizeof(*images));
	mix_images(images, N, SIZE, &(struct mix){.kind = MIX_CUTMIX, .lambda = 1, .box = {7, 7, 7, 7}}, kept);
	assert_memory_equal(images, same, N * VALUES * sizeof(*images));
}

static void test_targets(void **state)
{
	int32_t labels[] = {3, 1}, partners[] = {1, 1};
	struct targets t = {labels, partners, 0.25, 0.1};
	struct target a = target_of(&t, 0, 10), b = target_of(&t, 1, 10);
	double sum = 0;
	for (int k = 0; k < 10; k++)
		sum += target_at(&a, k);
	assert_near(sum, 1, 1e-15, 0, "sum of q");
	assert_near(target_at(&a, 3), 0.01 + 0.9 * 0.25, 1e-15, 0, "own label");
	assert_near(target_at(&a, 1), 0.01 + 0.9 * 0.75, 1e-15, 0, "partner's label");
	assert_near(target_at(&b, 1), 0.91, 1e-15, 0, "the same label");
	assert_true(targets_correct(&t, 0, 3) == 0.25 && targets_correct(&t, 0, 1) == 0.75 && targets_correct(&t, 0, 0) == 0);
	assert_true(targets_correct(&t, 1, 1) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lambda_is_beta),
		cmocka_unit_test(test_a_batch_depends_on_seed_epoch_and_step_alone),
		cmocka_unit_test(test_odds),
		cmocka_unit_test(test_boxes),
		cmocka_unit_test(test_mixed_images),
		cmocka_unit_test(test_nothing_to_mix),
		cmocka_unit_test(test_targets),
	};
	return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
