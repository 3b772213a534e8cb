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

size_t text_step(const char *text, size_t size, size_t *ret_columns)
{
	size_t n = utf8_length(text, size);
	int width = n ? wcwidth((wchar_t)utf8_code_point(text, n)) : 1;

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

/* Bytes of the path at text, without the punctuation of the sentence it stands in. */
static size_t path_size(const char *text)
{
	size_t size = strcspn(text, " \"'()");

	while (size && strchr(":,;.", text[size - 1]))
		size--;
	return size;
}

char *text_short_paths(const char *text, bool drop)
{
	char *copy = xmalloc(strlen(text) + 1), *to = copy;
	char before = ' ';

	while (*text) {
		size_t size = *text == '/' && strchr(" \"'(", before) ? path_size(text) : 0, last = 0;
		if (drop && size && strncmp(text + size, ": ", 2) == 0) {
			text += size + 2;
			continue;
		}
		for (size_t i = 1; i + 1 < size; i++)
			last = text[i] == '/' ? i : last;
		if (last > 2) {
			to = stpcpy(to, "..");
			text += last;
			size -= last;
		}
		size = MAX(size, (size_t)1);
		memcpy(to, text, size);
		to += size;
		text += size;
		before = text[-1];
	}
	*to = 0;
	return copy;
}

static char *clean(const char *text, const char *keep)
{
	size_t size = strlen(text), at = 0;
	char *copy = xmalloc(size + 1);

	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(text + i, size - i);
		if (n && (strchr(keep, text[i]) || !utf8_is_harmful(utf8_code_point(text + i, n)))) {
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
