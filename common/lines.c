/* See lines.h. */
#include "lines.h"

void lines_init(struct lines *l, size_t limit)
{
	*l = (struct lines){.limit = limit};
}

void lines_fini(struct lines *l)
{
	free(l->buf);
	*l = (struct lines){0};
}

/* buf: [0, scanned) was handed out already, [scanned, used) waits. */
static void drop_scanned(struct lines *l)
{
	if (!l->scanned)
		return;
	memmove(l->buf, l->buf + l->scanned, l->used - l->scanned);
	l->used -= l->scanned;
	l->scanned = 0;
}

int lines_feed(struct lines *l, const char *bytes, size_t size, struct err *err)
{
	drop_scanned(l);
	if (l->used + size + 1 > l->size) {
		l->size = MAX(l->size * 2, l->used + size + 1);
		l->buf = xrealloc_array(l->buf, l->size, 1);
	}
	memcpy(l->buf + l->used, bytes, size);
	l->used += size;
	const char *end = memrchr(l->buf, '\n', l->used);
	size_t unfinished = end ? l->used - (size_t)(end + 1 - l->buf) : l->used;
	if (unfinished > l->limit)
		return err_set(err, -EMSGSIZE, "a line longer than %zu bytes", l->limit);
	return 0;
}

char *lines_next(struct lines *l, size_t *ret_size)
{
	if (l->scanned >= l->used)
		return NULL;
	char *start = l->buf + l->scanned;
	char *end = memchr(start, '\n', l->used - l->scanned);
	if (!end)
		return NULL;
	*end = '\0';
	*ret_size = (size_t)(end - start);
	l->scanned += *ret_size + 1;
	return start;
}
