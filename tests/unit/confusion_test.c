/* confusion.json from outside: what is of its form is drawn, anything else is an error and nothing worse. */
#include "cmocka_all.h"

#include "forward/canvas.h"
#include "forward/confusion_png.h"

#include "common/fs.h"
#include "common/json.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char good[] =
	"{\"dataset\":\"d\", \"classes\": [\"a\\\"b\", \"\xc3\xb6\"], \"more\": [{\"x\": \"]}\"}, 1.5e3],\n"
	"\"last\":{\"epoch\":7,\"matrix\":[[0,9],[9,0]]},\"best\":{\"accuracy\":[90.0,null],\"epoch\":5,"
	"\"matrix\":[[9,1],[0,4294967295]]}}\n";

/* 1, -EFBIG or -EINVAL with a line that names the file. */
static int read_bytes(const char *dir, const char *bytes, size_t size, enum confusion_test which,
		      struct confusion_matrix *ret)
{
	struct err err = {0};
	autofree char *path = xasprintf("%s/confusion.json", dir);
	assert_int_equal(fs_write_file(path, bytes, size, 0600, &err), 0);
	int r = confusion_matrix_read(ret, path, which, &err);
	assert_true(r == 1 || ((r == -EINVAL || r == -EFBIG) && strstr(err.text, path) && !strchr(err.text, '\n')));
	return r;
}

static int read_text(const char *dir, const char *text, struct confusion_matrix *ret)
{
	return read_bytes(dir, text, strlen(text), CONFUSION_BEST, ret);
}

static void test_the_test_asked_for_is_read(void **state)
{
	struct confusion_matrix c;
	char *dir = temp_dir();
	assert_int_equal(read_bytes(dir, good, sizeof(good) - 1, CONFUSION_LAST, &c), 1);
	assert_true(c.epoch == 7 && c.images[0] == 0 && c.images[1] == 9 && c.of_class[0] == 9);
	confusion_matrix_fini(&c);
	assert_int_equal(read_text(dir, good, &c), 1);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.epoch, 5);
	assert_string_equal(c.dataset, "d");
	assert_string_equal(c.names[0], "a\"b");
	assert_string_equal(c.names[1], "\xc3\xb6");
	assert_true(c.images[0] == 9 && c.images[1] == 1 && c.images[2] == 0 && c.images[3] == 4294967295u);
	assert_true(c.of_class[0] == 10 && c.of_class[1] == 4294967295u);
	confusion_matrix_fini(&c);
	temp_dir_remove(dir);
}

static void test_cut_off_anywhere(void **state)
{
	struct confusion_matrix c;
	char *dir = temp_dir();
	for (size_t n = 0; n + 2 < sizeof(good); n++) /* the newline at the end may go */
		assert_int_equal(read_bytes(dir, good, n, CONFUSION_BEST, &c), -EINVAL);
	temp_dir_remove(dir);
}

/* Bytes changed by a generator of its own: an error, or something that can be drawn. */
static void test_changed_bytes(void **state)
{
	static const char bytes[] = "{}[]\",:\\019.-\xff \x01u";
	uint32_t random = 1;
	size_t drawn = 0, size;
	char *dir = temp_dir();
	for (int i = 0; i < 3000; i++) {
		char text[sizeof(good)];
		struct confusion_matrix c;
		memcpy(text, good, sizeof(good));
		for (int k = 0; k <= i % 3; k++) {
			random = random * 1664525 + 1013904223;
			text[(random >> 8) % (sizeof(good) - 1)] = bytes[(random >> 24) % (sizeof(bytes) - 1)];
		}
		if (read_text(dir, text, &c) < 0)
			continue;
		free(confusion_png(&c, &size));
		confusion_matrix_fini(&c);
		drawn++;
	}
	assert_true(drawn > 0 && drawn < 3000);
	temp_dir_remove(dir);
}

static void test_what_it_is_not(void **state)
{
	static const char *const texts[] = {
		"", "[]", "{} {}", "{\"classes\":[]}", "{\"best\":{\"epoch\":1,\"matrix\":[[1]]}}",
		"{\"classes\":[1],\"best\":{\"epoch\":1,\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":0,\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":2147483648,\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[-1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[1.5]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[4294967296]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[1,2]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[1],[2]]}}",
		"{\"classes\":[\"a\"],\"classes\":[\"a\"],\"best\":{\"epoch\":1,\"matrix\":[[1]]}}",
		"{\"classes\":[\"\\u0000\"],\"best\":{\"epoch\":1,\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"last\":{\"epoch\":1,\"matrix\":[[1]]}}",
	};
	struct confusion_matrix c;
	struct err err;
	char *dir = temp_dir();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (read_text(dir, texts[i], &c) > 0)
			fail_msg("%s is taken", texts[i]);
	autofree char *fifo = xasprintf("%s/fifo", dir), *none = xasprintf("%s/none", dir), *link = xasprintf("%s/link", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("confusion.json", link), 0);
	assert_int_equal(confusion_matrix_read(&c, fifo, CONFUSION_BEST, &err), -EINVAL); /* and does not wait for a writer */
	assert_int_equal(confusion_matrix_read(&c, link, CONFUSION_BEST, &err), -EINVAL);
	assert_int_equal(confusion_matrix_read(&c, dir, CONFUSION_BEST, &err), -EINVAL);
	assert_int_equal(confusion_matrix_read(&c, none, CONFUSION_BEST, &err), 0);
	temp_dir_remove(dir);
}

