/* Whatever a sweep's name or a job's reason holds, a document stays one, and so does a command line. */
#include "cmocka_all.h"

#include "ctl/html.h"

static void check(char *(*function)(const char *), const char *text, const char *expected)
{
	autofree char *result = function(text);

	assert_string_equal(result, expected);
}

static void test_html(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"", ""},
		{"ReduceLROnPlateau", "ReduceLROnPlateau"},
		{"<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"},
		{"\" onload=\"&amp;", "&quot; onload=&quot;&amp;amp;"},
		{"a\tb\nc\r\n", "a\tb\nc&#13;\n"},
		{"\x1B[31mred\x07", "\xEF\xBF\xBD[31mred\xEF\xBF\xBD"},
		{"\xFF\xC3", "\xEF\xBF\xBD\xEF\xBF\xBD"},
		{"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
		{"\xEF\xBF\xBF", "\xEF\xBF\xBD"}, /* no character of XML */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(html_escaped, rows[i].text, rows[i].expected);
}

static void test_markdown(void **state)
{
	check(markdown_escaped, "a|b\n*c* <i>", "a\\|b \\*c\\* &lt;i>");
	check(markdown_escaped, "ReduceLROnPlateau, 0.05", "ReduceLROnPlateau, 0.05");
}

static void test_shell(void **state)
{
	check(shell_quoted, "lr=0.05", "lr=0.05");
	check(shell_quoted, "", "''");
	check(shell_quoted, "it's; rm -rf /", "'it'\\''s; rm -rf /'");
	check(shell_quoted, "~/my runs/results.db", "~/'my runs/results.db'");
	check(shell_quoted, "~/results.db", "~/results.db");
	check(shell_quoted, "~", "'~'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_markdown),
		cmocka_unit_test(test_shell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
