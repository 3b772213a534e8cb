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
	char mode[8];
};

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120" */
static bool parse(const char *line, struct held *ret)
{
	return sscanf(line, "%*s POSIX %*s %7s %ld %*x:%*x:%" SCNu64 " %" SCNu64, ret->mode, &ret->pid, &ret->inode,
		      &ret->first) == 4;
}

static bool is_wanted(const struct held *h, enum db_lock lock)
{
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

void lock_holder(const char *db_path, enum db_lock lock, pid_t except, char *buf, size_t size)
{
	struct stat st;
	struct held h;
	autofree char *shm = xasprintf("%s-shm", db_path);
	autofree char *text = NULL;
	*buf = '\0';
	if (stat(shm, &st) < 0 || fs_read_file("/proc/locks", LOCKS_MAX, &text, NULL, NULL) < 0)
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
