/* See json.h. */
#include "json.h"

#include "json_flat.h"

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
	json_t *flat = json_flat(bytes, size);
	if (flat)
		return flat;
	if (too_deep(bytes, size)) {
		err_set(err, -EINVAL, "JSON nested deeper than %d levels", MAX_DEPTH);
		return NULL;
	}
	json_t *j = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		err_set(err, -EINVAL, "line %d, column %d: %s", e.line, e.column, e.text);
	return j;
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
