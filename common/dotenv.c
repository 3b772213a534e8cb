/* See dotenv.h. */
#include "dotenv.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES  (64 * 1024)
#define MAX_LEVELS 64

static const char blanks[] = " \t\r";

/* The text between quotes at p, which begins with one; escapes as in Python.  NULL: it does not end. */
static char *quoted(const char *p, const char *end)
{
	char quote = *p++, *out = xmalloc((size_t)(end - p) + 1), *to = out;
	for (; p < end && *p != quote; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
			bool newline = *p == 'n' && quote == '"';
			if (!newline && *p != '\\' && *p != quote)
				*to++ = '\\';
			*to++ = newline ? '\n' : *p;
			continue;
		}
		*to++ = *p;
	}
	*to = '\0';
	if (p < end)
		return out;
	free(out);
	return NULL;
}

/* Up to a comment, without blanks at its end. */
static char *plain(const char *p, const char *end)
{
	const char *stop = p;
	while (stop < end && !(*stop == '#' && (stop == p || strchr(blanks, stop[-1]))))
		stop++;
	while (stop > p && strchr(blanks, stop[-1]))
		stop--;
	return xasprintf("%.*s", (int)(stop - p), p);
}

/* The value when the line from p to end sets name. */
static char *value_of_line(const char *p, const char *end, const char *name)
{
	size_t size = strlen(name);
	p += strspn(p, blanks);
	if (strncmp(p, "export", 6) == 0 && strchr(blanks, p[6]))
		p += 6 + strspn(p + 6, blanks);
	if (strncmp(p, name, size) != 0)
		return NULL;
	p += size;
	p += strspn(p, blanks);
	if (p >= end || *p != '=')
		return NULL;
	p++;
	p += strspn(p, blanks);
	return p < end && (*p == '"' || *p == '\'') ? quoted(p, end) : plain(p, end);
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

char *dotenv_value(const char *text, const char *name)
{
	char *value = NULL;
	if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	while (*text) {
		size_t size = strcspn(text, "\n");
		char *found = value_of_line(text, text + size, name);
		if (found) {
			wipe(value);
			value = found;
		}
		text += size + (text[size] == '\n');
	}
	return value;
}

/* The file's text into buf of MAX_BYTES + 1: 1; 0: not there, or not one that counts; < 0: it cannot be read. */
static int read_file(const char *path, uid_t owner, char *buf, bool *ret_open, struct err *err)
{
	struct stat st;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, -errno, "%s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_BYTES)
		return 0;
	if (st.st_uid != owner && st.st_uid != 0 && st.st_uid != geteuid())
		return 0;
	size_t used = 0;
	for (ssize_t n = 1; n != 0 && used<MAX_BYTES; used += n> 0 ? (size_t)n : 0) {
		n = read(fd, buf + used, MAX_BYTES - used);
		if (n < 0 && errno != EINTR)
			return err_sys(err, -errno, "%s", path);
	}
	buf[used] = '\0';
	*ret_open = st.st_mode & (S_IRGRP | S_IROTH);
	return 1;
}

int dotenv_find(const char *dir, const char *name, uid_t owner, struct dotenv *ret, struct err *err)
{
	int trouble = 0;
	autofree char *at = xstrdup(dir), *text = xmalloc(MAX_BYTES + 1);
	for (int level = 0; level < MAX_LEVELS; level++) {
		struct dotenv d = {.path = xasprintf("%s/.env", at)};
		int r = read_file(d.path, owner, text, &d.open, trouble ? NULL : err);
		if (r == 1) {
			d.value = dotenv_value(text, name);
			explicit_bzero(text, MAX_BYTES);
		}
		if (d.value && *d.value) {
			*ret = d;
			return 0;
		}
		dotenv_fini(&d);
		trouble = r < 0 && !trouble ? r : trouble;
		char *slash = strrchr(at, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	return trouble ? trouble : err_set(err, -ENOENT, "no .env in %s or above it sets %s", dir, name);
}

void dotenv_fini(struct dotenv *d)
{
	wipe(d->value);
	free(d->path);
	*d = (struct dotenv){0};
}
