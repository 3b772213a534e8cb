/* LD_PRELOAD: what the outside world may do to a program, at a moment that a test chooses.  $FAULTS names a file that
 * the test maps too (faults.py): one struct part for sweepd, one for every other program that inherits this.
 *
 * Counted are the calls that leave something behind: writes, flushes, names, processes.  At a chosen one the process
 * kills itself with SIGKILL, before or after the call; or, while `broken` says so, calls on files fail as a full or a
 * broken disk makes them fail.  Standard error is spared: it is the log that says what happened.
 *
 * Raw system calls, so that nothing must be looked up and a sanitizer's own wrappers are not needed. */
#undef _FILE_OFFSET_BITS /* both names of a call are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { NO_SPACE = 1, IO_ERROR = 2, NETWORK_DISK = 4, NO_FILES = 8, NO_PROCESSES = 16 };

struct part {
	_Atomic int64_t calls;	    /* counted so far, by all processes of the part */
	_Atomic int64_t kill_at;    /* the call that kills; 0: none */
	_Atomic int64_t kill_after; /* it is done first */
	_Atomic int64_t broken;	    /* NO_SPACE, ... */
};

static struct part *part;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAULTS");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *map = mmap(NULL, 2 * sizeof(*part), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		part = (struct part *)map + !!strcmp(program_invocation_short_name, "sweepd");
}

static void die(void)
{
	syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
	for (;;)
		pause();
}

/* Counts a call.  True: it is the one after which to die. */
static bool count(void)
{
	if (!part || atomic_fetch_add(&part->calls, 1) + 1 != atomic_load(&part->kill_at))
		return false;
	if (!atomic_load(&part->kill_after))
		die();
	return true;
}

#define COUNTED(type, call)               \
	({                                \
		bool last = count();      \
		type result = (type)call; \
		if (last)                 \
			die();            \
		result;                   \
	})

/* errno of a call that puts bytes or names on the disk; 0: it works. */
static int broken(bool flush)
{
	int64_t how = part ? atomic_load(&part->broken) : 0;
	if (how & IO_ERROR)
		return EIO;
	return how & NO_SPACE && !flush ? ENOSPC : 0;
}

static bool is_file(int fd)
{
	struct stat st;
	return fd != STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

#define FAIL_IF(code)                \
	do {                         \
		int failure = code;  \
		if (failure) {       \
			errno = failure; \
			return -1;   \
		}                    \
	} while (0)
#define FAIL_IF_BROKEN(condition, flush) FAIL_IF((condition) ? broken(flush) : 0)

/* No more descriptors, or no more processes. */
static int exhausted(int64_t what, int code)
{
	return part && atomic_load(&part->broken) & what ? code : 0;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	if (fd == STDERR_FILENO)
		return syscall(SYS_write, fd, bytes, size);
	FAIL_IF_BROKEN(is_file(fd), false);
	return COUNTED(ssize_t, syscall(SYS_write, fd, bytes, size));
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
	FAIL_IF_BROKEN(is_file(fd), false);
	return COUNTED(ssize_t, syscall(SYS_writev, fd, pieces, n));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return COUNTED(ssize_t, syscall(SYS_sendmsg, fd, message, flags));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
	FAIL_IF_BROKEN(true, false);
	return COUNTED(ssize_t, syscall(SYS_pwrite64, fd, bytes, size, at));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	return pwrite64(fd, bytes, size, at);
}

int fsync(int fd)
{
	FAIL_IF_BROKEN(true, true);
	return COUNTED(int, syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	FAIL_IF_BROKEN(true, true);
	return COUNTED(int, syscall(SYS_fdatasync, fd));
}

int ftruncate64(int fd, off64_t size)
{
	FAIL_IF_BROKEN(true, true);
	return COUNTED(int, syscall(SYS_ftruncate, fd, size));
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int rename(const char *from, const char *to)
{
	return COUNTED(int, syscall(SYS_rename, from, to));
}

int unlink(const char *path)
{
	return COUNTED(int, syscall(SYS_unlink, path));
}

int mkdir(const char *path, mode_t mode)
{
	FAIL_IF_BROKEN(access(path, F_OK) < 0, false);
	return COUNTED(int, syscall(SYS_mkdir, path, mode));
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	FAIL_IF(exhausted(NO_FILES, EMFILE));
	if (!(flags & O_CREAT))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	FAIL_IF_BROKEN(access(path, F_OK) < 0, false);
	return COUNTED(int, syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open64(path, flags, mode);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	FAIL_IF(exhausted(NO_FILES, EMFILE));
	return (int)syscall(SYS_accept4, fd, address, size, flags);
}

int pipe2(int fds[2], int flags)
{
	FAIL_IF(exhausted(NO_FILES, EMFILE));
	return (int)syscall(SYS_pipe2, fds, flags);
}

pid_t fork(void)
{
	pid_t (*real)(void);
	FAIL_IF(exhausted(NO_PROCESSES, EAGAIN));
	*(void **)&real = dlsym(RTLD_NEXT, "fork");
	return COUNTED(pid_t, real()); /* after: both of them */
}

int statfs64(const char *path, struct statfs64 *ret)
{
	int r = (int)syscall(SYS_statfs, path, ret);
	if (r == 0 && part && atomic_load(&part->broken) & NETWORK_DISK)
		ret->f_type = NFS_SUPER_MAGIC;
	return r;
}

int statfs(const char *path, struct statfs *ret)
{
	return statfs64(path, (struct statfs64 *)ret);
}
