/* See tar.h.  Blocks of 512 bytes: a header, its data padded with zeros; two blocks of zeros end it. */
#include "tar.h"

#define BLOCK          512
#define PAX_MAX        (64 * 1024)
#define SIZE_MAX_BYTES ((int64_t)1 << 40)

struct header { /* POSIX.1-1988 ustar */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8], owner[32],
		group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

void tar_init(struct tar *t, tar_read read, void *arg, int64_t budget)
{
	*t = (struct tar){.read = read, .arg = arg, .budget = budget};
}

/* The bytes there are, up to size; less only at the end of the archive. */
static ssize_t read_some(struct tar *t, void *into, size_t size, struct err *err)
{
	size_t got = 0;
	while (got < size) {
		if (t->budget < 0)
			return err_set(err, -EFBIG, "holds more than it should: refused");
		size_t ask = (size_t)MIN((int64_t)(size - got), t->budget < INT64_MAX ? t->budget + 1 : INT64_MAX);
		ssize_t n = t->read(t->arg, (char *)into + got, ask, err);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		got += (size_t)n;
		t->budget -= n;
	}
	if (t->budget < 0)
		return err_set(err, -EFBIG, "holds more than it should: refused");
	return (ssize_t)got;
}

static int read_all(struct tar *t, void *into, size_t size, struct err *err)
{
	ssize_t n = read_some(t, into, size, err);
	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : err_set(err, -EBADMSG, "ends in the middle of a file");
}

static int skip(struct tar *t, int64_t bytes, struct err *err)
{
	char nothing[4096];
	while (bytes > 0) {
		size_t size = (size_t)MIN(bytes, (int64_t)sizeof(nothing));
		int r = read_all(t, nothing, size, err);
		if (r < 0)
			return r;
		bytes -= (int64_t)size;
	}
	return 0;
}

static int64_t padding_of(int64_t bytes)
{
	return (BLOCK - bytes % BLOCK) % BLOCK;
}

/* Octal digits, blanks around them, ended by NUL or blank; -1: something else. */
static int64_t octal(const char *text, size_t size)
{
	int64_t value = 0;
	size_t i = 0, digits = 0;
	while (i < size && text[i] == ' ')
		i++;
	for (; i < size && text[i] >= '0' && text[i] <= '7'; i++, digits++)
		value = value * 8 + (text[i] - '0');
	return digits && digits < 20 && (i == size || text[i] == '\0' || text[i] == ' ') ? value : -1;
}

/* The sum of the header's bytes, its own place taken as blanks. */
static bool sum_is_right(const struct header *h)
{
	const uint8_t *bytes = (const uint8_t *)h;
	size_t from = offsetof(struct header, checksum);
	int64_t sum = 0;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= from && i < from + sizeof(h->checksum) ? ' ' : bytes[i];
	return octal(h->checksum, sizeof(h->checksum)) == sum;
}

static bool is_zero(const struct header *h)
{
	const char *bytes = (const char *)h;
	for (size_t i = 0; i < BLOCK; i++)
		if (bytes[i])
			return false;
	return true;
}

/* No way out: relative, no part "..", no control characters or backslashes. */
static bool stays_inside(const char *name)
{
	if (!*name || name[0] == '/')
		return false;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '\\' || *p == 127)
			return false;
	for (const char *part = name; *part;) {
		size_t size = strcspn(part, "/");
		if (size == 2 && part[0] == '.' && part[1] == '.')
			return false;
		part += size + (part[size] == '/');
	}
	return true;
}

