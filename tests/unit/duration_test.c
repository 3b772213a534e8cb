/* Lengths of time, by tables. */
#include "cmocka_all.h"

#include "common/duration.h"

static const struct {
	const char *text;
	double seconds; /* 0: refused */
} texts[] = {
	{"45s", 45},
	{"90m", 5400},
	{"8h", 28800},
	{"1.5h", 5400},
	{"1d12h", 129600},
	{"1d2h3m4s", 93784},
	{"0.5s", 0.5},
	{"08:00:00", 28800},
	{"25:00:00", 90000},
	{"0:0:7", 7},
	{"1-12", 129600},
	{"1-12:30", 131400},
	{"1-12:00:00", 129600},
	{"0-1", 3600},
	{"365d", 31536000},
	{"", 0},
	{"90", 0},
	{"8:00", 0},
	{"h", 0},
	{"8 h", 0},
	{"8H", 0},
	{"8hh", 0},
	{"8m1h", 0},
	{"8h8h", 0},
	{"-8h", 0},
	{"+8h", 0},
	{".5h", 0},
	{"1..5h", 0},
	{"1e3s", 0},
	{"0x10s", 0},
	{"nan", 0},
	{"0s", 0},
	{"366d", 0},
	{"1:60:00", 0},
	{"1:00:60", 0},
	{"1-24", 0},
	{"1-", 0},
	{"-1", 0},
	{"1-2-3", 0},
	{"1:2:3:4", 0},
	{"1:2:", 0},
	{"1.5:00:00", 0},
	{"99999999999999999999999999999999999999999s", 0},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err err = {.text = ""};
		double got = 0;
		int r = duration_parse(texts[i].text, &got, &err);
		if (got != texts[i].seconds || (r < 0) != (texts[i].seconds == 0) || (r < 0) != (*err.text != '\0'))
			fail_msg("\"%s\": %g s, %d, \"%s\"", texts[i].text, got, r, err.text);
	}
}

static const struct {
	double seconds;
	const char *text;
} shown[] = {
	{0.5, "0.5 s"},       {2, "2 s"},           {90, "90 s"},    {120, "2 min"},
	{611, "10 min 11 s"}, {5400, "1 h 30 min"}, {28800, "8 h"},  {129600, "1 d 12 h"},
	{86400, "1 d"},       {86460, "1 d"},       {3599.6, "1 h"},
};

static void test_text(void **state)
{
	char buf[DURATION_TEXT_MAX];
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		assert_string_equal(duration_text(shown[i].seconds, buf), shown[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
