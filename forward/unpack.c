/* See unpack.h. */
#include "unpack.h"

#include "common/fs.h"
#include "tar.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK        (1 << 18)
#define OTHERS_BYTES (16 * 1024 * 1024) /* of an archive, beside what is wanted */

static ssize_t read_gzip(void *arg, void *into, size_t size, struct err *err)
{
	gzFile file = arg;
	int n = gzread(file, into, (unsigned)MIN(size, (size_t)1 << 30)), code;
	if (n >= 0)
		return n;
	const char *text = gzerror(file, &code);
	if (code == Z_ERRNO)
		return err_sys(err, errno ? -errno : -EIO, "cannot be read");
	return err_set(err, -EBADMSG, "damaged gzip data: %s", text);
}

static int copy_out(struct tar *t, const char *path, struct err *err)
{
	autofree char *chunk = xmalloc(CHUNK);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, -errno, "cannot create %s", path);
	ssize_t n;
	while ((n = tar_bytes(t, chunk, CHUNK, err)) > 0) {
		int r = fs_write_all(fd, chunk, (size_t)n);
		if (r < 0)
			return err_sys(err, r, "cannot write %s", path);
	}
	if (n < 0)
		return (int)n;
	return fsync(fd) < 0 ? err_sys(err, -errno, "cannot write %s", path) : 0;
}

/* The content that the entry is, or -1. */
static ssize_t wanted(const struct catalogue_item *item, const struct tar_entry *e)
{
	const char *slash = strrchr(e->name, '/'), *name = slash ? slash + 1 : e->name;
	for (size_t i = 0; e->type == TAR_FILE && i < item->n_contents; i++)
		if (str_eq(item->contents[i].file, name))
			return (ssize_t)i;
	return -1;
}

static int take_entry(struct tar *t, const struct catalogue_item *item, const struct tar_entry *e, const char *into,
		      bool *seen, struct err *err)
{
	ssize_t i = wanted(item, e);
	if (i < 0)
		return 0;
	const struct catalogue_content *c = &item->contents[i];
	if (seen[i])
		return err_set(err, -EBADMSG, "holds %s twice", c->file);
	if (e->bytes != c->sum.bytes)
		return err_set(err, -EBADMSG, "%s in it has %lld bytes, expected %lld", c->file, (long long)e->bytes,
			       (long long)c->sum.bytes);
	seen[i] = true;
	autofree char *path = xasprintf("%s/%s", into, c->file);
	return copy_out(t, path, err);
}

/* What follows the end of the tar: padding, and gzip's checksum. */
static int read_rest(struct tar *t, struct err *err)
{
	char rest[4096];
	for (;;) {
		ssize_t n = t->read(t->arg, rest, sizeof(rest), err);
		t->budget -= MAX(n, 0);
		if (n <= 0)
			return (int)n;
		if (t->budget < 0)
			return err_set(err, -EFBIG, "holds more than it should: refused");
	}
}

static int take_all(struct tar *t, const struct catalogue_item *item, const char *into, struct err *err)
{
	autofree bool *seen = xcalloc(item->n_contents, sizeof(*seen));
	struct tar_entry entry;
	int r;
	while ((r = tar_next(t, &entry, err)) > 0) {
		r = take_entry(t, item, &entry, into, seen, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = read_rest(t, err);
	for (size_t i = 0; r == 0 && i < item->n_contents; i++)
		if (!seen[i])
			r = err_set(err, -EBADMSG, "does not hold %s", item->contents[i].file);
	return r;
}

int unpack(const struct catalogue_item *item, const char *archive, const char *into, struct err *err)
{
	int64_t budget = OTHERS_BYTES;
	for (size_t i = 0; i < item->n_contents; i++)
		budget += item->contents[i].sum.bytes;
	errno = 0;
	gzFile file = gzopen(archive, "rbe");
	if (!file)
		return err_sys(err, errno ? -errno : -ENOMEM, "%s", archive);
	gzbuffer(file, CHUNK);
	struct tar tar;
	tar_init(&tar, read_gzip, file, budget);
	int r = take_all(&tar, item, into, err);
	gzclose_r(file);
	return r;
}