static int take_name(char *ret, const char *name, struct err *err)
{
	while (name[0] == '.' && name[1] == '/' && name[2])
		name += 2;
	if (!stays_inside(name))
		return err_set(err, -EBADMSG, "names a file outside of itself (\"%.60s\"): refused", name);
	if (strlen(name) >= TAR_NAME_MAX)
		return err_set(err, -EBADMSG, "has a name of %zu bytes: refused", strlen(name));
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

static void header_name(const struct header *h, char *ret)
{
	bool ustar = memcmp(h->magic, "ustar", 6) == 0; /* GNU's own magic has a blank there, and no prefix */
	if (ustar && h->prefix[0])
		snprintf(ret, TAR_NAME_MAX, "%.155s/%.100s", h->prefix, h->name);
	else
		snprintf(ret, TAR_NAME_MAX, "%.100s", h->name);
}

/* Records "LENGTH KEY=VALUE\n"; only the name matters, and a size would be of a file too large for us. */
static int take_pax(char *text, size_t size, char *name, struct err *err)
{
	for (size_t at = 0; at < size;) {
		char *end, *record = text + at;
		unsigned long length = strtoul(record, &end, 10);
		if (record[0] < '1' || record[0] > '9' || *end != ' ' || length > size - at ||
		    (size_t)(end - record) + 2 > length || record[length - 1] != '\n')
			return err_set(err, -EBADMSG, "has a damaged extended header");
		char *key = end + 1;
		record[length - 1] = '\0';
		if (strncmp(key, "path=", 5) == 0 && strlen(key + 5) < TAR_NAME_MAX)
			snprintf(name, TAR_NAME_MAX, "%s", key + 5);
		else if (strncmp(key, "path=", 5) == 0)
			return err_set(err, -EBADMSG, "has a name of %zu bytes: refused", strlen(key + 5));
		else if (strncmp(key, "size=", 5) == 0 || strncmp(key, "GNU.sparse", 10) == 0)
			return err_set(err, -EBADMSG, "has a sparse file or one of more than 8 GiB: refused");
		at += length;
	}
	return 0;
}

/* The data of an 'x' or 'L' entry: what it says of the next one's name. */
static int read_extension(struct tar *t, const struct header *h, int64_t bytes, char *name, struct err *err)
{
	if (bytes > PAX_MAX)
		return err_set(err, -EBADMSG, "has an extended header of %lld bytes", (long long)bytes);
	autofree char *text = xcalloc((size_t)bytes + 1, 1);
	int r = read_all(t, text, (size_t)bytes, err);
	if (r == 0)
		r = skip(t, padding_of(bytes), err);
	if (r < 0 || h->type == 'g')
		return r;
	if (h->type == 'x')
		return take_pax(text, (size_t)bytes, name, err);
	if (strlen(text) >= TAR_NAME_MAX)
		return err_set(err, -EBADMSG, "has a name of %zu bytes: refused", strlen(text));
	snprintf(name, TAR_NAME_MAX, "%s", text);
	return 0;
}

/* 1: h is a header; 0: the end. */
static int read_header(struct tar *t, struct header *h, struct err *err)
{
	ssize_t n = read_some(t, h, BLOCK, err);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return err_set(err, -EBADMSG, "ends without the blocks that end a tar");
	if (n != BLOCK)
		return err_set(err, -EBADMSG, "ends in the middle of a header");
	if (is_zero(h))
		return 0;
	if (!sum_is_right(h))
		return err_set(err, -EBADMSG, "is no tar, or damaged (a header's checksum is wrong)");
	return 1;
}

int tar_next(struct tar *t, struct tar_entry *ret, struct err *err)
{
	char extended[TAR_NAME_MAX] = "", own[TAR_NAME_MAX];
	struct header h;
	int r = skip(t, t->left + t->padding, err);
	t->left = t->padding = 0;
	for (;;) {
		if (r == 0)
			r = read_header(t, &h, err);
		if (r <= 0)
			return r;
		int64_t bytes = octal(h.size, sizeof(h.size));
		if (bytes < 0 || bytes > SIZE_MAX_BYTES)
			return err_set(err, -EBADMSG, "has a file whose size is damaged or above 8 GiB");
		if (h.type == 'x' || h.type == 'g' || h.type == 'L') {
			r = read_extension(t, &h, bytes, extended, err);
			if (r < 0)
				return r;
			continue;
		}
		if (h.type != '0' && h.type != '\0' && h.type != '5')
			return err_set(err, -EBADMSG,
				       "holds a link, a device or something else that is no file (type '%c'): refused",
				       h.type > ' ' && h.type < 127 ? h.type : '?');
		header_name(&h, own);
		ret->type = h.type == '5' || own[strlen(own) ? strlen(own) - 1 : 0] == '/' ? TAR_DIRECTORY : TAR_FILE;
		ret->bytes = ret->type == TAR_FILE ? bytes : 0;
		t->left = bytes;
		t->padding = padding_of(bytes);
		r = take_name(ret->name, *extended ? extended : own, err);
		return r < 0 ? r : 1;
	}
}

ssize_t tar_bytes(struct tar *t, void *into, size_t size, struct err *err)
{
	size_t wanted = (size_t)MIN((int64_t)size, t->left);
	int r = read_all(t, into, wanted, err);
	if (r < 0)
		return r;
	t->left -= (int64_t)wanted;
	return (ssize_t)wanted;
}
