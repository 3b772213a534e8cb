/* See json_flat.h. */
#include "json_flat.h"

#define DIGITS_EXACT 15 /* so many digits are a double exactly, and 10 to that power is: their quotient is rounded once */

struct cursor {
	const char *at, *end;
};

static bool take(struct cursor *c, char byte)
{
	if (c->at == c->end || *c->at != byte)
		return false;
	c->at++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* Between quotes, without escapes; NULL: it is not such a string. */
static const char *take_string(struct cursor *c, size_t *ret_n)
{
	if (!take(c, '"'))
		return NULL;
	const char *start = c->at;
	for (; c->at < c->end && *c->at != '"'; c->at++)
		if (*c->at < 0x20 || *c->at > 0x7e || *c->at == '\\')
			return NULL;
	*ret_n = (size_t)(c->at - start);
	return take(c, '"') ? start : NULL;
}

/* At most so many, which value has room for. */
static int take_digits(struct cursor *c, int most, int64_t *value)
{
	int n = 0;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && n < most; c->at++, n++)
		*value = *value * 10 + (*c->at - '0');
	return n;
}

/* -12 or 0.125; without an exponent. */
static json_t *take_number(struct cursor *c)
{
	static const double tens[DIGITS_EXACT + 1] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,	1e6, 1e7,
						      1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	int64_t value = 0;
	bool negative = take(c, '-');
	const char *first = c->at;
	int whole = take_digits(c, DIGITS_EXACT + 1, &value), part = 0;
	if (whole == 0 || (*first == '0' && whole > 1))
		return NULL;
	bool real = take(c, '.');
	if (real && !(part = take_digits(c, DIGITS_EXACT + 1 - whole, &value)))
		return NULL;
	if (whole + part > DIGITS_EXACT || (c->at < c->end && (*c->at == 'e' || *c->at == 'E')))
		return NULL;
	if (!real)
		return json_integer(negative ? -value : value);
	double v = (double)value / tens[part];
	return json_real(negative ? -v : v);
}

static json_t *take_value(struct cursor *c)
{
	size_t n;
	if (c->at == c->end)
		return NULL;
	switch (*c->at) {
	case '"': {
		const char *s = take_string(c, &n);
		return s ? json_stringn_nocheck(s, n) : NULL;
	}
	case 't':
		return take_word(c, "true") ? json_true() : NULL;
	case 'f':
		return take_word(c, "false") ? json_false() : NULL;
	case 'n':
		return take_word(c, "null") ? json_null() : NULL;
	default:
		return take_number(c);
	}
}

/* "key":value */
static bool take_member(struct cursor *c, json_t *object)
{
	char key[64];
	size_t n;
	const char *s = take_string(c, &n);
	if (!s || n >= sizeof(key) || !take(c, ':'))
		return false;
	memcpy(key, s, n);
	key[n] = '\0';
	json_t *value = take_value(c);
	if (!value || json_object_get(object, key)) {
		json_decref(value);
		return false;
	}
	return json_object_set_new_nocheck(object, key, value) == 0;
}

json_t *json_flat(const char *bytes, size_t size)
{
	struct cursor c = {bytes, bytes + size};
	if (!take(&c, '{'))
		return NULL;
	autojson json_t *object = json_object();
	bool empty = take(&c, '}');
	while (!empty) {
		if (!take_member(&c, object))
			return NULL;
		if (take(&c, '}'))
			break;
		if (!take(&c, ','))
			return NULL;
	}
	return c.at == c.end ? json_incref(object) : NULL;
}
