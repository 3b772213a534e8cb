/* See paths.h. */
#include "paths.h"

#include "fs.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_STATE   "/var/lib/sweepd"
#define SYSTEM_RUNTIME "/run/sweepd"

static const char *env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/* ${XDG_DATA_HOME:-~/.local/share}/sweepd: results are worth keeping, so data and not state. */
static char *private_state(void)
{
	const char *data = env("XDG_DATA_HOME"), *home = env("HOME");
	if (data)
		return xasprintf("%s/sweepd", data);
	return xasprintf("%s/.local/share/sweepd", home ? home : "");
}

static char *private_runtime(void)
{
	const char *runtime = env("XDG_RUNTIME_DIR");
	return runtime ? xasprintf("%s/sweepd", runtime) : xasprintf("/tmp/sweepd-%u", getuid());
}

/* Fills the rest from state and runtime, which it takes over. */
static int finish(struct paths *ret, bool system, char *state, char *runtime, struct err *err)
{
	struct paths p = {.system = system, .state = state, .runtime = runtime};
	p.db = xasprintf("%s/results.db", state);
	p.control = xasprintf("%s/control.sock", runtime);
	p.worker = xasprintf("%s/worker.sock", runtime);
	size_t limit = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	if (strlen(p.control) > limit) {
		int r = err_set(err, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes; choose a shorter directory",
				p.control, limit);
		paths_fini(&p);
		return r;
	}
	*ret = p;
	return 0;
}

static int absolute(const char *dir, char **ret, struct err *err)
{
	if (dir[0] == '/') {
		*ret = xstrdup(dir);
		return 0;
	}
	autofree char *cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_sys(err, -errno, "cannot find the current directory");
	*ret = xasprintf("%s/%s", cwd, dir);
	return 0;
}

static int in_one_directory(struct paths *ret, const char *dir, struct err *err)
{
	char *state = NULL;
	int r = absolute(dir, &state, err);
	return r < 0 ? r : finish(ret, false, state, xstrdup(state), err);
}

int paths_daemon(struct paths *ret, const char *dir, struct err *err)
{
	dir = dir ? dir : env("SWEEPD_DIR");
	if (dir)
		return in_one_directory(ret, dir, err);
	const char *state = env("STATE_DIRECTORY"), *runtime = env("RUNTIME_DIRECTORY");
	if (state)
		return finish(ret, true, xstrdup(state), xstrdup(runtime ? runtime : SYSTEM_RUNTIME), err);
	return finish(ret, false, private_state(), private_runtime(), err);
}

int paths_client(struct paths *ret, const char *dir, struct err *err)
{
	dir = dir ? dir : env("SWEEPD_DIR");
	if (dir)
		return in_one_directory(ret, dir, err);
	autofree char *state = private_state();
	if (!fs_exists(state) && fs_exists(SYSTEM_STATE))
		return finish(ret, true, xstrdup(SYSTEM_STATE), xstrdup(SYSTEM_RUNTIME), err);
	return finish(ret, false, steal_ptr(state), private_runtime(), err);
}

/* /tmp is everybody's: a directory there that is not ours is an attack or an accident. */
static int check_owner(const char *dir, struct err *err)
{
	struct stat st;
	if (lstat(dir, &st) < 0)
		return err_sys(err, -errno, "cannot look at %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s is not a directory of yours; remove it or set SWEEPD_DIR", dir);
	return 0;
}

int paths_create(const struct paths *p, struct err *err)
{
	autofree char *jobs = xasprintf("%s/jobs", p->state);
	autofree char *workers = xasprintf("%s/workers", p->state);
	int r = fs_mkdirs(p->state, 0750, err);
	r = r ? r : fs_mkdirs(jobs, 0750, err);
	r = r ? r : fs_mkdirs(workers, 0750, err);
	r = r ? r : fs_mkdirs(p->runtime, p->system ? 0755 : 0700, err);
	if (r < 0)
		return r;
	return p->system ? 0 : check_owner(p->runtime, err);
}

char *paths_job_dir(const struct paths *p, int64_t job)
{
	return xasprintf("%s/jobs/%lld", p->state, (long long)job);
}

void paths_fini(struct paths *p)
{
	free(p->state);
	free(p->runtime);
	free(p->db);
	free(p->control);
	free(p->worker);
	*p = (struct paths){0};
}
