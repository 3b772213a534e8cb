/* See spawn.h. */
#include "spawn.h"

#include "common/fs.h"

#include <fcntl.h>
#include <libgen.h>
#include <unistd.h>

int spawn_find_program(const char *name, const char *directory, const char *option, char **ret, struct err *err)
{
	char self[4096];
	if (option) {
		*ret = xstrdup(option);
		return access(option, X_OK) < 0 ? err_sys(err, -errno, "cannot run %s", option) : 0;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(err, -errno, "cannot read /proc/self/exe");
	self[n] = '\0';
	const char *dir = dirname(self);
	autofree char *in_build = xasprintf("../%s/", directory);
	const char *const places[] = {"", in_build, "../libexec/sweepd/"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *path = xasprintf("%s/%s%s", dir, places[i], name);
		if (access(path, X_OK) == 0) {
			*ret = path;
			return 0;
		}
		free(path);
	}
	return err_set(err, -ENOENT, "no %s beside %s, in ../%s or in ../libexec/sweepd", name, dir, directory);
}

char *spawn_mark(const struct slot *slot)
{
	return xasprintf("SWEEPD_WORKER=%s:%lld", slot->daemon->paths.state, (long long)slot->worker);
}

char *spawn_log_path(const struct slot *slot)
{
	return xasprintf("%s/workers/%lld.log", slot->daemon->paths.state, (long long)slot->worker);
}

/* This environment with the mark; the array is allocated, its texts are not. */
/* Not for a worker: its own mark, and what only sweep-forward needs. */
static bool is_kept_back(const char *variable)
{
	return strncmp(variable, "SWEEPD_WORKER=", strlen("SWEEPD_WORKER=")) == 0 ||
	       strncmp(variable, "WANDB_API_KEY=", strlen("WANDB_API_KEY=")) == 0;
}

static char **marked_environment(char *mark)
{
	size_t n = 0;
	while (environ[n])
		n++;
	char **env = xcalloc(n + 2, sizeof(*env));
	env[0] = mark;
	for (size_t i = 0, used = 1; i < n; i++)
		if (!is_kept_back(environ[i]))
			env[used++] = environ[i];
	return env;
}

static int open_log(const struct slot *slot, struct err *err)
{
	autofree char *path = spawn_log_path(slot);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	return fd < 0 ? err_sys(err, -errno, "cannot create %s", path) : fd;
}

int spawn_worker(struct slot *slot, uv_exit_cb on_exit, struct err *err)
{
	struct daemon *d = slot->daemon;
	autofree char *program = NULL;
	autofree char *token_file = xasprintf("%s/worker.token", d->paths.state);
	autofree char *worker = xasprintf("%lld", (long long)slot->worker);
	autofree char *threads = xasprintf("%d", slot->threads);
	int r = spawn_find_program("sweep-worker", "worker", d->options.worker_program, &program, err);
	if (r < 0)
		return r;
	autoclose int log_fd = open_log(slot, err);
	if (log_fd < 0)
		return log_fd;
	char *backend = slot->kind == DEVICE_CUDA ? "cuda" : (char *)d->options.backend;
	autofree char *slots = xasprintf("%d", d->options.n_slots);
	char *args[] = {program, "--socket", d->paths.worker, "--token-file", token_file, "--worker",
			worker,  "--device", slot->device,    "--threads",    threads,    "--slots",
			slots,	 backend ? "--backend" : NULL, backend, NULL};
	autofree char *mark = spawn_mark(slot);
	autofree char **env = marked_environment(mark);
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = log_fd},
		{.flags = UV_INHERIT_FD, .data.fd = log_fd},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit,
		.file = program,
		.args = args,
		.env = env,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = ARRAY_LEN(stdio),
	};
	r = uv_spawn(&d->loop, slot->process, &options);
	return r < 0 ? err_set(err, r, "cannot start %s: %s", program, uv_strerror(r)) : 0;
}
