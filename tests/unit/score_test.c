/* Top-5, predicted classes and mirror averages against the formulas as they are written. */
#include "cmocka_all.h"

#include "worker/score.h"

#include <math.h>

enum { N = 3, CLASSES = 7 };

static const double logits[N][CLASSES] = {
	{2, 1, 0, -1, -2, -3, 3},
	{0, 0, 0, 0, 0, 0, 0}, /* equal: the first counts */
	{-1, 5, 5, 4, 3, 2, 1},
};
static const double mirrored[N][CLASSES] = {
	{9, 1, 0, -1, -2, -3, 3},
	{0, 0, 0, 0, 0, 1, 0},
	{-900, 5, 6, 4, 3, 2, 1},
};

static double probability(const double *row, int k)
{
	double sum = 0;
	for (int i = 0; i < CLASSES; i++)
		sum += exp(row[i]);
	return exp(row[k]) / sum;
}

static void test_ranks(void **state)
{
	for (int k = 0; k < CLASSES; k++)
		assert_int_equal(score_rank(logits[1], CLASSES, k), k);
	assert_int_equal(score_rank(logits[2], CLASSES, 2), 1);
	assert_int_equal(score_best(logits[0], CLASSES), 6);
	assert_int_equal(score_best(logits[1], CLASSES), 0);
	assert_int_equal(score_best(logits[2], CLASSES), 1);
}

static void test_not_a_number(void **state)
{
	const double some[3] = {NAN, 1, 2}, none[3] = {NAN, NAN, NAN};
	assert_int_equal(score_best(some, 3), 2);
	assert_int_equal(score_best(none, 3), 0);
	assert_int_equal(score_rank(some, 3, 0), 3);
}

static void test_plain_and_mirrored(void **state)
{
	const int32_t labels[N] = {0, 5, 0};
	int32_t predicted[2 + N] = {-1, -1, -1, -1, -1};
	struct sums sums = {.correct5 = 10}, mirror = {.images = 4};
	struct eval_options options = {.mirror = &mirror, .predicted = predicted};
	struct scorer scorer;
	scorer_init(&scorer, N, CLASSES);
	score_plain(&scorer, &options, N, 2, logits[0], labels, &sums);
	assert_int_equal(sums.correct5, 10 + 1); /* ranks 1, 5, 6 */
	assert_memory_equal(predicted, ((int32_t[]){-1, -1, 6, 0, 1}), sizeof(predicted));
	score_mirrored(&scorer, &options, N, mirrored[0], labels);
	double loss = 0;
	for (int i = 0; i < N; i++)
		loss -= log((probability(logits[i], labels[i]) + probability(mirrored[i], labels[i])) / 2);
	assert_true(fabs(mirror.loss - loss) < 1e-12 * loss);
	assert_int_equal(mirror.images, 4 + N);
	assert_true(mirror.correct == 2 && mirror.correct5 == 2);
	scorer_fini(&scorer);
}

/* Where exp() of no logit is a number above 0, the loss still is one. */
static void test_improbable(void **state)
{
	const double row[2] = {0, -2000};
	const int32_t label = 1;
	struct sums sums = {0}, mirror = {0};
	struct eval_options options = {.mirror = &mirror};
	struct scorer scorer;
	scorer_init(&scorer, 1, 2);
	score_plain(&scorer, &options, 1, 0, row, &label, &sums);
	score_mirrored(&scorer, &options, 1, row, &label);
	assert_true(fabs(mirror.loss - 2000) < 1e-9);
	scorer_fini(&scorer);
}

static void test_images(void **state)
{
	float in[2 * 3 * 4 * 4], out[ARRAY_LEN(in)];
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		in[i] = (float)i;
	images_mirror(out, in, 2, 4);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		assert_true(out[i] == in[i / 4 * 4 + 3 - i % 4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranks),	   cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_plain_and_mirrored),
		cmocka_unit_test(test_improbable), cmocka_unit_test(test_images),
	};
	return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
