/* Where vendor libraries are looked for, and what is said of them. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "worker/cuda/library.h"

#include <unistd.h>

#define NAME "libsweepd-test-none.so.9"

static void make_file(const char *dir, const char *below)
{
	autofree char *path = xasprintf("%s/%s", dir, below), *file = xasprintf("%s/" NAME, path);
	struct err err;
	assert_int_equal(fs_mkdirs(path, 0755, &err), 0);
	assert_int_equal(fs_write_file(file, "no library", 10, 0644, &err), 0);
}

static bool lists(char **dirs, const char *dir, const char *below)
{
	autofree char *path = xasprintf("%s/%s", dir, below);
	for (size_t i = 0; dirs[i]; i++)
		if (str_eq(dirs[i], path))
			return true;
	return false;
}

static void test_nowhere(void **state)
{
	char *none[] = {"/nonexistent", NULL};
	void *library = NULL;
	struct err err;
	assert_int_equal(library_open(&library, NAME, none, &err), -ENOENT);
	assert_string_equal(err.text, NAME " was not found");
	assert_int_equal(library_open(&library, NAME, NULL, &err), -ENOENT);
	assert_null(library);
}

static void test_places(void **state)
{
	static const struct {
		const char *variable, *below;
	} places[] = {
		{"CUDA_HOME", "lib64"},
		{"CUDA_HOME", "lib"},
		{"VIRTUAL_ENV", "lib/python3.11/site-packages/nvidia/cudnn/lib"},
		{"CONDA_PREFIX", "lib"},
		{"CONDA_PREFIX", "lib/python3.9/site-packages/nvidia/cu13/lib"},
		{"HOME", ".local/lib/python3.12/site-packages/nvidia/cudnn/lib"},
	};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *dir = temp_dir();
		void *library;
		struct err err;
		make_file(dir, places[i].below);
		setenv(places[i].variable, dir, 1);
		char **dirs = library_cuda_dirs();
		if (!lists(dirs, dir, places[i].below))
			fail_msg("%s/%s is not looked at", places[i].variable, places[i].below);
		assert_int_equal(library_open(&library, NAME, dirs, &err), -ELIBACC);
		assert_non_null(strstr(err.text, places[i].below)); /* the file, and what the loader says */
		assert_non_null(strstr(err.text, NAME " cannot be loaded: "));
		library_dirs_free(dirs);
		unsetenv(places[i].variable);
		temp_dir_remove(dir);
	}
}

static void test_from_a_directory(void **state)
{
	const char *real = library_path((const void *)&malloc); /* libc, or a sanitizer's malloc */
	autofree char *link = NULL;
	char *dir = temp_dir(), *dirs[] = {dir, NULL};
	void *library = NULL;
	struct err err;
	assert_true(real[0] == '/');
	link = xasprintf("%s/" NAME, dir);
	assert_int_equal(symlink(real, link), 0);
	assert_int_equal(library_open(&library, NAME, dirs, &err), 0);
	struct {
		void *(*a)(size_t);
	} table = {NULL};
	const struct library_symbol one[] = {{"malloc", 0}}, missing[] = {{"malloc", 0}, {"sweepd_no_such_function", 0}};
	assert_int_equal(library_load(library, NAME, one, 1, &table, &err), 0);
	assert_non_null(table.a);
	assert_int_equal(library_load(library, NAME, missing, 2, &table, &err), -ENOSYS);
	assert_string_equal(err.text, NAME " has no function sweepd_no_such_function: it is older than this program needs");
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_from_a_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
