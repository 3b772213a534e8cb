/* See gpu_lock.h. */
#include "gpu_lock.h"

#include "common/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_DIR "/run/lock"

static char *lock_path(const char *uuid)
{
	const char *dir = getenv("SWEEPD_LOCK_DIR");
	bool prefixed = strncmp(uuid, "GPU-", 4) == 0 || strncmp(uuid, "MIG-", 4) == 0;
	char *path = xasprintf("%s/sweepd-%s.lock", dir && *dir ? dir : LOCK_DIR, prefixed ? uuid + 4 : uuid);
	for (char *p = strrchr(path, '/') + 1; *p; p++)
		if (*p <= ' ' || *p > '~')
			*p = '_';
	return path;
}

/* Readable for all, whatever the umask: a lock needs no right to write. */
static int open_lock(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd < 0 && errno == EEXIST) /* made by another one just now */
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
		fchmod(fd, 0444);
	return fd;
}

int gpu_lock(const char *uuid, struct err *err)
{
	char holder[64];
	autofree char *path = lock_path(uuid);
	autoclose int fd = open_lock(path, err);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return steal_fd(&fd);
	if (errno != EWOULDBLOCK)
		return err_sys(err, -errno, "cannot lock %s", path);
	flock_holder(path, holder, sizeof(holder));
	return err_set(err, -EBUSY, "another worker%s has it", holder);
}

void gpu_lock_holder(const char *uuid, char *buf, size_t size)
{
	autofree char *path = lock_path(uuid);
	flock_holder(path, buf, size);
}
