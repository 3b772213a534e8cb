/* Starts a private sweepd; see launch.h. */
#include "ctl/launch.h"
#include "common/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 30000

static char *executable(char *path)
{
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *find_in_path(const char *name)
{
	const char *path = getenv("PATH");

	for (const char *at = path ? path : ""; *at;) {
		size_t size = strcspn(at, ":");
		char *found = size ? executable(xasprintf("%.*s/%s", (int)size, at, name)) : NULL;
		if (found)
			return found;
		at += size + (at[size] == ':');
	}
	return NULL;
}

char *find_program(const char *name, const char *dir)
{
	autofree char *tree = xasprintf("../%s/", dir);
	const char *const places[] = {"", tree, "../libexec/sweepd/"};
	char self[4096];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *found = NULL;

	if (size > 0) {
		self[size] = 0;
		*strrchr(self, '/') = 0;
		for (size_t i = 0; !found && i < ARRAY_LEN(places); i++)
			found = executable(xasprintf("%s/%s%s", self, places[i], name));
	}
	return found ? found : find_in_path(name);
}

/* In the child: a session of its own, stdin empty, stdout and stderr the log; then sweepd. */
static void become_daemon(const struct ctl *ctl, const char *program, int log_fd, int ready_fd)
{
	char number[16];
	char *argv[8] = {(char *)program};
	size_t n = 1;
	int null_fd = open("/dev/null", O_RDONLY);

	setsid();
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0)
		_exit(127);
	snprintf(number, sizeof(number), "%d", ready_fd);
	if (ctl->dir) {
		argv[n++] = (char *)"--dir";
		argv[n++] = (char *)ctl->dir;
	}
	argv[n++] = (char *)"--ready-fd";
	argv[n++] = number;
	if (null_fd > STDERR_FILENO)
		close(null_fd);
	execv(program, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* What the daemon wrote since it was started: its reason for not starting. */
static void say_log(const char *path, off_t from)
{
	char bytes[2048];
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), from);

	if (n > 0)
		fprintf(stderr, "%.*s%s", (int)n, bytes, bytes[n - 1] == '\n' ? "" : "\n");
}

/* 0 when the byte came; else what happened is said. */
static int wait_ready(int fd, pid_t pid, const char *log, off_t from)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;
	int n, status;

	do
		n = poll(&p, 1, READY_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0 && read(fd, &byte, 1) == 1)
		return EXIT_OK;
	if (n == 0)
		fprintf(stderr, "error: sweepd (pid %d) was started but is not ready after %d s; its log:\n  %s\n",
			(int)pid, READY_MS / 1000, log);
	else if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
		fprintf(stderr, "error: sweepd did not start: killed by signal %d; its log (%s):\n", WTERMSIG(status),
			log);
	else
		fprintf(stderr, "error: sweepd did not start; its log (%s):\n", log);
	say_log(log, from);
	return EXIT_NO_DAEMON;
}

int launch_daemon(struct ctl *ctl, int *ret_pid)
{
	autofree char *program = find_program("sweepd", "daemon");
	autofree char *log = xasprintf("%s/sweepd.log", ctl->paths.state);
	autoclose int log_fd = -1;
	autoclose int ready = -1;
	int ends[2];
	struct err err;

	if (!program) {
		fputs("error: sweepd is neither beside sweepctl nor in $PATH\n  do this:  install it, or add its "
		      "directory "
		      "to PATH\n",
		      stderr);
		return EXIT_NO_DAEMON;
	}
	if (paths_create(&ctl->paths, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_PERMISSION;
	}
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log_fd < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		fprintf(stderr, "error: %s: %s\n", log, strerror(errno));
		return EXIT_PERMISSION;
	}
	ready = ends[0];
	off_t from = lseek(log_fd, 0, SEEK_END);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become_daemon(ctl, program, log_fd, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		fprintf(stderr, "error: cannot start sweepd: %s\n", strerror(errno));
		return EXIT_NO_DAEMON;
	}
	*ret_pid = pid;
	return wait_ready(ready, pid, log, from);
}
