/* Opening data sets: good files give the right pixels, each kind of damage gives an error that names the file. */
#include "golden.h"

#include "worker/augment.h"
#include "worker/data.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define DEBIAN_FASHION "/usr/share/datasets/fashion-mnist"
#define RECORD	       3074

struct fixture {
	char *dir;
	struct err err;
	struct dataset *data;
};

static char *path_of(const struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static void write_at(const struct fixture *f, const char *name, off_t at, const void *bytes, size_t size)
{
	autofree char *path = path_of(f, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0 && pwrite(fd, bytes, size, at) == (ssize_t)size);
}

static void resize(const struct fixture *f, const char *name, off_t size)
{
	autofree char *path = path_of(f, name);
	write_at(f, name, 0, NULL, 0);
	assert_int_equal(truncate(path, size), 0);
}

static void expect_error(struct fixture *f, const char *name, size_t train, const char *file, const char *words)
{
	struct dataset *untouched = (struct dataset *)f, *ret = untouched;
	f->err.text[0] = 0;
	assert_true(dataset_open(&ret, name, f->dir, train, 0, &f->err) < 0);
	assert_ptr_equal(ret, untouched);
	if (!strstr(f->err.text, file) || !strstr(f->err.text, words))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", f->err.text, file, words);
}

static void expect_good(struct fixture *f, const char *name, size_t train, size_t test)
{
	if (dataset_open(&f->data, name, f->dir, train, test, &f->err) < 0)
		fail_msg("%s", f->err.text);
}

/* --- CIFAR-100: sparse files of the official size --- */

static void make_cifar(struct fixture *f)
{
	resize(f, "train.bin", 50000 * RECORD);
	resize(f, "test.bin", 10000 * RECORD);
	write_at(f, "train.bin", 2 * RECORD, (uint8_t[]){19, 99, 7, 8}, 4);
	write_at(f, "train.bin", 3 * RECORD - 1, (uint8_t[]){200}, 1);
	write_at(f, "test.bin", 9999 * RECORD, (uint8_t[]){0, 42, 5}, 3);
}

static void test_cifar(void **state)
{
	struct fixture *f = *state;
	make_cifar(f);
	expect_good(f, "cifar100", 0, 0);
	const struct image_set *train = &f->data->sets[SPLIT_TRAIN], *test = &f->data->sets[SPLIT_TEST];
	assert_true(train->count == 50000 && test->count == 10000 && f->data->classes == 100);
	assert_int_equal(train->labels[2 * train->label_pitch], 99);
	assert_int_equal(test->labels[9999 * test->label_pitch], 42);
	uint8_t image[IMAGE_VALUES];
	augment_bytes(image, train, 2, AUGMENT_NONE);
	assert_true(image[0] == 7 && image[1] == 8 && image[IMAGE_VALUES - 1] == 200);
	augment_bytes(image, test, 9999, AUGMENT_NONE);
	assert_int_equal(image[0], 5);
}

static void test_cifar_subset(void **state)
{
	struct fixture *f = *state;
	make_cifar(f);
	expect_good(f, "cifar100", 100, 10);
	assert_true(f->data->sets[SPLIT_TRAIN].count == 100 && f->data->sets[SPLIT_TEST].count == 10);
	expect_error(f, "cifar100", 50001, "train.bin", "50001");
}

static void test_cifar_damage(void **state)
{
	struct fixture *f = *state;
	expect_error(f, "cifar100", 0, "train.bin", "No such file");
	make_cifar(f);
	write_at(f, "train.bin", 777 * RECORD + 1, (uint8_t[]){100}, 1);
	expect_error(f, "cifar100", 0, "train.bin", "record 777");
	write_at(f, "train.bin", 777 * RECORD, (uint8_t[]){20, 0}, 2);
	expect_error(f, "cifar100", 0, "train.bin", "record 777");
	make_cifar(f);
	resize(f, "test.bin", 10000 * RECORD - 1);
	write_at(f, "train.bin", 777 * RECORD, (uint8_t[]){0, 0}, 2);
	expect_error(f, "cifar100", 0, "test.bin", "expected 30740000");
}

static void test_unknown_name(void **state)
{
	expect_error(*state, "cifar10", 0, "cifar10", "fashion-mnist");
}

/* --- IDX --- */

#define TRAIN_IMAGES "train-images-idx3-ubyte"
#define TRAIN_LABELS "train-labels-idx1-ubyte"

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* An images file of n images whose byte at is (3 * at) % 251; returns its size. */
static size_t idx_image_bytes(uint8_t *out, uint32_t n)
{
	const uint32_t header[] = {0x803, n, 28, 28};
	for (int i = 0; i < 4; i++)
		put_be32(out + 4 * i, header[i]);
	for (uint32_t i = 0; i < n * 784; i++)
		out[16 + i] = (uint8_t)(3 * i % 251);
	return 16 + n * 784;
}

static size_t idx_label_bytes(uint8_t *out, uint32_t n)
{
	put_be32(out, 0x801);
	put_be32(out + 4, n);
	for (uint32_t i = 0; i < n; i++)
		out[8 + i] = (uint8_t)(i % 10);
	return 8 + n;
}

static void make_fashion(struct fixture *f)
{
	uint8_t bytes[16 + 12 * 784];
	write_at(f, TRAIN_IMAGES, 0, bytes, idx_image_bytes(bytes, 12));
	write_at(f, TRAIN_LABELS, 0, bytes, idx_label_bytes(bytes, 12));
	write_at(f, "t10k-images-idx3-ubyte", 0, bytes, idx_image_bytes(bytes, 5));
	write_at(f, "t10k-labels-idx1-ubyte", 0, bytes, idx_label_bytes(bytes, 5));
}

/* Replaces NAME by NAME.gz. */
static void compress_file(const struct fixture *f, const char *name, const uint8_t *bytes, size_t size)
{
	autofree char *plain = path_of(f, name), *path = xasprintf("%s.gz", plain);
	gzFile gz = gzopen(path, "wb");
	assert_true(gz && gzwrite(gz, bytes, (unsigned)size) == (int)size && gzclose(gz) == Z_OK);
	unlink(plain);
}

static void check_fashion(const struct dataset *d)
{
	const struct image_set *train = &d->sets[SPLIT_TRAIN];
	uint8_t image[IMAGE_VALUES];
	assert_true(train->count == 12 && d->sets[SPLIT_TEST].count == 5 && d->classes == 10);
	augment_bytes(image, train, 11, AUGMENT_NONE);
	for (int i = 0; i < IMAGE_VALUES; i++) {
		int y = i / 32 % 32 - 2, x = i % 32 - 2;
		bool inside = y >= 0 && y < 28 && x >= 0 && x < 28;
		assert_int_equal(image[i], inside ? 3 * (11 * 784 + y * 28 + x) % 251 : 0);
	}
	assert_int_equal(train->labels[11 * train->label_pitch], 1);
}

static void test_idx_plain_and_gzip(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[16 + 12 * 784];
	make_fashion(f);
	expect_good(f, "fashion-mnist", 0, 0);
	check_fashion(f->data);
	dataset_free(f->data);
	compress_file(f, TRAIN_IMAGES, bytes, idx_image_bytes(bytes, 12));
	expect_good(f, "fashion-mnist", 0, 0);
	check_fashion(f->data);
	dataset_free(f->data);
	expect_good(f, "fashion-mnist", 7, 1);
	assert_true(f->data->sets[SPLIT_TRAIN].count == 7 && f->data->sets[SPLIT_TEST].count == 1);
}

static void test_idx_damage(void **state)
{
	struct fixture *f = *state;
	uint8_t word[4];
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "No such file");
	make_fashion(f);
	expect_error(f, "fashion-mnist", 13, TRAIN_IMAGES, "13");
	resize(f, TRAIN_IMAGES, 16 + 12 * 784 - 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "ends after");
	resize(f, TRAIN_IMAGES, 16 + 12 * 784 + 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "more follows");
	resize(f, TRAIN_IMAGES, 9);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "ends after");
	make_fashion(f);
	resize(f, TRAIN_IMAGES, 16 + 12 * 784);
	write_at(f, TRAIN_IMAGES, 0, (uint8_t[]){1}, 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "magic");
	make_fashion(f);
	put_be32(word, 29);
	write_at(f, TRAIN_IMAGES, 8, word, 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "29 x 28");
	make_fashion(f);
	put_be32(word, 0xffffffff);
	write_at(f, TRAIN_IMAGES, 4, word, 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "4294967295");
}

