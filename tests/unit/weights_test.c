/* Files of weights: every form gives the same tensors (tests/golden/weights.py); what is damaged or hostile is refused
 * with a sentence. */
#include "golden.h"

#include "common/fs.h"
#include "common/json.h"
#include "worker/pickle.h"
#include "worker/weights.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static char *golden_path(const char *file)
{
	return xasprintf("%s/weights/%s", getenv("GOLDEN_DIR"), file);
}

static const char *torch_name(enum st_dtype dtype)
{
	switch ((int)dtype) {
	case ST_F32:
		return "float32";
	case ST_F64:
		return "float64";
	case ST_F16:
		return "float16";
	case ST_BF16:
		return "bfloat16";
	case ST_I64:
		return "int64";
	case ST_BOOL:
		return "bool";
	}
	return "?";
}

/* w is what truth.json says of it. */
static void compare(const struct weight *w, const json_t *truth)
{
	const json_t *shape = golden_get(truth, "shape"), *data = golden_get(truth, "data");
	assert_string_equal(torch_name(w->dtype), json_string_value(golden_get(truth, "dtype")));
	assert_int_equal(w->ndim, json_array_size(shape));
	for (int d = 0; d < w->ndim; d++)
		assert_int_equal(w->shape[d], json_integer_value(json_array_get(shape, (size_t)d)));
	assert_int_equal(w->count, json_array_size(data));
	autofree float *values = xcalloc((size_t)w->count + 1, sizeof(*values));
	int r = weight_floats(w, values);
	assert_int_equal(r, w->dtype == ST_I64 || w->dtype == ST_BOOL ? -EINVAL : 0);
	for (size_t i = 0; r == 0 && i < (size_t)w->count; i++) {
		float expected = (float)strtod(json_string_value(json_array_get(data, i)), NULL);
		if (values[i] != expected && !(isnan(values[i]) && isnan(expected)))
			fail_msg("%s[%zu] is %.9g, not %.9g", w->name, i, (double)values[i], (double)expected);
	}
}

