/* Opening data sets: good files give the right pixels, each kind of damage gives an error that names the file. */
#include "golden.h"

#include "common/datasets.h"
#include "worker/augment.h"
#include "worker/data.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define RECORD 3074

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
	image_bytes(image, train, 2);
	assert_true(image[0] == 7 && image[1] == 8 && image[IMAGE_VALUES - 1] == 200);
	image_bytes(image, test, 9999);
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

static void compress_file(const struct fixture *f, const char *name, const uint8_t *bytes, size_t size);

static void test_cifar_gzip(void **state)
{
	struct fixture *f = *state;
	make_cifar(f);
	autofree uint8_t *bytes = xcalloc(10000, RECORD);
	memcpy(bytes + 9999 * RECORD, (uint8_t[]){0, 42, 5}, 3);
	compress_file(f, "test.bin", bytes, 10000 * RECORD);
	expect_good(f, "cifar100", 1, 0);
	const struct image_set *test = &f->data->sets[SPLIT_TEST];
	assert_int_equal(test->labels[9999 * test->label_pitch], 42);
	compress_file(f, "test.bin", bytes, 9999 * RECORD);
	expect_error(f, "cifar100", 0, "test.bin.gz", "ends after 30736926 bytes");
}

static void test_cifar_damage(void **state)
{
	struct fixture *f = *state;
	expect_error(f, "cifar100", 0, "train.bin", "No such file");
	make_cifar(f);
	write_at(f, "train.bin", 777 * RECORD + 1, (uint8_t[]){100}, 1);
	expect_error(f, "cifar100", 0, "train.bin", "record 777 has label 100; expected below 100");
	write_at(f, "train.bin", 777 * RECORD, (uint8_t[]){20, 0}, 2);
	expect_error(f, "cifar100", 10, "train.bin", "record 777 has label 20; expected below 20");
	write_at(f, "train.bin", 777 * RECORD, (uint8_t[]){0, 0}, 2);
	resize(f, "test.bin", 10000 * RECORD - 1);
	expect_error(f, "cifar100", 0, "test.bin", "ends after 30739999 bytes; CIFAR's binary version has 30740000");
	resize(f, "test.bin", 10000 * RECORD + 1);
	expect_error(f, "cifar100", 0, "test.bin", "more follows the 30740000 bytes");
}

/* --- CIFAR-10: one label, the training set in five files --- */

#define RECORD_10 3073

static void make_cifar10(struct fixture *f)
{
	for (int i = 1; i <= 5; i++) {
		autofree char *name = xasprintf("data_batch_%d.bin", i);
		resize(f, name, 10000 * RECORD_10);
		write_at(f, name, 9999 * RECORD_10, (uint8_t[]){(uint8_t)(i + 4), (uint8_t)(10 * i)}, 2);
	}
	resize(f, "test_batch.bin", 10000 * RECORD_10);
	write_at(f, "test_batch.bin", 3 * RECORD_10 - 1, (uint8_t[]){200}, 1);
}

static void test_cifar10(void **state)
{
	struct fixture *f = *state;
	make_cifar10(f);
	expect_good(f, "cifar10", 0, 0);
	const struct image_set *train = &f->data->sets[SPLIT_TRAIN], *test = &f->data->sets[SPLIT_TEST];
	assert_true(train->count == 50000 && test->count == 10000 && f->data->classes == 10);
	uint8_t image[IMAGE_VALUES];
	for (size_t i = 1; i <= 5; i++) {
		image_bytes(image, train, i * 10000 - 1);
		assert_int_equal(train->labels[(i * 10000 - 1) * train->label_pitch], i + 4);
		assert_true(image[0] == 10 * i && image[1] == 0);
	}
	image_bytes(image, test, 2);
	assert_int_equal(image[IMAGE_VALUES - 1], 200);
}