static void test_idx_label_damage(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[8 + 13];
	make_fashion(f);
	write_at(f, TRAIN_LABELS, 8 + 5, (uint8_t[]){10}, 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_LABELS, "label 5 is 10");
	write_at(f, TRAIN_LABELS, 0, bytes, idx_label_bytes(bytes, 13));
	expect_error(f, "fashion-mnist", 0, TRAIN_LABELS, "13 labels");
	resize(f, TRAIN_LABELS, 8 + 4);
	put_be32(bytes, 12);
	write_at(f, TRAIN_LABELS, 4, bytes, 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_LABELS, "ends after");
}

static void test_gzip_damage(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[16 + 12 * 784];
	struct stat st;
	make_fashion(f);
	compress_file(f, TRAIN_IMAGES, bytes, idx_image_bytes(bytes, 12));
	autofree char *path = path_of(f, TRAIN_IMAGES ".gz");
	assert_int_equal(stat(path, &st), 0);
	write_at(f, TRAIN_IMAGES ".gz", st.st_size - 8, (uint8_t[]){0, 0, 0, 0}, 4); /* the checksum */
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES ".gz", "damaged gzip");
	compress_file(f, TRAIN_IMAGES, bytes, idx_image_bytes(bytes, 12));
	write_at(f, TRAIN_IMAGES ".gz", 12, (uint8_t[]){255, 255, 255, 255, 255, 255}, 6); /* the deflated stream */
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES ".gz", "damaged gzip");
	compress_file(f, TRAIN_IMAGES, bytes, idx_image_bytes(bytes, 12));
	resize(f, TRAIN_IMAGES ".gz", st.st_size / 2);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES ".gz", "");
	resize(f, TRAIN_IMAGES ".gz", st.st_size - 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES ".gz", "damaged gzip");
}

