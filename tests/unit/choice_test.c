/* The fastest of several plans, and the file of choices. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "worker/cuda/conv_choice.h"

#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "NVIDIA H200, sm_90, 132 SMs"
#define CUDNN  91900

static const struct conv_shape shape = {.pass = CONV_WGRAD, .cell = CELL_BF16, .n = 128, .c = 64, .h = 32, .w = 32, .k = 64,
					.kernel = 3, .stride = 1, .pad = 1};
static const struct conv_choice choice = {
	.engine = 65, .n_knobs = 2, .knobs = {{12, 4}, {13, -1}}, .workspace = 295107, .ms = 0.0625};

/* --- timing --- */

struct clock { /* what the candidates take, and how often each was asked */
	double ms[8];
	int error[8], asked[8], runs;
	double noise; /* added to every second answer */
};

static int read_clock(void *arg, int i, int repeats, double *ret_ms, struct err *err)
{
	struct clock *c = arg;
	c->asked[i]++;
	c->runs++;
	if (c->error[i])
		return err_set(err, c->error[i], "candidate %d", i);
	*ret_ms = c->ms[i] + (c->runs % 2 ? c->noise : 0);
	assert_true(repeats > 0);
	return 0;
}

static int choose(struct clock *c, int n, double *ret_ms, struct err *err)
{
	const struct conv_timer timer = {read_clock, c};
	return conv_choose(n, &timer, ret_ms, err);
}

static void test_the_fastest_wins(void **state)
{
	struct clock c = {.ms = {3, 2, 1, 5}};
	double ms = 0;
	struct err err;
	assert_int_equal(choose(&c, 4, &ms, &err), 2);
	assert_true(ms == 1);
	assert_true(c.asked[1] > 2 && c.asked[3] == 2); /* 2 ms is near, 5 ms is not looked at again */
}

static void test_noise_does_not_choose(void **state)
{
	struct clock same = {.ms = {1.015, 1, 1.0}}, other = {.ms = {1.03, 1, 1}};
	double ms;
	struct err err;
	assert_int_equal(choose(&same, 3, &ms, &err), 0);
	assert_int_equal(choose(&other, 3, &ms, &err), 1);
	struct clock noisy = {.ms = {1, 1.1}, .noise = 5}; /* of two in turn the noise always meets the same */
	assert_int_equal(choose(&noisy, 1, &ms, &err), 0);
}

static void test_what_cannot_run_is_left_out(void **state)
{
	struct clock c = {.ms = {1, 2}, .error = {-ENOTSUP}};
	double ms = 7;
	struct err err;
	assert_int_equal(choose(&c, 2, &ms, &err), 1);
	assert_int_equal(c.asked[0], 1);
	struct clock none = {.error = {-ENOTSUP, -ENOTSUP}};
	ms = 7;
	assert_int_equal(choose(&none, 2, &ms, &err), -ENOTSUP);
	assert_string_equal(err.text, "none of 2 plans can run: candidate 1");
	assert_true(ms == 7);
}

static void test_other_errors_end_it(void **state)
{
	struct clock c = {.ms = {1, 1, 1}, .error = {0, -ENOMEM}};
	double ms;
	struct err err;
	assert_int_equal(choose(&c, 3, &ms, &err), -ENOMEM);
	assert_string_equal(err.text, "candidate 1");
	assert_int_equal(c.asked[2], 0);
}

/* --- the file --- */

static struct conv_cache *open_quietly(const char *dir)
{
	struct err note;
	struct conv_cache *cache = conv_cache_open(dir, DEVICE, CUDNN, &note);
	assert_string_equal(note.text, "");
	return cache;
}

static void assert_known(const char *dir, const struct conv_choice *expected)
{
	struct conv_cache *cache = open_quietly(dir);
	struct conv_choice got;
	assert_true(conv_cache_find(cache, &shape, "deterministic", &got));
	assert_int_equal(got.engine, expected->engine);
	assert_int_equal(got.n_knobs, expected->n_knobs);
	assert_memory_equal(got.knobs, expected->knobs, sizeof(got.knobs[0]) * (size_t)got.n_knobs);
	assert_int_equal(got.workspace, expected->workspace);
	assert_true(got.ms == expected->ms);
	conv_cache_free(cache);
}

