/* See fs.h. */
#include "fs.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

int fs_write_all(int fd, const void *bytes, size_t size)
{
	const char *p = bytes;
	while (size > 0) {
		ssize_t n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fs_temp_open(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
	autofree char *tmp = xasprintf("%s.tmp", path);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(err, -errno, "cannot create %s", tmp);
	*ret_fd = fd;
	return 0;
}

static int sync_parent(const char *path, struct err *err)
{
	autofree char *copy = xstrdup(path);
	const char *dir = dirname(copy);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(err, -errno, "cannot flush directory %s", dir);
	return 0;
}

int fs_temp_commit(const char *path, int fd, struct err *err)
{
	autofree char *tmp = xasprintf("%s.tmp", path);
	int r = fsync(fd) < 0 ? -errno : 0;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return err_sys(err, r, "cannot write %s", path);
	}
	return sync_parent(path, err);
}

void fs_temp_abandon(const char *path, int fd)
{
	autofree char *tmp = xasprintf("%s.tmp", path);
	close(fd);
	unlink(tmp);
}

int fs_write_file(const char *path, const void *bytes, size_t size, mode_t mode, struct err *err)
{
	int fd;
	int r = fs_temp_open(path, mode, &fd, err);
	if (r < 0)
		return r;
	r = fs_write_all(fd, bytes, size);
	if (r < 0) {
		fs_temp_abandon(path, fd);
		return err_sys(err, r, "cannot write %s", path);
	}
	return fs_temp_commit(path, fd, err);
}

static int read_all(int fd, const char *path, size_t max_bytes, char **ret, size_t *ret_size, struct err *err)
{
	size_t size = 0, room = 4096;
	autofree char *buf = xmalloc(room + 1);
	for (;;) {
		ssize_t n = read(fd, buf + size, room - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, -errno, "cannot read %s", path);
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max_bytes)
			return err_set(err, -EFBIG, "%s is larger than %zu bytes", path, max_bytes);
		if (size == room) {
			room *= 2;
			buf = xrealloc_array(buf, room + 1, 1);
		}
	}
	buf[size] = '\0';
	*ret = steal_ptr(buf);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int fs_read_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	return read_all(fd, path, max_bytes, ret, ret_size, err);
}

int fs_read_plain_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size, struct err *err)
{
	struct stat st;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 && errno != ELOOP)
		return err_sys(err, -errno, "cannot open %s", path);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is not a file; expected a plain one", path);
	return read_all(fd, path, max_bytes, ret, ret_size, err);
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
	autofree char *copy = xstrdup(path);
	if (mkdir(path, mode) == 0 || errno == EEXIST) /* as a rule its parent is there */
		return 0;
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_sys(err, -errno, "cannot create directory %s", copy);
		*p = c;
		if (!c)
			return 0;
	}
}

bool fs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}
