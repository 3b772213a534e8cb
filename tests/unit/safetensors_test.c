/* safetensors: what is written reads back; every way in which a file can be damaged is said. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "worker/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

static void write_good(const char *path)
{
	static const float weights[6] = {1, -2, 3.5f, 4, 5, 6};
	static const int64_t counter = 18;
	const struct st_tensor tensors[] = {
		{"bn1.num_batches_tracked", ST_I64, 0, {0}, &counter, sizeof(counter)},
		{"fc.weight", ST_F32, 2, {2, 3}, weights, sizeof(weights)},
	};
	struct err err;
	json_t *metadata = json_pack("{s:s}", "state", "{\"epoch\":3}");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(safetensors_write(fd, tensors, ARRAY_LEN(tensors), metadata, &err), 0);
	close(fd);
	json_decref(metadata);
}

static void test_round_trip(void **state)
{
	struct err err;
	struct st_file *f;
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/a.safetensors", dir);
	write_good(path);
	assert_int_equal(safetensors_open(&f, path, &err), 0);
	const struct st_tensor *w = safetensors_find(f, "fc.weight");
	assert_non_null(w);
	assert_int_equal(w->ndim, 2);
	assert_true(w->shape[0] == 2 && w->shape[1] == 3 && w->dtype == ST_F32);
	assert_true(((const float *)w->data)[2] == 3.5f);
	const struct st_tensor *n = safetensors_find(f, "bn1.num_batches_tracked");
	assert_true(n && n->ndim == 0 && *(const int64_t *)n->data == 18);
	assert_null(safetensors_find(f, "fc.bias"));
	assert_string_equal(safetensors_metadata(f, "state"), "{\"epoch\":3}");
	assert_null(safetensors_metadata(f, "other"));
	safetensors_close(f);
	temp_dir_remove(dir);
}

/* A file of this header and so many data bytes; length: what its first 8 bytes claim, or 0 for the truth. */
static void write_raw(const char *path, const char *header, uint64_t length, size_t data_bytes)
{
	static const char zeros[64];
	uint64_t n = length ? length : strlen(header);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fs_write_all(fd, &n, sizeof(n)), 0);
	assert_int_equal(fs_write_all(fd, header, strlen(header)), 0);
	assert_int_equal(fs_write_all(fd, zeros, data_bytes), 0);
	close(fd);
}

static void test_damage(void **state)
{
	static const struct {
		const char *header;
		uint64_t length;
		size_t data_bytes;
		const char *expected;
	} cases[] = {
		{"{}", 0, 4, "bytes after the last tensor"},
		{"{}", 1000, 0, "header length beyond the file"},
		{"{}", UINT64_MAX, 0, "header length beyond the file"},
		{"[]", 0, 0, "header does not begin with a brace"},
		{" {}", 0, 0, "header does not begin with a brace"},
		{"{} x", 0, 0, "header is not a JSON object"},
		{"{\"a\xff\":0}", 0, 0, "header is not a JSON object"},
		{"{\"__metadata__\":{\"a\":1}}", 0, 0, "__metadata__ is not an object of strings"},
		{"{\"__metadata__\":\"a\"}", 0, 0, "__metadata__ is not an object of strings"},
		{"{\"a\":", 0, 0, "header is not a JSON object"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{}}", 0, 4, "header is not a JSON"},
		{"{\"a\":{\"dtype\":\"F15\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, 4, "unknown dtype in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 0, 4, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 0, 4, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 0, 1, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,\"4\"]}}", 0, 4, "bad offsets in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 0, 4, "bad offsets in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 0, 4, "bad offsets in a"},
		{"{\"a\":7}", 0, 4, "unknown dtype in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, 4, "do not fit the shape"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 0, 4, "do not fit the shape"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 4, "do not fit the shape or the file"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 0, 4, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, 0, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 0, 4, "bad shape in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 0, 8, "a hole or an overlap in a"},
		{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		 "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 0, 4, "a hole or an overlap"},
	};
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/bad.safetensors", dir);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct st_file *f;
		struct err err;
		write_raw(path, cases[i].header, cases[i].length, cases[i].data_bytes);
		assert_int_equal(safetensors_open(&f, path, &err), -EBADMSG);
		if (!strstr(err.text, cases[i].expected) || !strstr(err.text, path))
			fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].expected);
	}
	temp_dir_remove(dir);
}

static void test_every_truncation_is_refused(void **state)
{
	struct err err;
	struct st_file *f;
	size_t size;
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/a.safetensors", dir);
	write_good(path);
	autofree char *bytes = NULL;
	assert_int_equal(fs_read_file(path, 4096, &bytes, &size, &err), 0);
	for (size_t n = 0; n < size; n++) {
		assert_int_equal(truncate(path, (off_t)n), 0);
		assert_int_equal(safetensors_open(&f, path, &err), -EBADMSG);
		assert_int_equal(fs_write_file(path, bytes, size, 0600, &err), 0);
	}
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_every_truncation_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