static void save(const char *dir, const struct conv_shape *of, const struct conv_choice *what)
{
	struct conv_cache *cache = open_quietly(dir);
	struct err err;
	conv_cache_put(cache, of, "deterministic", what);
	assert_int_equal(conv_cache_save(cache, &err), 0);
	conv_cache_free(cache);
}

static char *cache_file(const char *dir)
{
	return xasprintf("%s/conv-nvidia-h200-sm-90-132-sms-91900.json", dir);
}

static void test_a_choice_is_kept(void **state)
{
	char *dir = temp_dir();
	autofree char *below = xasprintf("%s/not/yet/there", dir);
	save(below, &shape, &choice);
	assert_known(below, &choice);
	struct conv_cache *cache = open_quietly(below);
	struct conv_choice got;
	struct conv_shape other = shape;
	other.n = 80;
	assert_false(conv_cache_find(cache, &other, "deterministic", &got));
	assert_false(conv_cache_find(cache, &shape, "any order", &got));
	conv_cache_free(cache);
	temp_dir_remove(dir);
}

static void test_workers_keep_each_others_choices(void **state)
{
	char *dir = temp_dir();
	struct conv_shape second = shape;
	second.pass = CONV_DGRAD;
	struct conv_cache *a = open_quietly(dir), *b = open_quietly(dir);
	struct err err;
	struct conv_choice got, newer = choice;
	newer.engine = 9;
	conv_cache_put(a, &shape, "deterministic", &choice);
	conv_cache_put(b, &second, "deterministic", &choice);
	assert_int_equal(conv_cache_save(a, &err), 0);
	assert_int_equal(conv_cache_save(b, &err), 0);
	assert_true(conv_cache_find(b, &shape, "deterministic", &got)); /* a's */
	conv_cache_put(a, &shape, "deterministic", &newer);
	assert_int_equal(conv_cache_save(a, &err), 0);
	conv_cache_free(a);
	conv_cache_free(b);
	assert_known(dir, &newer);
	a = open_quietly(dir);
	assert_true(conv_cache_find(a, &second, "deterministic", &got));
	conv_cache_free(a);
	temp_dir_remove(dir);
}

#define WRITERS 4
#define EACH	8

static void test_workers_save_at_the_same_time(void **state)
{
	char *dir = temp_dir();
	for (int w = 0; w < WRITERS; w++)
		if (fork() == 0) {
			for (int i = 0; i < EACH; i++) {
				struct conv_shape mine = shape;
				mine.n = 1000 * w + i;
				save(dir, &mine, &choice);
			}
			_exit(0);
		}
	for (int w = 0, status; w < WRITERS; w++)
		assert_true(wait(&status) > 0 && status == 0);
	struct conv_cache *cache = open_quietly(dir);
	for (int w = 0; w < WRITERS; w++)
		for (int i = 0; i < EACH; i++) {
			struct conv_shape theirs = shape;
			struct conv_choice got;
			theirs.n = 1000 * w + i;
			assert_true(conv_cache_find(cache, &theirs, "deterministic", &got));
		}
	conv_cache_free(cache);
	temp_dir_remove(dir);
}

static void assert_refused(const char *dir, const char *text, size_t size, const char *why)
{
	autofree char *path = cache_file(dir);
	struct err note, err;
	struct conv_choice got;
	assert_int_equal(fs_write_file(path, text, size, 0644, &err), 0);
	struct conv_cache *cache = conv_cache_open(dir, DEVICE, CUDNN, &note);
	if (!strstr(note.text, why))
		fail_msg("%s: said \"%s\"", why, note.text);
	assert_false(conv_cache_find(cache, &shape, "deterministic", &got));
	conv_cache_put(cache, &shape, "deterministic", &choice);
	assert_int_equal(conv_cache_save(cache, &err), 0); /* anew, and good */
	conv_cache_free(cache);
}

