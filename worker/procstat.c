/* See procstat.h. */
#include "procstat.h"

#include "common/fs.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* A "Vm...:" line of /proc/self/status, in MiB; 0 when there is none. */
static int64_t status_mib(const char *key)
{
	autofree char *text = NULL;
	if (fs_read_file("/proc/self/status", 64 * 1024, &text, NULL, NULL) < 0)
		return 0;
	const char *line = strstr(text, key);
	return line ? strtoll(line + strlen(key), NULL, 10) / 1024 : 0;
}

int64_t procstat_peak_ram_mib(void)
{
	return status_mib("VmHWM:");
}

int64_t procstat_ram_mib(void)
{
	return status_mib("VmRSS:");
}

void procstat_reset_peak(void)
{
	autoclose int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		fs_write_all(fd, "5", 1);
}

double procstat_cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
