/* Documents: what scalars mean, where things stand, what is refused; and the small text helpers below them. */
#include "cmocka_all.h"

#include "common/doc.h"
#include "common/json_flat.h"
#include "common/utf8.h"

#include <math.h>

static struct node *parse(const char *text)
{
	struct findings f = {0};
	struct node *node = doc_parse(text, strlen(text), &f);
	if (!node)
		fail_msg("%s: %s", text, f.n_items ? f.items[0].text : "?");
	findings_fini(&f);
	return node;
}

static void test_scalars_follow_the_core_schema(void **state)
{
	static const struct {
		const char *text;
		enum node_kind kind;
		double value;
	} rows[] = {
		{"5e-4", NODE_REAL, 5e-4}, {"1e3", NODE_REAL, 1000}, {".5", NODE_REAL, .5},	 {"5.", NODE_REAL, 5},
		{"0.1", NODE_REAL, .1},	   {"-3", NODE_INT, -3},     {"+3", NODE_INT, 3},	 {"007", NODE_INT, 7},
		{"0x1F", NODE_INT, 31},	   {"0o17", NODE_INT, 15},   {".inf", NODE_REAL, INFINITY}, {"-.Inf", NODE_REAL, -INFINITY},
		{"true", NODE_BOOL, 1},	   {"False", NODE_BOOL, 0},  {"null", NODE_NULL, 0},	 {"~", NODE_NULL, 0},
		{"no", NODE_STR, 0},	   {"off", NODE_STR, 0},     {"1_000", NODE_STR, 0},	 {"1e", NODE_STR, 0},
		{".", NODE_STR, 0},	   {"\"5\"", NODE_STR, 0},   {"'true'", NODE_STR, 0},	 {"12:30", NODE_STR, 0},
		{"99999999999999999999", NODE_REAL, 1e20},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct node *node = parse(rows[i].text);
		if (node->kind != rows[i].kind)
			fail_msg("%s is %s", rows[i].text, node_kind_name(node));
		if (node->kind == NODE_INT)
			assert_int_equal(node->integer, (int64_t)rows[i].value);
		if (node->kind == NODE_REAL)
			assert_true(node->real == rows[i].value);
		if (node->kind == NODE_BOOL)
			assert_int_equal(node->boolean, (int)rows[i].value);
		node_free(node);
	}
}

static void test_marks_are_of_keys_and_values(void **state)
{
	struct mark key;
	struct node *root = parse("a: 1\nb:\n  \xC3\xA9t\xC3\xA9: [x, 7]\n");
	struct node *b = node_get(root, "b", &key);
	assert_int_equal(key.line, 2);
	struct node *list = node_get(b, "\xC3\xA9t\xC3\xA9", &key);
	assert_int_equal(key.line, 3);
	assert_int_equal(key.column, 3);
	assert_int_equal(list->items[1]->mark.column, 12); /* characters, not bytes */
	assert_null(node_get(root, "absent", NULL));
	node_free(root);
}

static void test_json_and_yaml_are_one_tree(void **state)
{
	struct node *a = parse("{\"p\":{\"lr\":[0.1,5e-4]},\n\t\"b\":true,\"s\":\"x\\u00e9\\n\"}");
	struct node *b = parse("p: {lr: [0.1, 5e-4]}\nb: true\ns: \"x\xC3\xA9\\n\"\n");
	autojson json_t *ja = node_json(a), *jb = node_json(b);
	assert_true(json_equal(ja, jb));
	node_free(a);
	node_free(b);
}

static char *repeat(const char *s, size_t n, const char *tail)
{
	char *all = xmalloc(strlen(s) * n + strlen(tail) + 1), *at = all;
	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, s);
	strcpy(at, tail);
	return all;
}

