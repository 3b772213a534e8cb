/* What was found wrong in a document, printed the way compilers do.  See doc.h. */
#include "doc.h"

#include "utf8.h"

#define MAX_KEPT     50	 /* findings; of more only the number is told */
#define MAX_SENTENCE 1500 /* bytes */
#define LINE_ROOM    72 /* characters that fit beside "  123 | " on 80 columns */
#define MAX_SHOWN    (LINE_ROOM - 4) /* characters of a source line */

static void add(struct findings *f, bool warning, struct mark mark, const char *fmt, va_list ap)
{
	if (!warning)
		f->n_errors++;
	if (f->n_items == MAX_KEPT)
		return;
	char *text = xvasprintf(fmt, ap);
	if (strlen(text) > MAX_SENTENCE)
		strcpy(text + MAX_SENTENCE, "...");
	utf8_clean(text);
	f->items = xrealloc_array(f->items, f->n_items + 1, sizeof(f->items[0]));
	f->items[f->n_items++] = (struct finding){warning, mark, text};
}

void findings_add(struct findings *f, struct mark mark, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(f, false, mark, fmt, ap);
	va_end(ap);
}

void findings_warn(struct findings *f, struct mark mark, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(f, true, mark, fmt, ap);
	va_end(ap);
}

void findings_fini(struct findings *f)
{
	for (size_t i = 0; i < f->n_items; i++)
		free(f->items[i].text);
	free(f->items);
	*f = (struct findings){0};
}

static size_t characters_of(const char *text, size_t size)
{
	size_t n = 0;
	for (size_t at = 0; at < size; n++)
		at += MAX(utf8_length(text + at, size - at), (size_t)1);
	return n;
}

/* Line `line` (1-based) of text, cleaned; of one that is longer than LINE_ROOM a part (".."), in front too when the mark is
 * far to the right.  *column (1-based, characters) is moved along.  Allocated; "" when there is no such line. */
static char *source_line(const char *text, int line, int *column)
{
	for (; line > 1 && *text; line--) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	size_t size = strcspn(text, "\n");
	bool whole = characters_of(text, size) <= LINE_ROOM;
	int skip = !whole && *column > MAX_SHOWN - 20 ? *column - MAX_SHOWN / 2 : 0;
	bool late = skip > 0;
	*column -= late ? skip - 2 : 0;
	char *out = xmalloc((size_t)LINE_ROOM * 4 + 5);
	size_t used = late ? 2 : 0;
	memcpy(out, "..", used);
	for (int shown = 0; size && (whole || shown < MAX_SHOWN);) {
		size_t n = MAX(utf8_length(text, size), (size_t)1);
		if (skip > 0) {
			skip--;
		} else {
			memcpy(out + used, text, n);
			used += n;
			shown++;
		}
		text += n;
		size -= n;
	}
	strcpy(out + used, size ? ".." : "");
	utf8_clean(out);
	return out;
}

static void print_one(FILE *out, const struct finding *item, const char *file_name, const char *text)
{
	const char *rest = strchr(item->text, '\n');
	size_t first = rest ? (size_t)(rest - item->text) : strlen(item->text);
	const char *kind = item->warning ? "warning" : "error";
	int column = item->mark.column;
	if (!item->mark.line) {
		fprintf(out, "%s: %.*s\n", kind, (int)first, item->text);
	} else {
		autofree char *line = source_line(text, item->mark.line, &column);
		fprintf(out, "%s:%d:%d: %s: %.*s\n", file_name, item->mark.line, item->mark.column, kind, (int)first,
			item->text);
		if (*line)
			fprintf(out, "%5d | %s\n      | %*s^\n", item->mark.line, line, MAX(column - 1, 0), "");
	}
	if (rest)
		fprintf(out, "%s\n", rest + 1);
}

static int by_place(const void *a, const void *b)
{
	const struct finding *const *x = a, *const *y = b;
	const struct mark p = (*x)->mark, q = (*y)->mark;
	if (p.line != q.line)
		return p.line < q.line ? -1 : 1;
	if (p.column != q.column)
		return p.column < q.column ? -1 : 1;
	return *x < *y ? -1 : *x > *y; /* as found */
}

char *findings_print(const struct findings *f, const char *file_name, const char *text)
{
	char *buf = NULL;
	size_t size = 0, kept_errors = 0;
	FILE *out = open_memstream(&buf, &size);
	if (!out)
		BUG("out of memory");
	const struct finding **sorted = xcalloc(f->n_items, sizeof(*sorted));
	for (size_t i = 0; i < f->n_items; i++) {
		sorted[i] = &f->items[i];
		kept_errors += !f->items[i].warning;
	}
	qsort(sorted, f->n_items, sizeof(*sorted), by_place);
	for (size_t i = 0; i < f->n_items; i++)
		print_one(out, sorted[i], file_name, text);
	if (f->n_errors > kept_errors)
		fprintf(out, "... and %zu errors more\n", f->n_errors - kept_errors);
	free(sorted);
	fclose(out);
	return buf;
}
