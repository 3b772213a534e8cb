/* See probe.h. */
#include "probe.h"

#include "cudnn.h"
#include "driver.h"

static json_t *describe_driver(const struct driver *d)
{
	char version[16];
	snprintf(version, sizeof(version), "%d.%d", d->version / 1000, d->version / 10 % 100);
	return json_pack("{s:s, s:n}", "cuda", version, "problem");
}

static json_t *describe_cudnn(const struct cudnn *c)
{
	char version[16];
	return json_pack("{s:s, s:s, s:n}", "version", cudnn_version_text(c->version, version), "path", c->path, "problem");
}

static json_t *describe_problem(const struct err *err)
{
	return json_pack("{s:s}", "problem", err->text);
}

int cuda_probe(json_t *into, struct err *err)
{
	const struct driver *driver;
	const struct cudnn *cudnn;
	struct err driver_problem, cudnn_problem;
	int d = driver_open(&driver, &driver_problem), c = cudnn_open(&cudnn, &cudnn_problem);
	json_object_set_new(into, "built", json_true());
	json_object_set_new(into, "driver", d < 0 ? describe_problem(&driver_problem) : describe_driver(driver));
	json_object_set_new(into, "cudnn", c < 0 ? describe_problem(&cudnn_problem) : describe_cudnn(cudnn));
	if (d < 0)
		return err_set(err, d, "%s", driver_problem.text);
	return c < 0 ? err_set(err, c, "%s", cudnn_problem.text) : 0;
}
