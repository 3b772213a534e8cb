/* doctor: what the system forbids (a sandbox) or withholds (cgroups, ulimits) from the daemon's process, or, where none
 * runs, from this one, whose child a private daemon would be; see doctor.h. */
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "common/cgroup.h"

#include <math.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What a worker needs at least: resnet18 with batch 128 on the CPU takes about 0.7 GiB. */
#define WORKER_BYTES (1024.0 * 1024 * 1024)
#define FILES_ENOUGH 256
#define FILE_ENOUGH  (1024.0 * 1024 * 1024) /* a checkpoint of resnet50 with its optimizer takes 0.2 GiB */

/* The file of /proc of the process that is looked at. */
static char *proc_file(const struct doctor *d, const char *name)
{
	return d->daemon ? xasprintf("/proc/%d/%s", d->daemon, name) : xasprintf("/proc/self/%s", name);
}

/* --- sandbox --- */

/* Memory that is written and then run, as every just-in-time compiler needs it. */
static bool may_run_generated_code(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	munmap(page, size);
	return true;
}

/* Whether systemd forbids it to the service: its filter cannot be seen from outside, its setting can. */
static bool service_denies_it(const struct doctor *d)
{
	char *show[] = {"/usr/bin/systemctl", "show", "-p", "MemoryDenyWriteExecute", "sweepd.service", NULL};
	autofree char *answer = d->ctl->paths.system && access(show[0], X_OK) == 0 ? program_output(show) : NULL;

	return answer && strstr(answer, "=yes");
}

void doctor_sandbox(struct doctor *d)
{
	autofree char *path = proc_file(d, "status");
	char no_new[16], seccomp[16];
	const char *remedy = "MemoryDenyWriteExecute=no in the unit; under SELinux allow execmem";

	read_value(path, "NoNewPrivs", no_new, sizeof(no_new));
	read_value(path, "Seccomp", seccomp, sizeof(seccomp));
	bool filtered = str_eq(seccomp, "2"), closed = str_eq(no_new, "1");
	if (service_denies_it(d) || !may_run_generated_code())
		doctor_add(d, HEALTH_FAIL, "sandbox", remedy,
			   "generated code may not run %s: oneDNN compiles its kernels at run time",
			   service_denies_it(d) ? "in sweepd.service" : "here");
	else if (filtered || closed)
		doctor_add(d, HEALTH_OK, "sandbox", NULL, "%s%s%s; generated code may run, as oneDNN needs",
			   closed ? "NoNewPrivileges" : "", closed && filtered ? ", " : "",
			   filtered ? "seccomp filter" : "");
	else
		doctor_add(d, HEALTH_OK, "sandbox", NULL, "none; generated code may run, as oneDNN needs");
}

/* --- limits --- */

/* Soft limit behind "Max open files" of /proc/PID/limits; INFINITY: none, or not to be seen. */
static double limit_of(const char *path, const char *name)
{
	char text[64];

	read_value(path, name, text, sizeof(text));
	return text[0] >= '0' && text[0] <= '9' ? strtod(text, NULL) : INFINITY;
}

/* CPUs that a quota of the group, or of one above it, leaves; INFINITY: no quota.  Version 2 alone. */
static double cpu_quota(const struct cgroup *g)
{
	autofree char *dir = xstrdup(g->dir);
	double least = INFINITY;

	while (g->version == 2 && strlen(dir) >= g->top) {
		autofree char *path = xasprintf("%s/cpu.max", dir);
		autofile FILE *f = fopen(path, "re");
		double quota, period;
		if (f && fscanf(f, "%lf %lf", &quota, &period) == 2 && period > 0 && quota / period < least)
			least = quota / period;
		char *slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			break;
		*slash = 0;
	}
	return least;
}

static void check_memory(struct doctor *d)
{
	struct cgroup group;
	char left[FORMAT_MAX], text[FORMAT_MAX];

	cgroup_of("", d->daemon, &group);
	size_t in_group = cgroup_memory_left(&group), in_all = memory_available("");
	bool limited = in_group < in_all;
	double available = (double)MIN(in_group, in_all);
	if (MIN(in_group, in_all) == SIZE_MAX)
		return;
	if (available < WORKER_BYTES)
		doctor_add(d, HEALTH_WARN, "memory",
			   limited ? "raise MemoryMax= of the unit, or the container's memory limit"
				   : "end other programs",
			   "%s%s left, and a worker needs about %s: jobs may end as oom", format_bytes(available, left),
			   limited ? " in this control group" : "", format_bytes(WORKER_BYTES, text));
	else
		doctor_add(d, HEALTH_OK, "memory", NULL, "%s can be had%s", format_bytes(available, left),
			   limited ? " (limit of the control group)" : "");
	double cpus = cpu_quota(&group);
	if (cpus < d->machine.cores)
		doctor_add(d, HEALTH_WARN, "cores", "raise CPUQuota= of the unit, or: sweepd --threads",
			   "a quota of %.1f CPUs for %d cores: threads will wait for each other", cpus,
			   d->machine.cores);
}

static void check_ulimits(struct doctor *d)
{
	autofree char *path = proc_file(d, "limits");
	double files = limit_of(path, "Max open files"), file = limit_of(path, "Max file size"),
	       space = limit_of(path, "Max address space");
	struct statvfs shm;
	char text[FORMAT_MAX];

	if (files < FILES_ENOUGH)
		doctor_add(d, HEALTH_WARN, "limits", "ulimit -n 1024", "%.0f open files: few for workers and watchers",
			   files);
	if (file < FILE_ENOUGH)
		doctor_add(d, HEALTH_WARN, "limits", "ulimit -f unlimited", "files end at %s: checkpoints may not fit",
			   format_bytes(file, text));
	if (space < 4 * WORKER_BYTES)
		doctor_add(d, HEALTH_WARN, "limits", "ulimit -v unlimited",
			   "an address space of %s: workers may not start", format_bytes(space, text));
	if (files < FILES_ENOUGH || file < FILE_ENOUGH || space < 4 * WORKER_BYTES)
		return;
	bool mounted = statvfs("/dev/shm", &shm) == 0;
	autofree char *open_files =
		isinf(files) ? xstrdup("no limit of open files") : xasprintf("%.0f open files", files);
	doctor_add(d, HEALTH_OK, "limits", NULL, "%s, /dev/shm %s", open_files,
		   mounted ? format_bytes((double)shm.f_blocks * (double)shm.f_frsize, text)
			   : "not mounted (not needed)");
}

void doctor_limits(struct doctor *d)
{
	check_memory(d);
	check_ulimits(d);
}
