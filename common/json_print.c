/* Printing JSON: jansson prints every real with 17 digits, or all with fewer; the shortest text that reads back needs a
 * printer of our own.  See json.h. */
#include "json.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

struct text {
	char *bytes;
	size_t n, room;
};

static void put_bytes(struct text *t, const char *bytes, size_t n)
{
	if (t->n + n + 1 > t->room) {
		t->room = MAX(2 * t->room, t->n + n + 256);
		t->bytes = xrealloc_array(t->bytes, t->room, 1);
	}
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
	t->bytes[t->n] = '\0';
}

static void put(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

/* Of a few decimals, as most are that people and workers write: what is left after six is tried the slow way. */
static bool short_decimal(double v, char *buf)
{
	static const int64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
	double size = fabs(v);
	if (size < 1e-3 || size >= 1e8) /* at most 15 digits in all: it has no shorter text */
		return false;
	for (int decimals = 1; decimals <= 6; decimals++) {
		double scaled = round(size * (double)tens[decimals]);
		if (scaled / (double)tens[decimals] != size)
			continue;
		int64_t n = (int64_t)scaled;
		sprintf(buf, "%s%" PRId64 ".%0*" PRId64, v < 0 ? "-" : "", n / tens[decimals], decimals, n % tens[decimals]);
		return true;
	}
	return false;
}

char *number_text(double v, char *buf)
{
	if (isnan(v))
		return strcpy(buf, "nan");
	if (isinf(v))
		return strcpy(buf, v > 0 ? "inf" : "-inf");
	char text[32];
	if (v == floor(v) && fabs(v) < 1e15) { /* 200, not 2e+02 */
		snprintf(text, sizeof(text), "%.0f", v);
		return strcpy(buf, text);
	}
	if (short_decimal(v, buf))
		return buf;
	/* A number that has a text of at most 15 digits is that text again at 15, zeros left out; unless it is subnormal. */
	for (int digits = fabs(v) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return strcpy(buf, text);
}

/* indent: level of the lines that people read; negative: one line. */
static void print_value(struct text *t, const json_t *j, int indent);

static void newline(struct text *t, int indent)
{
	if (indent < 0)
		return;
	put(t, "\n");
	for (int i = 0; i < indent; i++)
		put(t, "  ");
}

static void print_string(struct text *t, const char *s, size_t n)
{
	bool plain = true;
	for (size_t i = 0; i < n && plain; i++)
		plain = (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\';
	if (!plain) {
		autojson json_t *string = json_stringn(s, n);
		autofree char *escaped = json_dumps(string, JSON_ENCODE_ANY);
		put(t, escaped ? escaped : "\"\"");
		return;
	}
	put(t, "\"");
	put_bytes(t, s, n);
	put(t, "\"");
}

static void print_real(struct text *t, double v)
{
	char buf[32];
	put(t, number_text(v, buf));
	if (!strpbrk(buf, ".eEn")) /* it shall not look like an integer */
		put(t, ".0");
}

static bool is_among(const char *key, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(keys[i], key))
			return true;
	return false;
}

static void print_object(struct text *t, const json_t *j, int indent, const char *const *without, size_t n_without)
{
	const char *key;
	json_t *value;
	int inner = indent < 0 ? -1 : indent + 1;
	bool empty = true;
	put(t, "{");
	json_object_foreach((json_t *)j, key, value)
	{
		if (is_among(key, without, n_without))
			continue;
		if (!empty)
			put(t, ",");
		empty = false;
		newline(t, inner);
		print_string(t, key, strlen(key));
		put(t, indent < 0 ? ":" : ": ");
		print_value(t, value, inner);
	}
	if (!empty)
		newline(t, indent);
	put(t, "}");
}

static void print_array(struct text *t, const json_t *j, int indent)
{
	size_t i;
	json_t *value;
	int inner = indent < 0 ? -1 : indent + 1;
	put(t, "[");
	json_array_foreach(j, i, value)
	{
		if (i)
			put(t, ",");
		newline(t, inner);
		print_value(t, value, inner);
	}
	if (json_array_size(j))
		newline(t, indent);
	put(t, "]");
}

static void print_value(struct text *t, const json_t *j, int indent)
{
	char number[32];
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		print_object(t, j, indent, NULL, 0);
		break;
	case JSON_ARRAY:
		print_array(t, j, indent);
		break;
	case JSON_STRING:
		print_string(t, json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		put(t, number);
		break;
	case JSON_REAL:
		print_real(t, json_real_value(j));
		break;
	case JSON_TRUE:
		put(t, "true");
		break;
	case JSON_FALSE:
		put(t, "false");
		break;
	case JSON_NULL:
		put(t, "null");
		break;
	}
}

char *json_line(const json_t *j)
{
	struct text t = {0};
	print_value(&t, j, -1);
	return t.bytes;
}

char *json_line_without(const json_t *object, const char *const *keys, size_t n)
{
	struct text t = {0};
	print_object(&t, object, -1, keys, n);
	return t.bytes;
}

char *json_pretty(const json_t *j)
{
	struct text t = {0};
	print_value(&t, j, 0);
	return t.bytes;
}
