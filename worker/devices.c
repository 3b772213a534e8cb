/* See devices.h. */
#include "devices.h"

#include "backend.h"
#include "cuda/gpu_lock.h"
#include "cuda/libraries.h"
#include "cuda/probe.h"
#include "cuda/visible.h"

static const char *const backend_names[] = {"ref", "cpu", "cuda"};

static json_t *list_backends(void)
{
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(backend_names); i++)
		if (backend_find(backend_names[i]))
			json_array_append_new(list, json_string(backend_names[i]));
	return list;
}

static json_t *describe(const char *id, const char *kind, const char *name, const char *reason)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:s?}", "id", id, "kind", kind, "name", name, "trains", !reason, "reason",
			 reason);
}

static json_t *describe_cpu(void)
{
	const struct backend *backend = backend_find("cpu") ? backend_find("cpu") : backend_find("ref");
	const struct device_spec spec = {.threads = 1};
	struct device_info info;
	struct device *device;
	struct err err;
	if (backend->open(&device, &spec, &err) < 0)
		return describe("cpu", "cpu", "CPU", err.text);
	backend->info(device, &info);
	backend->close(device);
	info.name[strcspn(info.name, ",")] = '\0'; /* "AMD EPYC 9R14, 1 threads" */
	json_t *o = describe("cpu", "cpu", info.name, NULL);
	json_object_update_new(o, json_pack("{s:s?, s:s?, s:s?}", "amp", info.amp, "library", info.library, "version",
					    *info.version ? info.version : NULL));
	return o;
}

/* --- GPUs --- */

struct found {
	struct nvml *nvml;
	struct nvml_gpu *gpus;
	size_t n;
	const char *unusable; /* why no GPU trains in this build on this machine, or NULL */
};

/* Why GPU i does not train, or NULL. */
static const char *reason_of(const struct found *f, size_t i, char *buf, size_t size)
{
	const struct nvml_gpu *gpu = &f->gpus[i];
	if (*gpu->problem)
		return gpu->problem;
	if (gpu->mig)
		return "it is cut into MIG instances, which are used instead";
	if (!gpu_is_visible(f->gpus, f->n, i, getenv("CUDA_VISIBLE_DEVICES")))
		return "CUDA_VISIBLE_DEVICES hides it";
	if (gpu->sm != NVML_UNKNOWN && gpu->sm < CUDA_OLDEST_SM) {
		snprintf(buf, size, "its compute capability is %d.%d; %d.%d is needed", gpu->sm / 10, gpu->sm % 10,
			 CUDA_OLDEST_SM / 10, CUDA_OLDEST_SM % 10);
		return buf;
	}
	return f->unusable;
}

static json_t *known_or_null(int64_t value)
{
	return value == NVML_UNKNOWN ? json_null() : json_integer(value);
}

static json_t *describe_gpu(const struct found *f, size_t i)
{
	const struct nvml_gpu *gpu = &f->gpus[i];
	struct nvml_reading reading = {.memory_bytes = NVML_UNKNOWN, .memory_used_bytes = NVML_UNKNOWN};
	char buf[128];
	if (*gpu->uuid)
		nvml_read(f->nvml, gpu->uuid, &reading, NULL);
	json_t *o = describe(gpu->uuid, "cuda", *gpu->name ? gpu->name : "GPU", reason_of(f, i, buf, sizeof(buf)));
	gpu_lock_holder(gpu->uuid, buf, sizeof(buf));
	json_object_set_new(o, "in_use", *buf ? json_sprintf("by another worker%s", buf) : json_null());
	json_object_set_new(o, "index", json_integer(gpu->index));
	json_object_set_new(o, "instance", known_or_null(gpu->instance));
	json_object_set_new(o, "sm", known_or_null(gpu->sm));
	json_object_set_new(o, "memory_bytes", known_or_null(reading.memory_bytes));
	json_object_set_new(o, "memory_used_bytes", known_or_null(reading.memory_used_bytes));
	return o;
}

/* A machine without a driver has no GPUs and no problem. */
static json_t *find_gpus(json_t *devices, const char *unusable)
{
	struct found f = {.unusable = unusable};
	struct err err;
	int r = nvml_open(&f.nvml, &err);
	if (r == -ENOENT)
		return json_pack("{s:n, s:n}", "driver", "problem");
	r = r ? r : nvml_gpus(f.nvml, &f.gpus, &f.n, &err);
	for (size_t i = 0; r == 0 && i < f.n; i++)
		json_array_append_new(devices, describe_gpu(&f, i));
	json_t *nvml = json_pack("{s:s?, s:s?}", "driver", f.nvml ? nvml_driver_version(f.nvml) : NULL, "problem",
				 r < 0 ? err.text : NULL);
	free(f.gpus);
	nvml_close(f.nvml);
	return nvml;
}

json_t *devices_find(void)
{
	struct err err;
	json_t *devices = json_array(), *cuda = json_object();
	bool usable = cuda_probe(cuda, &err) == 0;
	if (!backend_find("cuda"))
		usable = err_set(&err, 0, "this build trains on the CPU only");
	json_array_append_new(devices, describe_cpu());
	json_t *nvml = find_gpus(devices, usable ? NULL : err.text);
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "backends", list_backends(), "devices", devices, "nvml", nvml, "cuda",
			 cuda, "libraries", libraries_find());
}

/* --- for people --- */

static void print_device(const json_t *d, FILE *out)
{
	const char *id = json_str_or(d, "id", "");
	int64_t bytes = json_int_or(d, "memory_bytes", 0);
	fprintf(out, "%-40s  %s", *id ? id : "?", json_str_or(d, "name", ""));
	if (bytes)
		fprintf(out, ", %.0f GiB", (double)bytes / (1 << 30));
	if (json_str_or(d, "in_use", NULL))
		fprintf(out, ", in use %s", json_str_or(d, "in_use", ""));
	if (!json_bool_or(d, "trains", false))
		fprintf(out, ": not used, %s", json_str_or(d, "reason", ""));
	fputc('\n', out);
}

void devices_print(const json_t *found, FILE *out)
{
	size_t i;
	const json_t *d, *nvml = json_object_get(found, "nvml");
	json_array_foreach(json_object_get(found, "devices"), i, d)
		print_device(d, out);
	const char *problem = json_str_or(nvml, "problem", NULL);
	if (problem)
		fprintf(out, "GPUs were not looked for: %s\n", problem);
	else if (json_is_null(json_object_get(nvml, "driver")))
		fprintf(out, "no NVIDIA driver, so no GPUs\n");
}
