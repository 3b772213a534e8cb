/* See digest.h. */
#include "digest.h"

#include <fcntl.h>
#include <md5.h>
#include <sha2.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK (1 << 18)

static void hex(const uint8_t *bytes, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

struct sums {
	int which;
	int64_t bytes;
	MD5_CTX md5;
	SHA2_CTX sha256;
};

static void sums_add(struct sums *s, const uint8_t *bytes, size_t size)
{
	s->bytes += (int64_t)size;
	if (s->which & DIGEST_MD5)
		MD5Update(&s->md5, bytes, size);
	if (s->which & DIGEST_SHA256)
		SHA256Update(&s->sha256, bytes, size);
}

static void sums_finish(struct sums *s, struct digest *ret)
{
	uint8_t md5[MD5_DIGEST_LENGTH], sha256[SHA256_DIGEST_LENGTH];
	MD5Final(md5, &s->md5);
	SHA256Final(sha256, &s->sha256);
	*ret = (struct digest){.bytes = s->bytes};
	if (s->which & DIGEST_MD5)
		hex(md5, sizeof(md5), ret->md5);
	if (s->which & DIGEST_SHA256)
		hex(sha256, sizeof(sha256), ret->sha256);
}

/* zlib reads plain files as they are. */
static int sum_inflated(gzFile file, const char *path, int64_t max_bytes, struct sums *s, struct err *err)
{
	autofree uint8_t *chunk = xmalloc(CHUNK);
	int n, code;
	while ((n = gzread(file, chunk, CHUNK)) > 0) {
		sums_add(s, chunk, (size_t)n);
		if (s->bytes > max_bytes)
			return err_set(err, -EFBIG, "%s: holds more than %lld bytes", path, (long long)max_bytes);
	}
	const char *text = gzerror(file, &code);
	if (code == Z_ERRNO)
		return err_sys(err, errno ? -errno : -EIO, "%s", path);
	if (code != Z_OK && code != Z_STREAM_END)
		return err_set(err, -EBADMSG, "%s: damaged gzip data: %s", path, text);
	return 0;
}

static int sum_plain(int fd, const char *path, int64_t max_bytes, struct sums *s, struct err *err)
{
	autofree uint8_t *chunk = xmalloc(CHUNK);
	ssize_t n;
	while ((n = read(fd, chunk, CHUNK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, -errno, "%s", path);
		sums_add(s, chunk, (size_t)n);
		if (s->bytes > max_bytes)
			return err_set(err, -EFBIG, "%s: has more than %lld bytes", path, (long long)max_bytes);
	}
	return 0;
}

int digest_needed(const struct catalogue_sum *expected)
{
	if (strlen(expected->sha256) == 64)
		return DIGEST_SHA256;
	return (*expected->sha256 ? DIGEST_SHA256 : 0) | (*expected->md5 ? DIGEST_MD5 : 0);
}

int digest_file(const char *path, bool inflate, int which, int64_t max_bytes, struct digest *ret, struct err *err)
{
	struct sums s = {.which = which};
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "%s", path);
	MD5Init(&s.md5);
	SHA256Init(&s.sha256);
	int r;
	if (inflate) {
		gzFile file = gzdopen(fd, "r");
		if (!file)
			return err_sys(err, -ENOMEM, "%s", path);
		steal_fd(&fd); /* gzclose closes it */
		gzbuffer(file, CHUNK);
		r = sum_inflated(file, path, max_bytes, &s, err);
		gzclose_r(file);
	} else {
		r = sum_plain(fd, path, max_bytes, &s, err);
	}
	if (r == 0)
		sums_finish(&s, ret);
	return r;
}

int digest_check(const struct digest *d, const struct catalogue_sum *expected, struct err *err)
{
	if (expected->bytes && d->bytes != expected->bytes)
		return err_set(err, -EBADMSG, "has %lld bytes, expected %lld", (long long)d->bytes,
			       (long long)expected->bytes);
	if (*expected->sha256 && *d->sha256 && strncmp(d->sha256, expected->sha256, strlen(expected->sha256)) != 0)
		return err_set(err, -EBADMSG, "has sha256 %s, expected %s", d->sha256, expected->sha256);
	if (*expected->md5 && *d->md5 && !str_eq(d->md5, expected->md5))
		return err_set(err, -EBADMSG, "has md5 %s, expected %s", d->md5, expected->md5);
	return 0;
}
