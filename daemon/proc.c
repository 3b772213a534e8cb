/* See proc.h. */
#include "proc.h"

#include "common/fs.h"
#include "common/utf8.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t proc_start_time(pid_t pid)
{
	autofree char *path = xasprintf("/proc/%d/stat", (int)pid);
	autofree char *text = NULL;
	if (fs_read_file(path, 4096, &text, NULL, NULL) < 0)
		return -1;
	const char *at = strrchr(text, ')'); /* the name before it may hold anything */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) : -1;
}

void proc_boot_id(char *buf, size_t size)
{
	autofree char *text = NULL;
	buf[0] = '\0';
	if (fs_read_file("/proc/sys/kernel/random/boot_id", 256, &text, NULL, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	snprintf(buf, size, "%s", text);
}

#define ENVIRON_MAX (1024 * 1024)

static bool is_marked(pid_t pid, const char *entry)
{
	size_t size = 0;
	autofree char *path = xasprintf("/proc/%d/environ", (int)pid);
	autofree char *text = NULL;
	if (fs_read_file(path, ENVIRON_MAX, &text, &size, NULL) < 0)
		return false;
	for (const char *at = text; at < text + size; at += strlen(at) + 1)
		if (str_eq(at, entry))
			return true;
	return false;
}

/* The descriptor comes first: what is killed is the process that was looked at, whoever has its number by then. */
static bool kill_if_marked(pid_t pid, const char *entry)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd >= 0 && is_marked(pid, entry) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

#define PASSES_MAX 100 /* over processes that multiply */

int proc_kill_marked(const char *entry)
{
	int killed = 0;
	for (int pass = 0, found = 1; found && pass < PASSES_MAX; pass++) {
		DIR *proc = opendir("/proc");
		found = 0;
		for (struct dirent *e; proc && (e = readdir(proc));) {
			pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;
			if (pid > 1 && pid != getpid())
				found += kill_if_marked(pid, entry);
		}
		if (proc)
			closedir(proc);
		killed += pass ? 0 : found; /* a second pass may meet the dying */
	}
	return killed;
}

#define TAIL_BYTES 4096

void last_words(const char *path, char *buf, size_t size)
{
	char tail[TAIL_BYTES + 1];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	ssize_t n = end < 0 ? -1 : pread(fd, tail, TAIL_BYTES, MAX(end - TAIL_BYTES, 0));
	buf[0] = '\0';
	if (n <= 0)
		return;
	while (n > 0 && (isspace((unsigned char)tail[n - 1]) || !tail[n - 1]))
		n--;
	tail[n] = '\0';
	const char *line = strrchr(tail, '\n');
	snprintf(buf, size, "%s", line ? line + 1 : tail);
	for (char *c = buf; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	utf8_clean(buf);
}

void proc_unprotect(pid_t pid)
{
	autofree char *path = xasprintf("/proc/%d/oom_score_adj", (int)pid);
	autofree char *text = NULL;
	if (fs_read_file(path, 64, &text, NULL, NULL) < 0 || text[0] != '-')
		return;
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		fs_write_all(fd, "0", 1);
}

int usable_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
