/* Text on a terminal; see columns.h. */
#include "ctl/columns.h"
#include "common/utf8.h"

#include <langinfo.h>
#include <locale.h>
#include <wchar.h>

void columns_init(void)
{
	setlocale(LC_CTYPE, "");
	if (!str_eq(nl_langinfo(CODESET), "UTF-8"))
		setlocale(LC_CTYPE, "C.UTF-8");
}

size_t escape_size(const char *text, size_t size)
{
	size_t i = 2;

	if (size < 2 || text[0] != '\x1b' || text[1] != '[')
		return 0;
	while (i < size && !(text[i] >= '@' && text[i] <= '~'))
		i++;
	return i < size ? i + 1 : size;
}

/* The code point of a well-formed sequence of n bytes. */
static uint32_t code_point(const char *text, size_t n)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)text[0] & first_bits[n];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)text[i] & 0x3f);
	return c;
}

size_t text_step(const char *text, size_t size, size_t *ret_columns)
{
	size_t n = utf8_length(text, size);
	int width = n ? wcwidth((wchar_t)code_point(text, n)) : 1;

	*ret_columns = width < 0 ? 1 : (size_t)width;
	return n ? n : 1;
}

size_t text_columns(const char *text, size_t size)
{
	size_t columns = 0, width;

	for (size_t i = 0; i < size;) {
		size_t escape = escape_size(text + i, size - i);
		if (escape) {
			i += escape;
			continue;
		}
		i += text_step(text + i, size - i, &width);
		columns += width;
	}
	return columns;
}

size_t text_fit(const char *text, size_t room)
{
	size_t size = strlen(text), at = 0, width;

	while (at < size) {
		size_t n = text_step(text + at, size - at, &width);
		if (width > room)
			break;
		room -= width;
		at += n;
	}
	return at;
}

/* Of U+0080-009F some drive terminals as ESC does; the others reorder what stands beside them. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static char *clean(const char *text, const char *keep)
{
	size_t size = strlen(text), at = 0;
	char *copy = xmalloc(size + 1);

	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(text + i, size - i);
		if (n && (strchr(keep, text[i]) || !is_harmful(code_point(text + i, n)))) {
			memcpy(copy + at, text + i, n);
			at += n;
		} else {
			copy[at++] = '?';
		}
		i += n ? n : 1;
	}
	copy[at] = 0;
	return copy;
}

char *text_clean(const char *text)
{
	return clean(text, "");
}

char *text_clean_lines(const char *text)
{
	return clean(text, "\n\t");
}
