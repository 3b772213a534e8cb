/* Text of unknown origin; see html.h. */
#include "ctl/html.h"
#include "common/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* XML 1.0 has no control characters but these three, and not U+FFFE and U+FFFF; what reorders text misleads on a page
 * as it does on a terminal. */
static bool forbidden(const char *s, size_t n)
{
	uint32_t c = utf8_code_point(s, n);

	return (utf8_is_harmful(c) && !strchr("\t\n\r", s[0])) || c == 0xFFFE || c == 0xFFFF;
}

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	case '\r':
		return "&#13;";
	}
	return NULL;
}

void html_put(FILE *out, const char *text)
{
	for (size_t size = strlen(text), n; size; text += n, size -= n) {
		n = utf8_length(text, size);
		const char *special = n == 1 ? entity(*text) : NULL;
		if (special)
			fputs(special, out);
		else if (n == 0 || forbidden(text, n))
			fputs(REPLACEMENT, out);
		else
			fwrite(text, 1, n, out);
		n = n ? n : 1;
	}
}

char *html_escaped(const char *text)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buf, &size);

	INVARIANT(out, "out of memory");
	html_put(out, text);
	INVARIANT(fclose(out) == 0, "out of memory");
	return buf;
}

char *markdown_escaped(const char *text)
{
	char *result = xmalloc(6 * strlen(text) + 1), *to = result;

	for (size_t size = strlen(text), n; size; text += n, size -= n) {
		n = utf8_length(text, size);
		bool keep = n && !utf8_is_harmful(utf8_code_point(text, n));
		n = n ? n : 1;
		if (!keep)
			*to++ = ' ';
		else if (*text == '<' || *text == '&') /* raw HTML passes through Markdown */
			to = stpcpy(to, *text == '<' ? "&lt;" : "&amp;");
		else if (strchr("\\`*_|[]", *text))
			to += sprintf(to, "\\%c", *text);
		else
			to = mempcpy(to, text, n);
	}
	*to = 0;
	return result;
}

char *shell_quoted(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%";
	size_t home = strncmp(word, "~/", 2) == 0 ? 2 : 0; /* must stay outside the quotes */

	if (*word && !word[home + strspn(word + home, plain)])
		return xstrdup(word);
	char *result = xmalloc(4 * strlen(word) + 3), *to = result;
	to = mempcpy(to, word, home);
	*to++ = '\'';
	for (word += home; *word; word++) {
		if (*word == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *word;
	}
	strcpy(to, "'");
	return result;
}