static void test_bad_documents_cost_a_sentence(void **state)
{
	autofree char *deep = repeat("[", 5000, "");
	autofree char *many = repeat("[1],", DOC_MAX_NODES, "");
	autofree char *ones = repeat("1,", DOC_MAX_NODES + 5, "1]");
	autofree char *wide = xasprintf("[%s", ones);
	const struct {
		const char *text, *sentence;
	} rows[] = {
		{"", "empty"},
		{"# only a comment\n", "empty"},
		{"a: 1\na: 2\n", "stands twice"},
		{"{\"a\": 1, \"b\": {\"a\": 1, \"a\": 2}}", "stands twice"},
		{"a: &x 1\nb: *x\n", "anchors"},
		{"b: *x\n", "aliases"},
		{"a: !!str 5\n", "tags"},
		{"? [1]\n: 2\n", "a key is a word"},
		{"a: [1, 2\n", "not a JSON or YAML document"},
		{"a: 1\n---\nb: 2\n", "a second document"},
		{"a: \"x\\0y\"\n", "NUL"},
		{"a: 1e999\n", "too large a number"},
		{"a: \xff\n", "not text"},
		{"\"\\ud800\"", "not a JSON or YAML document"},
		{deep, "nested more than"},
		{wide, "more than"},
		{many, "not a JSON or YAML document"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct findings f = {0};
		struct node *node = doc_parse(rows[i].text, strlen(rows[i].text), &f);
		assert_null(node);
		assert_true(f.n_errors > 0);
		if (!strstr(f.items[0].text, rows[i].sentence))
			fail_msg("%.40s: \"%s\", expected \"%s\"", rows[i].text, f.items[0].text, rows[i].sentence);
		findings_fini(&f);
	}
}

static void test_every_prefix_ends_well(void **state)
{
	static const char text[] = "name: \"g\"\nparameters:\n  lr: {values: [0.1, 5e-4]}\nwhen:\n- {if: {a: b}, set: {c: {value: 1}}}\n";
	for (size_t size = 0; size < sizeof(text); size++) {
		struct findings f = {0};
		struct node *node = doc_parse(text, size, &f);
		assert_true(!node == (f.n_errors > 0));
		node_free(node);
		findings_fini(&f);
	}
}

static void test_findings_print_like_a_compiler(void **state)
{
	struct findings f = {0};
	findings_add(&f, (struct mark){2, 3}, "second\n  expected: x");
	findings_add(&f, (struct mark){1, 1}, "first \x1b[31m");
	findings_warn(&f, (struct mark){0, 0}, "nowhere");
	autofree char *text = findings_print(&f, "f.yaml", "one\n\tt\xff o\n");
	assert_string_equal(text, "warning: nowhere\n"
				  "f.yaml:1:1: error: first ?[31m\n    1 | one\n      | ^\n"
				  "f.yaml:2:3: error: second\n    2 |  t? o\n      |   ^\n  expected: x\n");
	assert_int_equal(f.n_errors, 2);
	findings_fini(&f);
}

static void test_a_flood_of_findings_is_bounded(void **state)
{
	struct findings f = {0};
	for (int i = 0; i < 100000; i++)
		findings_add(&f, (struct mark){1, 1}, "again");
	autofree char *text = findings_print(&f, "f", "x");
	assert_true(strlen(text) < 10000);
	assert_non_null(strstr(text, "and 99950 errors more"));
	findings_fini(&f);
}

static void test_numbers_print_shortest(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {{.1, "0.1"}, {5e-5, "5e-05"}, {200, "200"}, {20, "20"}, {-3, "-3"}, {0, "0"}, {1e20, "1e+20"},
		    {1.0 / 3, "0.3333333333333333"}, {0.05, "0.05"}, {1e6, "1000000"}, {NAN, "nan"}, {-INFINITY, "-inf"}};
	char buf[32];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(number_text(rows[i].value, buf), rows[i].text);
}

/* The first %.*g that reads back. */
static void shortest(double v, char *buf)
{
	for (int digits = 1; digits <= 17; digits++) {
		sprintf(buf, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			return;
	}
}

static void test_decimals_print_shortest(void **state)
{
	char buf[32], expected[32];
	uint64_t random = 1;
	for (int i = 0; i < 300000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		double tens = pow(10, (double)(random >> 60)), v = (double)(random >> 20 & 0xffffffff) / tens;
		v = i % 3 ? v : nextafter(v, i % 2 ? 0 : 1e300); /* beside a short one */
		v = random & 1 ? -v : v;
		shortest(v, expected);
		if (strchr(expected, 'e') && v == floor(v))
			continue;
		assert_string_equal(number_text(v, buf), expected);
	}
}

/* Each with what the quick reader makes of it: itself, or nothing. */
static void test_flat_objects_are_read_as_by_jansson(void **state)
{
	static const struct {
		const char *text;
		bool flat;
	} rows[] = {
		{"{}", true}, {"{\"a\":1}", true}, {"{\"a\":-0}", true}, {"{\"a\":-12.50,\"b\":\"x y\"}", true},
		{"{\"a\":true,\"b\":false,\"c\":null,\"\":0.1}", true}, {"{\"a\":123456789012345}", true},
		{"{\"a\":0.30000000000000004}", false}, {"{\"a\":1e5}", false}, {"{\"a\":01}", false},
		{"{\"a\":1.}", false}, {"{\"a\":.5}", false}, {"{\"a\":-}", false}, {"{\"a\":1,\"a\":1}", false},
		{"{\"a\":\"\\n\"}", false}, {"{\"a\":\"\xC3\xA9\"}", false}, {"{\"a\":[1]}", false}, {"{\"a\":{}}", false},
		{"{\"a\": 1}", false}, {"{\"a\":1,}", false}, {"{\"a\":1}x", false}, {"{\"a\":1", false}, {"{\"a\"", false},
		{"{", false}, {"", false}, {"1", false}, {"{\"a\":truer}", false}, {"{\"a\":1234567890123456}", false},
		{"{\"a\":1234567890123456.1234567890123456}", false}, {"{\"a\":999.1234567890123456}", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autojson json_t *flat = json_flat(rows[i].text, strlen(rows[i].text));
		autojson json_t *theirs = json_loads(rows[i].text, JSON_REJECT_DUPLICATES, NULL);
		if (!!flat != rows[i].flat || (flat && !json_equal(flat, theirs)))
			fail_msg("%s", rows[i].text);
	}
}

static void test_utf8_is_cleaned(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"plain", "plain"},
		{"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
		{"\xC3", "?"},
		{"\xC0\x80", "??"},
		{"\xED\xA0\x80", "???"},
		{"\xF4\x90\x80\x80", "????"},
		{"a\x1b[2J\tb\nc\x7f", "a?[2J b\nc?"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char buf[64];
		strcpy(buf, rows[i].in);
		utf8_clean(buf);
		assert_string_equal(buf, rows[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars_follow_the_core_schema),
		cmocka_unit_test(test_marks_are_of_keys_and_values),
		cmocka_unit_test(test_json_and_yaml_are_one_tree),
		cmocka_unit_test(test_bad_documents_cost_a_sentence),
		cmocka_unit_test(test_every_prefix_ends_well),
		cmocka_unit_test(test_findings_print_like_a_compiler),
		cmocka_unit_test(test_a_flood_of_findings_is_bounded),
		cmocka_unit_test(test_numbers_print_shortest),
		cmocka_unit_test(test_decimals_print_shortest),
		cmocka_unit_test(test_flat_objects_are_read_as_by_jansson),
		cmocka_unit_test(test_utf8_is_cleaned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
