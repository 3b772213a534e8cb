/* See proc.h. */
#include "proc.h"

#include "common/fs.h"

#include <sched.h>

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

int usable_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
