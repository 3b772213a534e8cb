/* confusion.json from outside: what is of its form is drawn, anything else is an error and nothing worse. */
#include "cmocka_all.h"

#include "forward/canvas.h"
#include "forward/confusion.h"

#include "common/fs.h"

#include <stdio.h>
#include <sys/stat.h>
#include <zlib.h>

static const char good[] =
	"{\"dataset\":\"d\", \"classes\": [\"a\\\"b\", \"\xc3\xb6\"], \"more\": [{\"x\": \"]}\"}, 1.5e3],\n"
	"\"last\":{\"epoch\":7,\"matrix\":[[0,9],[9,0]]},\"best\":{\"accuracy\":[90.0,null],\"epoch\":5,"
	"\"matrix\":[[9,1],[0,4294967295]]}}\n";

static int read_bytes(const char *dir, const char *bytes, size_t size, struct confusion *ret)
{
	struct err err = {0};
	autofree char *path = xasprintf("%s/confusion.json", dir);
	assert_int_equal(fs_write_file(path, bytes, size, 0600, &err), 0);
	int r = confusion_read(ret, path, &err);
	assert_true(r == 0 || (r == -EINVAL && strstr(err.text, path)));
	return r;
}

static int read_text(const char *dir, const char *text, struct confusion *ret)
{
	return read_bytes(dir, text, strlen(text), ret);
}

static void test_the_best_is_read(void **state)
{
	struct confusion c;
	char *dir = temp_dir();
	assert_int_equal(read_text(dir, good, &c), 0);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.epoch, 5);
	assert_string_equal(c.dataset, "d");
	assert_string_equal(c.names[0], "a\"b");
	assert_string_equal(c.names[1], "\xc3\xb6");
	assert_true(c.counts[0] == 9 && c.counts[1] == 1 && c.counts[2] == 0 && c.counts[3] == 4294967295u);
	confusion_fini(&c);
	temp_dir_remove(dir);
}

static void test_cut_off_anywhere(void **state)
{
	struct confusion c;
	char *dir = temp_dir();
	for (size_t n = 0; n + 2 < sizeof(good); n++) /* the newline at the end may go */
		assert_int_equal(read_bytes(dir, good, n, &c), -EINVAL);
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
		struct confusion c;
		memcpy(text, good, sizeof(good));
		for (int k = 0; k <= i % 3; k++) {
			random = random * 1664525 + 1013904223;
			text[(random >> 8) % (sizeof(good) - 1)] = bytes[(random >> 24) % (sizeof(bytes) - 1)];
		}
		if (read_text(dir, text, &c) < 0)
			continue;
		free(confusion_png(&c, &size));
		confusion_fini(&c);
		drawn++;
	}
	assert_true(drawn > 0 && drawn < 3000);
	temp_dir_remove(dir);
}

static void test_what_it_is_not(void **state)
{
	static const char *const texts[] = {
		"[]", "{} {}", "{\"classes\":[]}", "{\"classes\":[1]}", "{\"best\":{\"matrix\":[[1]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"matrix\":[[-1]]}}", "{\"classes\":[\"a\"],\"best\":{\"matrix\":[[1.5]]}}",
		"{\"classes\":[\"a\"],\"best\":{\"matrix\":[[4294967296]]}}", "{\"classes\":[\"a\"],\"best\":{\"matrix\":[]}}",
		"{\"classes\":[\"a\"],\"best\":{\"matrix\":[[1,2]]}}", "{\"classes\":[\"a\"],\"best\":{\"matrix\":[[1],[2]]}}",
		"{\"classes\":[\"a\"],\"classes\":[\"a\"]}", "{\"classes\":[\"\\u0000\"]}", "{\"x\":[[[[[[[[[1]]]]]]]]]}",
		"{\"classes\":[\"a\"],\"last\":{\"matrix\":[[1]]}}",
	};
	struct confusion c;
	struct err err;
	char *dir = temp_dir();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (read_text(dir, texts[i], &c) == 0)
			fail_msg("%s is taken", texts[i]);
	autofree char *fifo = xasprintf("%s/fifo", dir), *none = xasprintf("%s/none", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(confusion_read(&c, fifo, &err), -EINVAL); /* and does not wait for a writer */
	assert_int_equal(confusion_read(&c, none, &err), -ENOENT);
	autofree char *many = xmalloc(4 * CONFUSION_CLASSES_MAX + 32);
	strcpy(many, "{\"classes\":[\"a\"");
	for (int i = 0; i < CONFUSION_CLASSES_MAX; i++)
		strcat(many, ",\"a\"");
	assert_int_equal(read_text(dir, strcat(many, "]}"), &c), -EINVAL);
	autofree char *large = xcalloc(CONFUSION_BYTES_MAX + 1, 1);
	memset(large, ' ', CONFUSION_BYTES_MAX + 1);
	assert_int_equal(read_bytes(dir, large, CONFUSION_BYTES_MAX + 1, &c), -EINVAL);
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
	struct confusion c = {.n = n, .epoch = 3};
	c.names = xcalloc(n, sizeof(*c.names));
	c.counts = xcalloc(n * n, sizeof(*c.counts));
	for (size_t i = 0; i < n; i++) {
		c.names[i] = name;
		c.counts[i * n + i] = c.counts[i * n + (i + 1) % n] += 50;
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
	free(c.counts);
}

static void test_pictures_of_all_sizes(void **state)
{
	check_picture(1, 56);
	check_picture(10, 56);
	check_picture(32, 22);
	check_picture(100, 9);
	check_picture(300, 2);
	check_picture(1000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_best_is_read),      cmocka_unit_test(test_cut_off_anywhere),
		cmocka_unit_test(test_changed_bytes),	      cmocka_unit_test(test_what_it_is_not),
		cmocka_unit_test(test_pictures_of_all_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