static void test_cifar10_subset(void **state)
{
	struct fixture *f = *state;
	make_cifar10(f);
	expect_good(f, "cifar10", 20001, 1);
	const struct image_set *train = &f->data->sets[SPLIT_TRAIN];
	assert_true(train->count == 20001 && f->data->sets[SPLIT_TEST].count == 1);
	assert_int_equal(train->labels[19999 * train->label_pitch], 6);
	expect_error(f, "cifar10", 50001, "data_batch_1.bin", "50001 images are wanted, but it has 50000");
}

static void test_cifar10_damage(void **state)
{
	struct fixture *f = *state;
	expect_error(f, "cifar10", 0, "data_batch_1.bin", "No such file");
	make_cifar10(f);
	write_at(f, "data_batch_4.bin", 12 * RECORD_10, (uint8_t[]){10}, 1);
	expect_error(f, "cifar10", 0, "data_batch_4.bin", "record 12 has label 10; expected below 10");
	resize(f, "data_batch_2.bin", 10000 * RECORD_10 - 1);
	expect_error(f, "cifar10", 0, "data_batch_2.bin", "ends after 30729999 bytes; CIFAR's binary version has 30730000");
	resize(f, "data_batch_2.bin", 10000 * RECORD); /* CIFAR-100's records */
	expect_error(f, "cifar10", 0, "data_batch_2.bin", "more follows the 30730000 bytes");
}

static void test_unknown_name(void **state)
{
	expect_error(*state, "cifar11", 0, "cifar11", "no data set");
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

static void make_idx(struct fixture *f)
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

static void check_idx(const struct dataset *d)
{
	const struct image_set *train = &d->sets[SPLIT_TRAIN];
	uint8_t image[IMAGE_VALUES];
	assert_true(train->count == 12 && d->sets[SPLIT_TEST].count == 5 && d->classes == 10);
	image_bytes(image, train, 11);
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
	make_idx(f);
	expect_good(f, "fashion-mnist", 0, 0);
	check_idx(f->data);
	dataset_free(f->data);
	compress_file(f, TRAIN_IMAGES, bytes, idx_image_bytes(bytes, 12));
	expect_good(f, "fashion-mnist", 0, 0);
	check_idx(f->data);
	dataset_free(f->data);
	expect_good(f, "fashion-mnist", 7, 1);
	assert_true(f->data->sets[SPLIT_TRAIN].count == 7 && f->data->sets[SPLIT_TEST].count == 1);
}

static void test_mnist_is_fashion_mnist_with_its_own_statistics(void **state)
{
	struct fixture *f = *state;
	make_idx(f);
	expect_good(f, "mnist", 0, 0);
	check_idx(f->data);
	for (int c = 0; c < 3; c++)
		assert_true(f->data->mean[c] == 0.1307f && f->data->std[c] == 0.3081f);
	write_at(f, TRAIN_LABELS, 8 + 5, (uint8_t[]){10}, 1);
	expect_error(f, "mnist", 0, TRAIN_LABELS, "label 5 is 10");
}

static void test_idx_damage(void **state)
{
	struct fixture *f = *state;
	uint8_t word[4];
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "No such file");
	make_idx(f);
	expect_error(f, "fashion-mnist", 13, TRAIN_IMAGES, "13");
	resize(f, TRAIN_IMAGES, 16 + 12 * 784 - 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "ends after");
	resize(f, TRAIN_IMAGES, 16 + 12 * 784 + 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "more follows");
	resize(f, TRAIN_IMAGES, 9);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "ends after");
	make_idx(f);
	resize(f, TRAIN_IMAGES, 16 + 12 * 784);
	write_at(f, TRAIN_IMAGES, 0, (uint8_t[]){1}, 1);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "magic");
	make_idx(f);
	put_be32(word, 29);
	write_at(f, TRAIN_IMAGES, 8, word, 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "29 x 28");
	make_idx(f);
	put_be32(word, 0xffffffff);
	write_at(f, TRAIN_IMAGES, 4, word, 4);
	expect_error(f, "fashion-mnist", 0, TRAIN_IMAGES, "4294967295");
}

