/* The real data sets, where they are: counts, labels, and the mean and std that data.c normalises with. */
#include "golden.h"

#include "worker/augment.h"
#include "worker/data.h"

#include <math.h>
#include <unistd.h>

#define DEBIAN_FASHION "/usr/share/datasets/fashion-mnist"
#define REAL_CIFAR     "/work/shared/data/cifar-100-binary" /* .xz, the training set in three parts */

static struct dataset *open_whole(const char *name, const char *dir)
{
	struct err err;
	struct dataset *data = NULL;
	if (dataset_open(&data, name, dir, 0, 0, &err) < 0)
		fail_msg("%s", err.text);
	return data;
}

/* Mean and std of channel c of the set, whose images have so many pixels that are no padding. */
static void check_statistics(const struct dataset *d, int c, double pixels, double allowed)
{
	const struct image_set *train = &d->sets[SPLIT_TRAIN];
	uint64_t sum = 0, squares = 0;
	for (size_t i = 0; i < train->count; i++) {
		const uint8_t *plane = train->pixels + i * train->pitch + (size_t)c * train->plane_pitch;
		for (size_t k = 0; k < IMAGE_PLANE; k++) {
			sum += plane[k];
			squares += (uint64_t)plane[k] * plane[k];
		}
	}
	double n = (double)train->count * pixels * 255, mean = (double)sum / n;
	assert_near(mean, d->mean[c], 0, allowed, "mean");
	assert_near(sqrt((double)squares / n / 255 - mean * mean), d->std[c], 0, allowed, "std");
}

static void check_labels(const struct image_set *set, size_t classes, size_t each)
{
	size_t labels[256] = {0};
	assert_int_equal(set->count, classes * each);
	for (size_t i = 0; i < set->count; i++)
		labels[set->labels[i * set->label_pitch]]++;
	for (size_t i = 0; i < classes; i++)
		assert_int_equal(labels[i], each);
}

static void test_fashion_mnist(void **state)
{
	struct dataset *data = open_whole("fashion-mnist", *state);
	check_labels(&data->sets[SPLIT_TRAIN], 10, 6000);
	check_labels(&data->sets[SPLIT_TEST], 10, 1000);
	check_statistics(data, 2, 28 * 28, 2e-7);
	dataset_free(data);
}

static void test_cifar100(void **state)
{
	struct dataset *data = open_whole("cifar100", *state);
	check_labels(&data->sets[SPLIT_TRAIN], 100, 500);
	check_labels(&data->sets[SPLIT_TEST], 100, 100);
	for (int c = 0; c < 3; c++)
		check_statistics(data, c, IMAGE_PLANE, 1e-6);
	dataset_free(data);
}

/* False: no such data here, no xz, no room, or too slow a machine. */
static bool unpack_cifar100(const char *dir)
{
	autofree char *command =
		xasprintf("cd %s 2>/dev/null && timeout 60 sh -c 'xz -dc train-1.bin.xz train-2.bin.xz train-3.bin.xz "
			  ">%s/train.bin && xz -dc test.bin.xz >%s/test.bin'",
			  REAL_CIFAR, dir, dir);
	return system(command) == 0;
}

#define NOT_HERE 77 /* meson's exit code of a skipped test */

/* real_data_test fashion-mnist|cifar100 */
int main(int argc, char **argv)
{
	bool cifar = argc > 1 && str_eq(argv[1], "cifar100");
	char *dir = temp_dir();
	bool here = cifar ? unpack_cifar100(dir) : access(DEBIAN_FASHION, R_OK) == 0;
	const struct CMUnitTest cifar_test[] = {cmocka_unit_test_prestate(test_cifar100, dir)};
	const struct CMUnitTest fashion_test[] = {cmocka_unit_test_prestate(test_fashion_mnist, DEBIAN_FASHION)};
	int failed = !here ? 0
		     : cifar ? cmocka_run_group_tests(cifar_test, NULL, NULL)
			     : cmocka_run_group_tests(fashion_test, NULL, NULL);
	temp_dir_remove(dir);
	return here ? failed : NOT_HERE;
}
