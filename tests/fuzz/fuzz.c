/* See fuzz.h. */
#include "fuzz.h"

#include "common/fs.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (ftw->level > 0)
		remove(path);
	return 0;
}

void fuzz_clear(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_dir(void)
{
	fuzz_clear();
	rmdir(dir);
}

const char *fuzz_dir(void)
{
	if (*dir)
		return dir;
	snprintf(dir, sizeof(dir), "%s/sweepd-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	INVARIANT(mkdtemp(dir), "mkdtemp: %s", strerror(errno));
	atexit(remove_dir);
	return dir;
}

void fuzz_write(const char *name, const void *bytes, size_t size)
{
	autofree char *path = xasprintf("%s/%s", fuzz_dir(), name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	INVARIANT(fd >= 0 && fs_write_all(fd, bytes, size) == 0, "%s: %s", path, strerror(errno));
}