/* Both tests of n classes, numbers of five digits; as json_line() writes it. */
static char *file_of(size_t n)
{
	json_t *names = json_array(), *row = json_array(), *matrix = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(names, json_string("a, b and c"));
		json_array_append_new(row, json_integer(12345));
		json_array_append(matrix, row);
	}
	autojson json_t *root = json_pack("{so, s{si, sO, sO}, s{si, so, so}}", "classes", names, "last", "epoch", 1, "matrix",
					  matrix, "accuracy", row, "best", "epoch", 2, "matrix", matrix, "accuracy", row);
	return json_line(root);
}

static void test_limits(void **state)
{
	struct confusion_matrix c;
	char *dir = temp_dir();
	autofree char *most = file_of(CONFUSION_CLASSES_MAX), *too_many = file_of(CONFUSION_CLASSES_MAX + 1);
	assert_int_equal(read_text(dir, most, &c), 1);
	assert_true(c.n == CONFUSION_CLASSES_MAX && c.epoch == 2 && c.images[c.n * c.n - 1] == 12345);
	confusion_matrix_fini(&c);
	assert_int_equal(read_text(dir, too_many, &c), -EINVAL);
	autofree char *large = xcalloc(CONFUSION_BYTES_MAX + 2, 1);
	memset(large, ' ', CONFUSION_BYTES_MAX + 1);
	memcpy(large, good, sizeof(good) - 1);
	large[CONFUSION_BYTES_MAX] = '\0';
	assert_int_equal(read_text(dir, large, &c), 1);
	confusion_matrix_fini(&c);
	large[CONFUSION_BYTES_MAX] = ' ';
	assert_int_equal(read_text(dir, large, &c), -EFBIG);
	temp_dir_remove(dir);
}

/* What would become a large tree. */
static void test_more_than_two_tests(void **state)
{
	enum { ITEM = 16 };
	static const struct {
		char open[2], item[10], close[6];
		size_t n;
	} parts[] = {{"[", "[],", "0]", 2000},
		     {"[", "{},", "0]", 2000},
		     {"{", "\"%zu\":0,", "\"\":0}", 2000},
		     {"[", "1,", "0]", 200000}};
	struct confusion_matrix c;
	char *dir = temp_dir();
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		for (size_t n = 100; n <= parts[i].n; n += parts[i].n - 100) { /* few are taken */
			autofree char *text = xcalloc(n * ITEM + sizeof(good) + ITEM, 1);
			char *at = stpcpy(stpcpy(text, "{\"x\":"), parts[i].open);
			for (size_t k = 0; k < n; k++)
				at += snprintf(at, ITEM, parts[i].item, k);
			stpcpy(stpcpy(stpcpy(at, parts[i].close), ","), good + 1);
			assert_int_equal(read_text(dir, text, &c), n == 100 ? 1 : -EINVAL);
			if (n == 100)
				confusion_matrix_fini(&c);
		}
	}
	temp_dir_remove(dir);
}

static uint32_t u32(const char *at)
{
	const unsigned char *b = (const unsigned char *)at;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Width and height, and how many pixels are of each color. */
static void unpack(const char *png, size_t size, uint32_t side[2], size_t counts[256])
{
	side[0] = u32(png + 16);
	side[1] = u32(png + 20);
	uLongf n = (uLongf)side[1] * (1 + side[0]);
	autofree unsigned char *pixels = xmalloc(n);
	for (size_t at = 8; at < size; at += 12 + u32(png + at))
		if (memcmp(png + at + 4, "IDAT", 4) == 0)
			assert_int_equal(uncompress(pixels, &n, (const Bytef *)png + at + 8, u32(png + at)), Z_OK);
	memset(counts, 0, 256 * sizeof(*counts));
	for (size_t y = 0; y < side[1]; y++)
		for (size_t x = 0; x < side[0]; x++)
			counts[pixels[y * (1 + side[0]) + 1 + x]]++;
}

enum { GREY = 2, RIGHT = 3, WRONG = RIGHT + 100, LEGEND = 200 * 14 }; /* of confusion_png.c */

/* Half of a class right, half taken for the next: cells of those two colors, each of the size a class has. */
static void check_picture(size_t n, size_t cell)
{
	char name[] = "class";
	size_t size, counts[256];
	uint32_t side[2];
	struct confusion_matrix c = {.n = n, .epoch = 3};
	c.names = xcalloc(n, sizeof(*c.names));
	c.images = xcalloc(n * n, sizeof(*c.images));
	c.of_class = xcalloc(n, sizeof(*c.of_class));
	for (size_t i = 0; i < n; i++) {
		c.names[i] = name;
		c.images[i * n + i] = c.images[i * n + (i + 1) % n] += 50;
		c.of_class[i] = n > 1 ? 100 : 50;
	}
	autofree char *png = confusion_png(&c, &size);
	unpack(png, size, side, counts);
	assert_true(side[0] > n * cell && side[1] > n * cell && side[0] < CANVAS_SIDE_MAX);
	size_t right = 0, wrong = 0;
	for (int i = 0; i < 100; i++) {
		right += counts[RIGHT + i];
		wrong += counts[WRONG + i];
	}
	size_t least = n * (cell - 1) * (cell - 1) * 3 / 4; /* a count is written in some */
	assert_true(right >= LEGEND + least && right <= LEGEND + n * cell * cell);
	assert_true(wrong >= LEGEND + (n > 1 ? least : 0) && wrong <= LEGEND + n * cell * cell);
	free(c.names);
	free(c.images);
	free(c.of_class);
}

static void test_pictures_of_all_sizes(void **state)
{
	check_picture(1, 56);
	check_picture(10, 56);
	check_picture(32, 22);
	check_picture(100, 9);
	check_picture(CONFUSION_CLASSES_MAX, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_test_asked_for_is_read), cmocka_unit_test(test_cut_off_anywhere),
		cmocka_unit_test(test_changed_bytes),	      cmocka_unit_test(test_what_it_is_not),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_more_than_two_tests),
		cmocka_unit_test(test_pictures_of_all_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
