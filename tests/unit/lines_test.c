/* A stream cut into lines, whatever pieces it comes in. */
#include "cmocka_all.h"

#include "common/lines.h"

/* All lines of the bytes so far, each ended by '|'. */
static void take(struct lines *l, char *out)
{
	char *line;
	size_t size;
	while ((line = lines_next(l, &size))) {
		assert_int_equal(line[size], '\0');
		strncat(out, line, size);
		strcat(out, "|");
	}
}

static void test_any_pieces_give_the_same_lines(void **state)
{
	static const char text[] = "one\ntwo\n\nthree and more\nrest";
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		char out[100] = "";
		struct lines l;
		struct err err;
		lines_init(&l, 20);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			assert_int_equal(lines_feed(&l, text + at, MIN(piece, sizeof(text) - 1 - at), &err), 0);
			take(&l, out);
		}
		assert_string_equal(out, "one|two||three and more|");
		assert_int_equal(lines_feed(&l, "\n", 1, &err), 0);
		take(&l, out);
		assert_string_equal(out, "one|two||three and more|rest|");
		lines_fini(&l);
	}
}

static void test_a_line_may_be_as_long_as_the_limit_and_no_longer(void **state)
{
	struct lines l;
	struct err err;
	size_t size;
	lines_init(&l, 4);
	assert_int_equal(lines_feed(&l, "1234\n1234", 9, &err), 0);
	assert_string_equal(lines_next(&l, &size), "1234");
	assert_null(lines_next(&l, &size));
	assert_int_equal(lines_feed(&l, "5", 1, &err), -EMSGSIZE);
	assert_string_equal(err.text, "a line longer than 4 bytes");
	lines_fini(&l);
}

static void test_a_nul_is_a_byte_like_others(void **state)
{
	struct lines l;
	struct err err;
	size_t size;
	lines_init(&l, 10);
	assert_int_equal(lines_feed(&l, "a\0b\n", 4, &err), 0);
	assert_memory_equal(lines_next(&l, &size), "a\0b", 4);
	assert_int_equal(size, 3);
	lines_fini(&l);
}

static void test_what_was_handed_out_is_dropped(void **state)
{
	struct lines l;
	struct err err;
	size_t size;
	lines_init(&l, 100);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(lines_feed(&l, "0123456789\n", 11, &err), 0);
		assert_non_null(lines_next(&l, &size));
	}
	assert_true(l.size < 200);
	lines_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_pieces_give_the_same_lines),
		cmocka_unit_test(test_a_line_may_be_as_long_as_the_limit_and_no_longer),
		cmocka_unit_test(test_a_nul_is_a_byte_like_others),
		cmocka_unit_test(test_what_was_handed_out_is_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