static void test_every_form_gives_the_same_tensors(void **state)
{
	static const struct {
		const char *file, *format;
		size_t n;
	} files[] = {
		{"zip.pth", "pth (zip)", 13},    {"zip_plain.pth", "pth (zip)", 13},
		{"zip64.pth", "pth (zip)", 13},  {"legacy.pth", "pth (legacy)", 13},
		{"nested.pth", "pth (zip)", 13}, {"nested_legacy.pth", "pth (legacy)", 13},
		{"tar.pth", "pth (tar)", 7},     {"all.safetensors", "safetensors", 13},
	};
	json_t *truth = golden_load("weights/truth.json");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct weights *w;
		struct err err = {.text = ""};
		autofree char *path = golden_path(files[i].file);
		if (weights_open(&w, path, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(weights_format(w), files[i].format);
		assert_int_equal(weights_count(w), files[i].n);
		for (size_t t = 0; t < weights_count(w); t++) {
			const struct weight *at = weights_at(w, t);
			compare(at, golden_get(truth, at->name));
			assert_ptr_equal(weights_find(w, at->name), at);
		}
		assert_null(weights_find(w, "conv1"));
		weights_close(w);
	}
	json_decref(truth);
}

/* --- damage --- */

static void write_bytes(const char *path, const void *bytes, size_t size)
{
	unlink(path); /* a file written over is flushed to the disk */
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* What must be there of a file: a tar archive may lose zeros behind its first block of them. */
static size_t needed(const char *bytes, size_t size)
{
	size_t n = size;
	while (n > 0 && !bytes[n - 1])
		n--;
	return MIN(size, size % 512 ? size : (n + 511) / 512 * 512 + 512);
}

/* Whatever it says, it reads every element or refuses. */
static int try_open(const char *path, struct err *err)
{
	struct weights *w;
	int r = weights_open(&w, path, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < weights_count(w); i++) {
		const struct weight *at = weights_at(w, i);
		assert_true(at->count >= 0);
		if (at->count > 4096) /* of stride 0: any number of elements is one */
			continue;
		autofree float *values = xcalloc((size_t)at->count + 1, sizeof(*values));
		weight_floats(at, values);
	}
	weights_close(w);
	return 0;
}

static void test_damage_is_refused(void **state)
{
	static const char *const files[] = {"zip.pth", "zip64.pth", "legacy.pth", "tar.pth", "all.safetensors"};
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/bad", dir);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		size_t size;
		struct err err;
		autofree char *from = golden_path(files[i]), *bytes = NULL;
		assert_int_equal(fs_read_file(from, 1 << 20, &bytes, &size, &err), 0);
		for (size_t n = 1; n < size; n += n < 600 ? 1 : 7) {
			write_bytes(path, bytes, n);
			int r = try_open(path, &err);
			if (r == 0 && n < needed(bytes, size))
				fail_msg("%s cut to %zu of %zu bytes is taken", files[i], n, size);
			assert_true(r == 0 || r == -EBADMSG);
			assert_true(r == 0 || strstr(err.text, path));
		}
		for (size_t n = 0; n < size; n += 3) {
			bytes[n] ^= (char)(1 << n % 8);
			write_bytes(path, bytes, size);
			int r = try_open(path, &err);
			assert_true(r == 0 || r == -EBADMSG);
			bytes[n] ^= (char)(1 << n % 8);
		}
	}
	temp_dir_remove(dir);
}

static void test_what_is_no_file_of_weights(void **state)
{
	struct err err;
	struct weights *w;
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/w.pth", dir);
	assert_int_equal(weights_open(&w, path, &err), -ENOENT);
	assert_int_equal(weights_open(&w, dir, &err), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(weights_open(&w, path, &err), -EINVAL); /* and does not wait for a writer */
	unlink(path);
	write_bytes(path, "", 0);
	assert_int_equal(weights_open(&w, path, &err), -EINVAL);
	write_bytes(path, "version https://git-lfs.github.com/spec/v1\n", 43);
	assert_int_equal(weights_open(&w, path, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "not a file of weights\n  expected: safetensors, or"));
	temp_dir_remove(dir);
}

/* --- pickles --- */

static const char *const names[] = {"collections OrderedDict", "torch FloatStorage", NULL};

struct bytes {
	const char *at;
	size_t n;
};
#define B(text)                                                                                                        \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static void test_pickles_that_are_refused(void **state)
{
	static const struct {
		struct bytes bytes;
		const char *expected;
	} cases[] = {
		{B(""), "cut off"},
		{B("\x80\2"), "cut off"},
		{B("\x80\4N."), "pickle protocol 4\n  expected: protocol 2"},
		{B("\x80\2."), "not one value at its end"},
		{B("\x80\2NN."), "not one value at its end"},
		{B("\x80\2(N."), "not one value at its end"},
		{B("\x80\2cos\nsystem\nX\4\0\0\0true\x85R."), "a Python object of its own (os system)"},
		{B("\x80\2c\x1b[2J\nx\n."), "(?[2J x)"},
		{B("\x80\2ctorch\nFloatStorage"), "cut off"},
		{B("\x80\2i__main__\nX\n."), "opcode 0x69 at byte 2"},
		{B("\x80\2X\xff\xff\xff\xff"
		   "abc."),
		 "cut off"},
		{B("\x80\2t."), "no mark"},
		{B("\x80\2\x86."), "too few values"},
		{B("\x80\2N(\x85."), "too few values"},
		{B("\x80\2]a."), "nothing to fill"},
		{B("\x80\2}(Nu."), "what is no list or dict"},
		{B("\x80\2NNs."), "nothing to fill"},
		{B("\x80\2NNNs."), "what is no list or dict"},
		{B("\x80\2q\0."), "bad memo"},
		{B("\x80\2Nr\xff\xff\xff\xff."), "bad memo"},
		{B("\x80\2h\0."), "a memo that was not put"},
		{B("\x80\2Nj\0\0\0\1."), "a memo that was not put"},
		{B("\x80\2N)R."), "a call of what is no function"},
		{B("\x80\2)R."), "a call of what is no function"},
		{B("\x80\2ccollections\nOrderedDict\nNR."), "a call of what is no function"},
		{B("\x80\2ccollections\nOrderedDict\n]N\x86R."), "an OrderedDict of something else"},
		{B("\x80\2ccollections\nOrderedDict\n]Na\x85R."), "an OrderedDict of something else"},
		{B("\x80\2Nb."), "attributes of what is no object"},
		{B("\x80\2NNb."), "attributes of what is no object"},
		{B("\x80\2Q."), "no persistent id"},
		{B("\x80\2G\0\0."), "cut off"},
		{B("\x80\2\x8a\7\1\1."), "cut off"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t used;
		struct pickle *p;
		struct err err = {.text = ""};
		int r = pickle_read(&p, cases[i].bytes.at, cases[i].bytes.n, names, &used, &err);
		if (r != -EBADMSG || !strstr(err.text, cases[i].expected))
			fail_msg("case %zu: %d, \"%s\" lacks \"%s\"", i, r, err.text, cases[i].expected);
	}
}

static void test_values_of_a_pickle(void **state)
{
	static const char bytes[] = "\x80\2(\x88N\x8a\0\x8a\1\xff\x8a\2\0\x80\x8a\x09"
				    "123456789J\xfe\xff\xff\xffM\xff\xff"
				    "G\x3f\xf8\0\0\0\0\0\0U\2hi]q\1h\1aX\3\0\0\0key}X\1\0\0\0kK\5st.tail";
	size_t used;
	struct pickle *p;
	struct err err;
	assert_int_equal(pickle_read(&p, bytes, sizeof(bytes) - 1, names, &used, &err), 0);
	assert_int_equal(used, sizeof(bytes) - 1 - strlen("tail"));
	const struct pickle_node *t = pickle_root(p);
	assert_int_equal(t->kind, PICKLE_TUPLE);
	assert_int_equal(t->list.n, 13);
	assert_int_equal(pickle_item(t, 0, PICKLE_BOOL)->integer, 1);
	assert_non_null(pickle_item(t, 1, PICKLE_NONE));
	assert_int_equal(pickle_item(t, 2, PICKLE_INT)->integer, 0);
	assert_int_equal(pickle_item(t, 3, PICKLE_INT)->integer, -1);
	assert_int_equal(pickle_item(t, 4, PICKLE_INT)->integer, -32768);
	assert_int_equal(pickle_item(t, 5, PICKLE_BIG)->text.size, 9);
	assert_int_equal(pickle_item(t, 6, PICKLE_INT)->integer, -2);
	assert_int_equal(pickle_item(t, 7, PICKLE_INT)->integer, 65535);
	assert_true(pickle_item(t, 8, PICKLE_FLOAT)->real == 1.5);
	assert_true(pickle_is_text(pickle_item(t, 9, PICKLE_STRING), "hi"));
	const struct pickle_node *self = pickle_item(t, 10, PICKLE_LIST);
	assert_ptr_equal(self->list.items[0], self);
	assert_true(pickle_is_text(pickle_item(t, 11, PICKLE_STRING), "key"));
	assert_int_equal(pickle_get(pickle_item(t, 12, PICKLE_DICT), "k")->integer, 5);
	assert_null(pickle_get(pickle_item(t, 12, PICKLE_DICT), "key"));
	pickle_free(p);
}

static void test_memory_of_a_pickle_is_bounded(void **state)
{
	size_t used, n = PICKLE_MAX_STEPS + 1, at = 0;
	struct pickle *p;
	struct err err;
	autofree char *bytes = xmalloc(n);
	memset(bytes, 'N', n);
	assert_int_equal(pickle_read(&p, bytes, n, names, &used, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "more than 1000000 instructions"));
	/* a dict of the same thousand pairs, a hundred thousand times */
	at += (size_t)snprintf(bytes, n, "](");
	for (int i = 0; i < 1000; i++)
		at += (size_t)snprintf(bytes + at, n - at, "NN\x86");
	at += (size_t)snprintf(bytes + at, n - at,
			       "e\x85q\1"
			       "ccollections\nOrderedDict\nq\2");
	for (int i = 0; i < 100000; i++)
		at += (size_t)snprintf(bytes + at, n - at, "h\2h\1R");
	assert_int_equal(pickle_read(&p, bytes, at, names, &used, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "more than 1000000 instructions"));
}

/* --- tensors of a hostile file --- */

/* A legacy file: one tensor "a" over a storage of four floats; tensor: its offset, shape and strides. */
static void write_legacy(const char *path, struct bytes before, struct bytes tensor, struct bytes after)
{
	static const struct bytes pieces[] = {
		B("\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
		  "\x80\2M\xe9\3."
		  "\x80\2}X\15\0\0\0little_endian\x88s."
		  "\x80\2}("),
		{NULL},
		B("X\1\0\0\0"
		  "actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
		  "0X\3\0\0\0"
		  "cpuK\4NtQ"),
		{NULL},
		B("\x89"
		  "ccollections\nOrderedDict\n)RtR"),
		{NULL},
		B("u.\x80\2]X\1\0\0\0"
		  "0a."
		  "\4\0\0\0\0\0\0\0"
		  "\0\0\200\77\0\0\0@\0\0@@\0\0\200@"),
	};
	const struct bytes holes[] = {before, tensor, after};
	char bytes[1024];
	size_t n = 0;
	for (size_t i = 0, hole = 0; i < ARRAY_LEN(pieces); i++) {
		struct bytes piece = pieces[i].at ? pieces[i] : holes[hole++];
		memcpy(bytes + n, piece.at, piece.n);
		n += piece.n;
	}
	write_bytes(path, bytes, n);
}

static void test_views_stay_in_their_storage(void **state)
{
	static const struct {
		struct bytes tensor;
		const char *expected; /* NULL: taken */
	} cases[] = {
		{B("K\0K\4\x85K\1\x85"), NULL},
		{B("K\0K\2K\2\x86K\1K\2\x86"), NULL},
		{B("K\3K\1\x85K\x80\x85"), NULL}, /* one element: its stride does not matter */
		{B("K\4K\0\x85K\1\x85"), NULL},   /* none at all, behind the end */
		{B("K\0))"), NULL},               /* a scalar */
		{B("K\0K\5\x85K\1\x85"), "a: its shape, strides and offset 0 reach beyond its storage of 4 elements"},
		{B("K\1K\4\x85K\1\x85"), "reach beyond"},
		{B("K\4))"), "reach beyond"},
		{B("K\5K\0\x85K\1\x85"), "reach beyond"},
		{B("J\xff\xff\xff\xffK\1\x85K\1\x85"), "reach beyond"},
		{B("K\3K\2\x85J\xff\xff\xff\xff\x85"), "reach beyond"},
		{B("K\0J\xff\xff\xff\xff\x85K\1\x85"), "reach beyond"},
		{B("K\0K\2\x85\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), "reach beyond"},
		{B("K\0K\3\x85\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), "reach beyond"},
		{B("K\0\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85K\1\x85"), "reach beyond"},
		/* 2^62 times 2^62 elements, all of them the first one */
		{B("K\0\x8a\10\0\0\0\0\0\0\0@q\1h\1\x86K\0K\0\x86"), "reach beyond"},
		{B("K\0K\4\x85K\1K\1\x86"), "a tensor of another form"},
		{B("K\0G\0\0\0\0\0\0\0\0\x85K\1\x85"), "a tensor of another form"},
		{B("K\0K\1K\1K\1\x87K\1\x85"), "a tensor of another form"},
		{B("K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"), "a tensor of another form"},
	};
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/a.pth", dir);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {.text = ""};
		write_legacy(path, (struct bytes)B(""), cases[i].tensor, (struct bytes)B(""));
		int r = try_open(path, &err);
		if (r != (cases[i].expected ? -EBADMSG : 0) || (r && !strstr(err.text, cases[i].expected)))
			fail_msg("case %zu: %d, \"%s\" lacks \"%s\"", i, r, err.text,
				 cases[i].expected ? cases[i].expected : "");
	}
	temp_dir_remove(dir);
}

static void test_names_are_fit_to_be_printed(void **state)
{
	static const struct {
		struct bytes before;
		const char *expected;
	} cases[] = {
		{B("X\0\0\0\0N"), "key 0 of its state dict is no name"},
		{B("X\4\0\0\0\x1b[2JN"), "is no name"},
		{B("X\2\0\0\0\xff\xfeN"), "is no name"},
		{B("K\1N"), "is no name"},
		{B("X\3\0\0\0lr.G\0\0\0\0\0\0\0\0"), "lr.: is no tensor"},
		{B("X\1\0\0\0bN"), "b: is no tensor"},
	};
	char *dir = temp_dir();
	autofree char *path = xasprintf("%s/a.pth", dir);
	struct err err;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_legacy(path, cases[i].before, (struct bytes)B("K\0K\4\x85K\1\x85"), (struct bytes)B(""));
		assert_int_equal(try_open(path, &err), -EBADMSG);
		if (!strstr(err.text, cases[i].expected))
			fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].expected);
	}
	/* the same tensor under the same name once more */
	write_legacy(path, (struct bytes)B(""), (struct bytes)B("K\0K\4\x85K\1\x85"),
		     (struct bytes)B("q\1X\1\0\0\0"
				     "ah\1"));
	assert_int_equal(try_open(path, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "tensor a is there twice"));
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form_gives_the_same_tensors),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_what_is_no_file_of_weights),
		cmocka_unit_test(test_pickles_that_are_refused),
		cmocka_unit_test(test_values_of_a_pickle),
		cmocka_unit_test(test_memory_of_a_pickle_is_bounded),
		cmocka_unit_test(test_views_stay_in_their_storage),
		cmocka_unit_test(test_names_are_fit_to_be_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