static void test_idx_label_damage(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[8 + 13];
	make_idx(f);
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
	make_idx(f);
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

/* --- where they lie --- */

static void make_directory(const struct fixture *f, const char *name)
{
	autofree char *path = path_of(f, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* Files for datasets_find() alone, which looks at names only. */
static void touch_all(const struct fixture *f, const char *dir, const char *const *names)
{
	for (; *names; names++) {
		autofree char *name = xasprintf("%s/%s", dir, *names);
		write_at(f, name, 0, NULL, 0);
	}
}

/* Data set `name` is found in dir/below when looked for in dir/in. */
static void expect_found(struct fixture *f, const char *name, const char *in, const char *below)
{
	char *found = NULL;
	autofree char *place = path_of(f, in), *expected = *below ? xasprintf("%s/%s", place, below) : xstrdup(place);
	if (datasets_find(name, place, &found, &f->err) < 0)
		fail_msg("%s", f->err.text);
	assert_string_equal(found, expected);
	free(found);
}

static void expect_not_found(struct fixture *f, const char *name, const char *in, const char *words)
{
	char *found = NULL;
	autofree char *place = path_of(f, in);
	assert_int_equal(datasets_find(name, place, &found, &f->err), -ENOENT);
	assert_null(found);
	if (!strstr(f->err.text, place) || !strstr(f->err.text, words) || !strstr(f->err.text, "do this:"))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", f->err.text, place, words);
}

static void test_finding(void **state)
{
	static const char *const idx[] = {TRAIN_IMAGES ".gz", TRAIN_LABELS, "t10k-images-idx3-ubyte",
					  "t10k-labels-idx1-ubyte.gz", NULL};
	static const char *const cifar10[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
					      "data_batch_4.bin", "test_batch.bin", NULL};
	struct fixture *f = *state;
	setenv("XDG_DATA_HOME", f->dir, 1);
	unsetenv("SWEEPD_DATA");
	make_directory(f, "fashion-mnist");
	touch_all(f, "fashion-mnist", idx);
	expect_not_found(f, "mnist", ".", "sweepctl dataset fetch mnist");
	expect_not_found(f, "mnist", "fashion-mnist", TRAIN_IMAGES);
	expect_not_found(f, "mnist", "fashion-mnist/", TRAIN_IMAGES);
	make_directory(f, "MNIST");
	make_directory(f, "MNIST/raw");
	touch_all(f, "MNIST/raw", idx);
	expect_found(f, "mnist", ".", "MNIST/raw");
	expect_found(f, "mnist", "MNIST/raw", "");
	make_directory(f, "mnist");
	touch_all(f, "mnist", idx);
	expect_found(f, "mnist", ".", "mnist");
	make_directory(f, "cifar-10-batches-bin");
	touch_all(f, "cifar-10-batches-bin", cifar10);
	expect_not_found(f, "cifar10", ".", "sweepctl dataset fetch cifar10");
	write_at(f, "cifar-10-batches-bin/data_batch_5.bin", 0, NULL, 0);
	expect_found(f, "cifar10", ".", "cifar-10-batches-bin");
	expect_found(f, "cifar10", "cifar-10-batches-bin", "");
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
		DATA_TEST(test_unknown_name),
		DATA_TEST(test_cifar),
		DATA_TEST(test_cifar_subset),
		DATA_TEST(test_cifar_gzip),
		DATA_TEST(test_cifar_damage),
		DATA_TEST(test_cifar10),
		DATA_TEST(test_cifar10_subset),
		DATA_TEST(test_cifar10_damage),
		DATA_TEST(test_idx_plain_and_gzip),
		DATA_TEST(test_mnist_is_fashion_mnist_with_its_own_statistics),
		DATA_TEST(test_idx_damage),
		DATA_TEST(test_idx_label_damage),
		DATA_TEST(test_gzip_damage),
		DATA_TEST(test_finding),
	};
	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
