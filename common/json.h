/* Small helpers over jansson: typed reads that say what was wrong, numbers as people write them, and non-finite
 * numbers as the strings "nan", "inf", "-inf" (jansson refuses them as numbers). */
#pragma once

#include "base.h"

#include <jansson.h>

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define autojson __attribute__((cleanup(cleanup_json)))

/* Parses one line or document of bytes: at most 64 levels deep, duplicate keys refused, UTF-8 checked, NUL refused. */
json_t *json_parse(const char *bytes, size_t size, struct err *err);
/* One line, no newline; object keys in insertion order; doubles shortest round-trip.  Caller frees. */
char *json_line(const json_t *j);
/* The same of an object's members but those. */
char *json_line_without(const json_t *object, const char *const *keys, size_t n);
/* json_line() over several lines, for people. */
char *json_pretty(const json_t *j);

/* Members of an object.  -EINVAL with "key: expected a string" when absent or of another type. */
int json_get_str(const json_t *o, const char *key, const char **ret, struct err *err); /* borrowed */
int json_get_int(const json_t *o, const char *key, int64_t *ret, struct err *err);
int json_get_num(const json_t *o, const char *key, double *ret, struct err *err); /* takes "nan", "inf", "-inf" too */
int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *err);
/* With a default when the key is absent or of another type. */
const char *json_str_or(const json_t *o, const char *key, const char *otherwise);
int64_t json_int_or(const json_t *o, const char *key, int64_t otherwise);
double json_num_or(const json_t *o, const char *key, double otherwise);
bool json_bool_or(const json_t *o, const char *key, bool otherwise);

/* A number, or one of "nan", "inf", "-inf"; false: it is neither. */
bool json_num_value(const json_t *v, double *ret);
/* A real, or a string for a value that is not finite.  New reference. */
json_t *json_num(double v);
/* Shortest decimal text that reads back as v: 0.1, 5e-05, 200.  buf holds at least 32 bytes; returns buf. */
char *number_text(double v, char *buf);
