/* Facts about this machine; see machine.h. */
#include "ctl/machine.h"
#include "common/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

void read_value(const char *path, const char *key, char *buf, size_t size)
{
	autofile FILE *f = fopen(path, "re");
	autofree char *line = NULL;
	size_t room = 0;

	buf[0] = 0;
	while (f && getline(&line, &room, f) > 0) {
		size_t length = strlen(key);
		if (strncmp(line, key, length) != 0 || !strchr(":= \t", line[length]))
			continue;
		const char *value = line + length + strspn(line + length, ":= \t\"");
		snprintf(buf, size, "%.*s", (int)strcspn(value, "\"\n"), value);
		return;
	}
}

static bool has_flag(const char *flags, const char *flag)
{
	size_t size = strlen(flag);

	for (const char *at = strstr(flags, flag); at; at = strstr(at + 1, flag))
		if ((at == flags || at[-1] == ' ') && (at[size] == ' ' || !at[size]))
			return true;
	return false;
}

void machine_read(struct machine *m)
{
	struct utsname uts;
	cpu_set_t set;
	char flags[8192], kib[64];

	*m = (struct machine){.cores = 1};
	read_value("/etc/os-release", "PRETTY_NAME", m->os, sizeof(m->os));
	if (uname(&uts) == 0) {
		snprintf(m->arch, sizeof(m->arch), "%s", str_eq(uts.machine, "x86_64") ? "x86-64" : uts.machine);
		if (!m->os[0])
			snprintf(m->os, sizeof(m->os), "%s %.60s", uts.sysname, uts.release);
	}
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		m->cores = CPU_COUNT(&set);
	read_value("/proc/meminfo", "MemTotal", kib, sizeof(kib));
	m->ram_bytes = strtod(kib, NULL) * 1024;
	read_value("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	read_value("/proc/cpuinfo", "flags", flags, sizeof(flags));
	m->isa = has_flag(flags, "avx512f") ? "AVX-512" : has_flag(flags, "avx2") ? "AVX2" : "SSE";
}

static const struct {
	unsigned long type; /* statfs(2)'s f_type */
	const char *name;
	bool network;
} file_systems[] = {
	{0xef53, "ext4", false},      {0x58465342, "xfs", false},     {0x9123683e, "btrfs", false},
	{0x01021994, "tmpfs", false}, {0x794c7630, "overlay", false}, {0x2fc12fc1, "zfs", false},
	{0xf2f52010, "f2fs", false},  {0x6969, "NFS", true},          {0x517b, "SMB", true},
	{0xff534d42, "CIFS", true},   {0xfe534d42, "SMB2", true},     {0x01021997, "9p", true},
	{0x00c36400, "Ceph", true},   {0x0bd00bd0, "Lustre", true},   {0x5346414f, "AFS", true},
	{0x65735546, "FUSE", false},
};

/* Cuts path to the nearest part that exists. */
static void nearest_existing(char *path)
{
	while (access(path, F_OK) < 0) {
		char *slash = strrchr(path, '/');
		if (!slash || slash == path) {
			strcpy(path, slash ? "/" : ".");
			return;
		}
		*slash = 0;
	}
}

int file_system_read(struct file_system *fs, const char *path, struct err *err)
{
	autofree char *place = xstrdup(path);
	struct statfs st;

	nearest_existing(place);
	if (statfs(place, &st) < 0)
		return err_sys(err, -errno, "%s", place);
	*fs = (struct file_system){.free_bytes = (double)st.f_bavail * (double)st.f_bsize};
	for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
		if ((unsigned long)st.f_type != file_systems[i].type)
			continue;
		fs->name = file_systems[i].name;
		fs->network = file_systems[i].network;
		return 0;
	}
	snprintf(fs->unknown, sizeof(fs->unknown), "file system 0x%lx", (unsigned long)st.f_type);
	fs->name = fs->unknown;
	return 0;
}

bool can_create(const char *path)
{
	autofree char *place = xstrdup(path);

	nearest_existing(place);
	return access(place, W_OK) == 0;
}

#define ANSWER_MS 10000 /* a first look at GPUs takes seconds */

/* Reads until the end or until it takes too long; false: it did. */
static bool read_answer(int fd, char **ret)
{
	double until = monotonic_s() + ANSWER_MS / 1000.0;
	char *text = xcalloc(1, 1), block[4096];
	size_t size = 0;
	ssize_t n = -1;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		double left = until - monotonic_s();
		if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) <= 0 || (n = read(fd, block, sizeof(block))) <= 0)
			break;
		text = xrealloc_array(text, size + (size_t)n + 1, 1);
		memcpy(text + size, block, (size_t)n);
		size += (size_t)n;
		text[size] = 0;
	}
	*ret = text;
	return n == 0;
}

char *program_output(char *const argv[])
{
	char *text = NULL;
	int ends[2], status = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	pid_t pid = fork();
	if (pid == 0) {
		int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(ends[1], STDOUT_FILENO);
		dup2(null_fd, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	bool whole = pid > 0 && read_answer(ends[0], &text);
	close(ends[0]);
	if (pid > 0 && !whole)
		kill(pid, SIGKILL);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (whole && *text && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return text;
	free(text);
	return NULL;
}
