/* See json.h. */
#include "json.h"

#include <float.h>
#include <math.h>

#define MAX_DEPTH 64

/* jansson limits depth to 2048 frames; ours is lower, and checked before parsing so that no deep tree is ever built. */
static bool too_deep(const char *bytes, size_t size)
{
	size_t depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		char c = bytes[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > MAX_DEPTH)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

json_t *json_parse(const char *bytes, size_t size, struct err *err)
{
	json_error_t e;
	if (too_deep(bytes, size)) {
		err_set(err, -EINVAL, "JSON nested deeper than %d levels", MAX_DEPTH);
		return NULL;
	}
	json_t *j = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		err_set(err, -EINVAL, "line %d, column %d: %s", e.line, e.column, e.text);
	return j;
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
	/* A number that has a text of at most 15 digits is that text again at 15, zeros left out; unless it is subnormal. */
	for (int digits = fabs(v) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return strcpy(buf, text);
}

/* jansson prints every real with 17 digits, or all with fewer; shortest round-trip needs a printer of our own. */
static void print_value(FILE *f, const json_t *j, int indent);

static void newline(FILE *f, int indent)
{
	if (indent < 0)
		return;
	fprintf(f, "\n%*s", 2 * indent, "");
}

static void print_string(FILE *f, const json_t *s)
{
	autofree char *text = json_dumps(s, JSON_ENCODE_ANY);
	fputs(text ? text : "\"\"", f);
}

static void print_real(FILE *f, double v)
{
	char buf[32];
	number_text(v, buf);
	bool looks_int = !strpbrk(buf, ".eEn");
	fprintf(f, looks_int ? "%s.0" : "%s", buf);
}

static void print_container(FILE *f, const json_t *j, int indent)
{
	bool object = json_is_object(j);
	int inner = indent < 0 ? -1 : indent + 1;
	size_t n = object ? json_object_size(j) : json_array_size(j);
	fputc(object ? '{' : '[', f);
	size_t i = 0;
	void *it = object ? json_object_iter((json_t *)j) : NULL;
	for (; i < n; i++) {
		if (i)
			fputc(',', f);
		newline(f, inner);
		if (object) {
			autojson json_t *key = json_string(json_object_iter_key(it));
			print_string(f, key);
			fputs(indent < 0 ? ":" : ": ", f);
			print_value(f, json_object_iter_value(it), inner);
			it = json_object_iter_next((json_t *)j, it);
		} else {
			print_value(f, json_array_get(j, i), inner);
		}
	}
	if (n)
		newline(f, indent);
	fputc(object ? '}' : ']', f);
}

static void print_value(FILE *f, const json_t *j, int indent)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		print_container(f, j, indent);
		break;
	case JSON_STRING:
		print_string(f, j);
		break;
	case JSON_INTEGER:
		fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		break;
	case JSON_REAL:
		print_real(f, json_real_value(j));
		break;
	case JSON_TRUE:
		fputs("true", f);
		break;
	case JSON_FALSE:
		fputs("false", f);
		break;
	case JSON_NULL:
		fputs("null", f);
		break;
	}
}

static char *print_all(const json_t *j, int indent)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	print_value(f, j, indent);
	INVARIANT(fclose(f) == 0, "out of memory");
	return text;
}

char *json_line(const json_t *j)
{
	return print_all(j, -1);
}

char *json_pretty(const json_t *j)
{
	return print_all(j, 0);
}

int json_get_str(const json_t *o, const char *key, const char **ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_string(v))
		return err_set(err, -EINVAL, "\"%s\": expected a string", key);
	*ret = json_string_value(v);
	return 0;
}

int json_get_int(const json_t *o, const char *key, int64_t *ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_integer(v))
		return err_set(err, -EINVAL, "\"%s\": expected a whole number", key);
	*ret = json_integer_value(v);
	return 0;
}

bool json_num_value(const json_t *v, double *ret)
{
	if (json_is_number(v)) {
		*ret = json_number_value(v);
		return true;
	}
	const char *s = json_string_value(v);
	if (s && str_eq(s, "nan"))
		*ret = NAN;
	else if (s && str_eq(s, "inf"))
		*ret = INFINITY;
	else if (s && str_eq(s, "-inf"))
		*ret = -INFINITY;
	else
		return false;
	return true;
}

int json_get_num(const json_t *o, const char *key, double *ret, struct err *err)
{
	if (!json_num_value(json_object_get(o, key), ret))
		return err_set(err, -EINVAL, "\"%s\": expected a number", key);
	return 0;
}

int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_boolean(v))
		return err_set(err, -EINVAL, "\"%s\": expected true or false", key);
	*ret = json_is_true(v);
	return 0;
}

const char *json_str_or(const json_t *o, const char *key, const char *otherwise)
{
	json_get_str(o, key, &otherwise, NULL);
	return otherwise;
}

int64_t json_int_or(const json_t *o, const char *key, int64_t otherwise)
{
	json_get_int(o, key, &otherwise, NULL);
	return otherwise;
}

double json_num_or(const json_t *o, const char *key, double otherwise)
{
	json_get_num(o, key, &otherwise, NULL);
	return otherwise;
}

bool json_bool_or(const json_t *o, const char *key, bool otherwise)
{
	json_get_bool(o, key, &otherwise, NULL);
	return otherwise;
}

json_t *json_num(double v)
{
	char buf[32];
	return isfinite(v) ? json_real(v) : json_string(number_text(v, buf));
}
