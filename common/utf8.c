/* See utf8.h. */
#include "utf8.h"

static bool continues(const char *s, size_t size, size_t n)
{
	if (n > size)
		return false;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s[i] & 0xC0) != 0x80)
			return false;
	return true;
}

size_t utf8_length(const char *s, size_t size)
{
	if (!size)
		return 0;
	unsigned char first = (unsigned char)s[0];
	unsigned char second = size > 1 ? (unsigned char)s[1] : 0;
	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		return continues(s, size, 2) ? 2 : 0;
	if (first >= 0xE0 && first <= 0xEF) {
		bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
		return continues(s, size, 3) && !overlong && !surrogate ? 3 : 0;
	}
	if (first >= 0xF0 && first <= 0xF4) {
		bool overlong = first == 0xF0 && second < 0x90, beyond = first == 0xF4 && second > 0x8F;
		return continues(s, size, 4) && !overlong && !beyond ? 4 : 0;
	}
	return 0;
}

uint32_t utf8_code_point(const char *s, size_t n)
{
	static const unsigned char first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t c = (unsigned char)s[0] & first_bits[n];
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3F);
	return c;
}

bool utf8_is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
	       (c >= 0x2066 && c <= 0x2069);
}

bool utf8_is_harmless(const char *s, size_t size)
{
	for (size_t i = 0, n; i < size; i += n) {
		n = utf8_length(s + i, size - i);
		if (n == 0 || utf8_is_harmful(utf8_code_point(s + i, n)))
			return false;
	}
	return true;
}

void utf8_clean(char *s)
{
	size_t size = strlen(s);
	while (size) {
		size_t n = utf8_length(s, size);
		if (n == 0)
			*s = '?';
		else if (*s == '\t')
			*s = ' ';
		else if (n == 1 && *s != '\n' && ((unsigned char)*s < 0x20 || *s == 0x7F))
			*s = '?';
		n = n ? n : 1;
		s += n;
		size -= n;
	}
}
