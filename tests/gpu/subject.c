/* See subject.h. */
#include "subject.h"

#include "tests/cuda/runner_host.h"
#include "worker/cuda/plan.h"

#include <unistd.h>

static const struct backend *find(const char *name)
{
	if (str_eq(name, "host"))
		return &backend_host;
	return backend_find(str_eq(name, "cpu") ? "cpu" : "cuda");
}

int subject_open(const struct backend **ret_backend, struct device **ret, const char *name, const char *amp, bool strict,
		 struct err *err)
{
	bool cpu = str_eq(name, "cpu"), host = str_eq(name, "host");
	struct device_spec spec = {.threads = (int)sysconf(_SC_NPROCESSORS_ONLN), .direct = strict && !host, .id = name};
	const struct backend *backend = find(name);
	if (!backend)
		return err_set(err, -ENOTSUP, "this build cannot train on %s", name);
	int r = backend->open(ret, &spec, err);
	if (r < 0)
		return r;
	if (!cpu && !str_eq(amp, "none"))
		(*ret)->amp_cell = str_eq(amp, "fp16") ? CELL_F16 : CELL_BF16;
	*ret_backend = backend;
	return 0;
}

char *subject_describe(const struct backend *backend, const struct device *device, char *buf)
{
	struct device_info info;
	backend->info(device, &info);
	int n = snprintf(buf, 192, "%s", info.name);
	if (info.library)
		snprintf(buf + n, 192 - (size_t)n, ", %s %s", info.library, info.version);
	return buf;
}
