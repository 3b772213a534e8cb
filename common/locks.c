/* See locks.h.  Bytes: sqlite.org/walformat.html, "2.3.1 WAL Locks". */
#include "locks.h"

#include "fs.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BYTE	120
#define FIRST_READ_BYTE 123
#define LAST_READ_BYTE	127
#define LOCKS_MAX	(1024 * 1024)

struct held {
	long pid;
	uint64_t inode, first;
	char kind[8], mode[8];
};

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120", "2: FLOCK  ADVISORY  WRITE 1234 00:17:42 0 EOF"; one that waits has
 * "->" before the kind. */
static bool parse(const char *line, struct held *ret)
{
	return sscanf(line, "%*s %7s %*s %7s %ld %*x:%*x:%" SCNu64 " %" SCNu64, ret->kind, ret->mode, &ret->pid,
		      &ret->inode, &ret->first) == 5;
}

static bool is_db_lock(const struct held *h, enum db_lock lock)
{
	if (!str_eq(h->kind, "POSIX"))
		return false;
	if (lock == DB_LOCK_WRITE)
		return h->first == WRITE_BYTE && str_eq(h->mode, "WRITE");
	return h->first >= FIRST_READ_BYTE && h->first <= LAST_READ_BYTE && str_eq(h->mode, "READ");
}

static void describe(long pid, char *buf, size_t size)
{
	autofree char *path = xasprintf("/proc/%ld/comm", pid);
	autofree char *name = NULL;
	if (fs_read_file(path, 256, &name, NULL, NULL) == 0)
		name[strcspn(name, "\n")] = '\0';
	snprintf(buf, size, " (pid %ld%s%s)", pid, name ? ", " : "", name ? name : "");
}

/* lock NULL: a flock. */
static bool is_wanted(const struct held *h, const enum db_lock *lock)
{
	return lock ? is_db_lock(h, *lock) : str_eq(h->kind, "FLOCK");
}

static void find_holder(const char *path, const enum db_lock *lock, pid_t except, char *buf, size_t size)
{
	struct stat st;
	struct held h;
	autofree char *text = NULL;
	*buf = '\0';
	if (stat(path, &st) < 0 || fs_read_file("/proc/locks", LOCKS_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		bool another = !parse(line, &h) || h.inode != st.st_ino;
		if (another || h.pid <= 0 || h.pid == getpid() || h.pid == except || !is_wanted(&h, lock))
			continue;
		describe(h.pid, buf, size);
		return;
	}
}

void lock_holder(const char *db_path, enum db_lock lock, pid_t except, char *buf, size_t size)
{
	autofree char *shm = xasprintf("%s-shm", db_path);
	find_holder(shm, &lock, except, buf, size);
}

void flock_holder(const char *path, char *buf, size_t size)
{
	find_holder(path, NULL, 0, buf, size);
}
