/* See base.h. */
#include "base.h"

#include <ctype.h>
#include <unistd.h>

static int err_vset(struct err *err, int code, const char *fmt, va_list ap)
{
	if (err)
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
	return code;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	err_vset(err, code, fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	err_vset(err, code, fmt, ap);
	va_end(ap);
	if (err) {
		size_t n = strlen(err->text);
		snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(-code));
	}
	return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	va_list ap;
	va_start(ap, fmt);
	autofree char *prefix = xvasprintf(fmt, ap);
	va_end(ap);
	autofree char *old = xstrdup(err->text);
	snprintf(err->text, sizeof(err->text), "%s: %s", prefix, old);
	return code;
}

void bug(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "%s:%d: broken invariant: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void *must(void *p)
{
	if (!p)
		BUG("out of memory");
	return p;
}

void *xmalloc(size_t size)
{
	return must(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
	return must(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return must(strdup(s));
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *s;
	if (vasprintf(&s, fmt, ap) < 0)
		BUG("out of memory");
	return s;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}

void cleanup_free(void *p)
{
	free(*(void **)p);
}

void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define NAME_MAX_SIZE 64

/* With small letters in place of large ones; how many swaps of neighbours, changes, losses and gains of a letter. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t d[NAME_MAX_SIZE][NAME_MAX_SIZE], n = strlen(a), m = strlen(b);
	if (n >= NAME_MAX_SIZE || m >= NAME_MAX_SIZE)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			size_t change = d[i - 1][j - 1] + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
			d[i][j] = MIN(change, MIN(d[i - 1][j], d[i][j - 1]) + 1);
			bool swapped = i > 1 && j > 1 && tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 2]) &&
				       tolower((unsigned char)a[i - 2]) == tolower((unsigned char)b[j - 1]);
			if (swapped)
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

/* Slips that a word of so many letters may hold and still be that word. */
static size_t slips(size_t length)
{
	return length < 3 ? 0 : MIN((size_t)3, (length + 1) / 3);
}

static const char *misspelt(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		size_t d = edit_distance(word, names[i]);
		if (d < best_distance && d <= slips(MIN(strlen(word), strlen(names[i])))) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

/* How many names word begins or, if `within`, is in; *ret is one that begins all of them, else NULL. */
static size_t part_of(const char *word, const char *const *names, size_t n, bool within, const char **ret)
{
	size_t found = 0;
	*ret = NULL;
	for (size_t i = 0; i < n; i++) {
		const char *at = strcasestr(names[i], word);
		if (!at || (at != names[i] && !within))
			continue;
		if (!found++ || (*ret && strncmp(*ret, names[i], strlen(names[i])) == 0))
			*ret = names[i];
		else if (*ret && strncmp(*ret, names[i], strlen(*ret)) != 0)
			*ret = NULL;
	}
	return found;
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
	const char *near;
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(word, names[i]) == 0)
			return names[i];
	if (strlen(word) < 3)
		return NULL;
	if (part_of(word, names, n, false, &near))
		return near;
	near = misspelt(word, names, n);
	if (!near && strlen(word) >= 4)
		part_of(word, names, n, true, &near);
	return near;
}

const char *nearest_meaning(const char *word, const char *const *names, size_t n, const struct synonym *synonyms,
			    size_t n_synonyms)
{
	autofree const char **words = xcalloc(n + n_synonyms, sizeof(*words));
	for (size_t i = 0; i < n; i++)
		words[i] = names[i];
	for (size_t i = 0; i < n_synonyms; i++)
		words[n + i] = synonyms[i].word;
	const char *near = nearest_name(word, words, n + n_synonyms);
	for (size_t i = 0; near && i < n_synonyms; i++)
		if (near == synonyms[i].word)
			return synonyms[i].name;
	return near;
}