static void test_damaged_files(void **state)
{
#define HEAD  "{\"format\": 1, \"device\": \"" DEVICE "\", \"cudnn\": 91900, \"choices\": "
#define KEY   "\"conv\": \"wgrad bf16 n128 c64 32x32 k64 3x3 stride1 pad1 deterministic\""
#define ROW(rest) HEAD "[{" KEY ", " rest "}]}"
	static const struct {
		const char *text, *why;
	} files[] = {
		{"", "is not used"},
		{"{\"format\": 1, \"devi", "is not used"},
		{"[]", "another format"},
		{"{\"format\": 2}", "another format"},
		{"{\"format\": 1, \"device\": \"NVIDIA A100\", \"cudnn\": 91900, \"choices\": []}", "\"NVIDIA A100\", not \"" DEVICE},
		{"{\"format\": 1, \"device\": \"" DEVICE "\", \"cudnn\": 91800, \"choices\": []}", "another cuDNN"},
		{HEAD "{}}", "no list of choices"},
		{HEAD "[7]}", "without a convolution"},
		{ROW("\"engine\": 65, \"knobs\": [], \"workspace\": 0"), "impossible values"},
		{ROW("\"engine\": -1, \"knobs\": [], \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 1.5, \"knobs\": [], \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [[1]], \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [[1, \"2\"]], \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [[-1, 2]], \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": {}, \"workspace\": 0, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [], \"workspace\": 9223372036854775807, \"ms\": 0"), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [], \"workspace\": 0, \"ms\": \"nan\""), "impossible values"},
		{ROW("\"engine\": 65, \"knobs\": [], \"workspace\": 0, \"ms\": -1"), "impossible values"},
	};
	char *dir = temp_dir();
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		assert_refused(dir, files[i].text, strlen(files[i].text), files[i].why);
		assert_known(dir, &choice);
	}
	temp_dir_remove(dir);
}

static void test_bounds(void **state)
{
	char *dir = temp_dir();
	size_t size = (4u << 20) + 2;
	autofree char *huge = xmalloc(size);
	memset(huge, ' ', size);
	assert_refused(dir, huge, size, "larger than");
	char *knobs = xstrdup("");
	for (int i = 0; i <= CONV_KNOBS_MAX; i++) {
		char *more = xasprintf("%s%s[1, 2]", knobs, i ? ", " : "");
		free(knobs);
		knobs = more;
	}
	autofree char *many = xasprintf(ROW("\"engine\": 65, \"knobs\": [%s], \"workspace\": 0, \"ms\": 0"), knobs);
	assert_refused(dir, many, strlen(many), "impossible values");
	free(knobs);
	temp_dir_remove(dir);
}

static void test_without_a_directory(void **state)
{
	struct conv_cache *cache = open_quietly(NULL);
	struct conv_choice got;
	struct err err;
	conv_cache_put(cache, &shape, "deterministic", &choice);
	assert_true(conv_cache_find(cache, &shape, "deterministic", &got));
	assert_int_equal(conv_cache_save(cache, &err), 0);
	conv_cache_free(cache);
}

static void test_a_directory_that_cannot_be(void **state)
{
	char *dir = temp_dir();
	autofree char *file = xasprintf("%s/file", dir), *below = xasprintf("%s/file/below", dir);
	struct err err, note;
	assert_int_equal(fs_write_file(file, "x", 1, 0644, &err), 0);
	struct conv_cache *cache = conv_cache_open(below, DEVICE, CUDNN, &note);
	conv_cache_put(cache, &shape, "deterministic", &choice);
	assert_true(conv_cache_save(cache, &err) < 0);
	assert_non_null(strstr(err.text, "cannot create directory"));
	conv_cache_free(cache);
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_fastest_wins),
		cmocka_unit_test(test_noise_does_not_choose),
		cmocka_unit_test(test_what_cannot_run_is_left_out),
		cmocka_unit_test(test_other_errors_end_it),
		cmocka_unit_test(test_a_choice_is_kept),
		cmocka_unit_test(test_workers_keep_each_others_choices),
		cmocka_unit_test(test_workers_save_at_the_same_time),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_without_a_directory),
		cmocka_unit_test(test_a_directory_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