/* --- the real one --- */

static void test_debians_fashion_mnist(void **state)
{
	struct fixture *f = *state;
	uint64_t sum = 0, squares = 0, labels[10] = {0};
	if (access(DEBIAN_FASHION, R_OK) < 0)
		skip();
	if (dataset_open(&f->data, "fashion-mnist", DEBIAN_FASHION, 0, 0, &f->err) < 0)
		fail_msg("%s", f->err.text);
	const struct image_set *train = &f->data->sets[SPLIT_TRAIN];
	assert_true(train->count == 60000 && f->data->sets[SPLIT_TEST].count == 10000);
	for (size_t i = 0; i < train->count * IMAGE_PLANE; i++) {
		sum += train->pixels[i];
		squares += (uint64_t)train->pixels[i] * train->pixels[i];
	}
	for (size_t i = 0; i < train->count; i++)
		labels[train->labels[i]]++;
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(labels[i], 6000);
	double n = 60000.0 * 784 * 255, mean = (double)sum / n; /* without the padding */
	assert_near(mean, f->data->mean[2], 0, 1e-7, "mean");
	assert_near((double)squares / n / 255 - mean * mean, f->data->std[2] * f->data->std[2], 0, 1e-6, "variance");
}

/* --- */

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->dir = temp_dir();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	temp_dir_remove(f->dir);
	dataset_free(f->data);
	free(f);
	return 0;
}

#define DATA_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATA_TEST(test_unknown_name), DATA_TEST(test_cifar),	    DATA_TEST(test_cifar_subset),
		DATA_TEST(test_cifar_damage), DATA_TEST(test_idx_plain_and_gzip), DATA_TEST(test_idx_damage),
		DATA_TEST(test_idx_label_damage), DATA_TEST(test_gzip_damage), DATA_TEST(test_debians_fashion_mnist),
	};
	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
