/* A mapped file whose end goes away, whose bytes change, that is replaced: the reader goes on, and is told. */
#include "cmocka_all.h"

#include "worker/mapped.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 100000, FIRST = 10, LAST = 90000 }; /* of the file; places in it, in different pages */

struct fixture {
	char *dir, *path;
	struct mapped *file;
	struct err err;
};

static void write_at(const char *path, off_t at, uint8_t byte)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0 && pwrite(fd, &byte, 1, at) == 1);
}

/* FIRST holds 1, LAST 2, all else 0; last written to long ago. */
static void make_file(const char *path)
{
	struct timespec then[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	write_at(path, FIRST, 1);
	write_at(path, LAST, 2);
	assert_int_equal(truncate(path, SIZE), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
}

static void open_file(struct fixture *f)
{
	make_file(f->path);
	assert_int_equal(mapped_open(&f->file, f->path, &f->err), 0);
	assert_int_equal(mapped_size(f->file), SIZE);
}

static int byte_at(const struct fixture *f, size_t at)
{
	return ((volatile const uint8_t *)mapped_bytes(f->file))[at];
}

static void expect_changed(struct fixture *f, const char *words)
{
	f->err.text[0] = 0;
	assert_int_equal(mapped_check(f->file, &f->err), -ENODATA);
	if (!strstr(f->err.text, f->path) || !strstr(f->err.text, words))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", f->err.text, f->path, words);
}

static void test_whole(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	assert_true(byte_at(f, FIRST) == 1 && byte_at(f, LAST) == 2 && byte_at(f, SIZE - 1) == 0);
	assert_int_equal(mapped_check(f->file, &f->err), 0);
}

static void test_missing_and_empty(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mapped_open(&f->file, f->path, &f->err), -ENOENT);
	assert_non_null(strstr(f->err.text, f->path));
	autoclose int fd = open(f->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(mapped_open(&f->file, f->path, &f->err), -EINVAL);
	assert_non_null(strstr(f->err.text, "is empty"));
	assert_null(f->file);
}

static void test_cut_short(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	assert_int_equal(truncate(f->path, 5000), 0);
	assert_int_equal(byte_at(f, LAST), 0);
	assert_int_equal(byte_at(f, FIRST), 1);
	expect_changed(f, "100000 bytes at first, 5000 now");
	make_file(f->path); /* whole again, but what was read meanwhile was not */
	expect_changed(f, "cut short");
}

static void *read_all(void *arg)
{
	const struct fixture *f = arg;
	uintptr_t sum = 0;
	for (size_t at = 0; at < SIZE; at++)
		sum += (uintptr_t)byte_at(f, at);
	return (void *)sum;
}

static void test_cut_short_under_two_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[2];
	open_file(f);
	assert_int_equal(truncate(f->path, 5000), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *sum;
		pthread_join(threads[i], &sum);
		assert_int_equal((uintptr_t)sum, 1);
	}
	expect_changed(f, "cut short");
}

static void test_written_to(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	write_at(f->path, FIRST, 7);
	assert_int_equal(byte_at(f, FIRST), 7);
	expect_changed(f, "written to");
}

static void test_replaced(void **state)
{
	struct fixture *f = *state;
	open_file(f);
	autofree char *other = xasprintf("%s.other", f->path);
	write_at(other, 0, 9);
	assert_int_equal(rename(other, f->path), 0);
	assert_true(byte_at(f, FIRST) == 1 && byte_at(f, LAST) == 2);
	assert_int_equal(mapped_check(f->file, &f->err), 0);
}

static void test_as_many_as_there_may_be(void **state)
{
	struct fixture *f = *state;
	struct mapped *files[MAPPED_MAX], *one_more = NULL;
	make_file(f->path);
	for (int i = 0; i < MAPPED_MAX; i++)
		assert_int_equal(mapped_open(&files[i], f->path, &f->err), 0);
	assert_int_equal(mapped_open(&one_more, f->path, &f->err), -EMFILE);
	for (int i = 0; i < MAPPED_MAX; i++)
		mapped_close(files[i]);
	assert_int_equal(mapped_open(&f->file, f->path, &f->err), 0);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->dir = temp_dir();
	f->path = xasprintf("%s/file", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	mapped_close(f->file);
	temp_dir_remove(f->dir);
	free(f->path);
	free(f);
	return 0;
}

#define MAPPED_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MAPPED_TEST(test_whole),
		MAPPED_TEST(test_missing_and_empty),
		MAPPED_TEST(test_cut_short),
		MAPPED_TEST(test_cut_short_under_two_threads),
		MAPPED_TEST(test_written_to),
		MAPPED_TEST(test_replaced),
		MAPPED_TEST(test_as_many_as_there_may_be),
	};
	return cmocka_run_group_tests_name("mapped", tests, NULL, NULL);
}
