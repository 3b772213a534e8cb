/* The cpu backend: oneDNN's primitives, fp32 or (AMP) bf16.  See cpu/plan.h for what it does. */
#include "backend_cpu.h"

#include "cpu/plan.h"

/* "model name" of /proc/cpuinfo's first processor; "CPU" where there is none. */
static void cpu_model(char *buf, size_t size)
{
	snprintf(buf, size, "CPU");
	autofile FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');
		if (!colon || strncmp(line, "model name", strlen("model name")) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(buf, size, "%s", colon + 1 + strspn(colon + 1, " "));
		return;
	}
}

static int cpu_open(struct device **ret, const struct device_spec *spec, struct err *err)
{
	struct device *device = xcalloc(1, sizeof(*device));
	device->spec = *spec;
	device->info.amp = dnn_has_bf16() ? "bf16" : NULL;
	device->info.library = "onednn";
	dnn_version(device->info.version, sizeof(device->info.version));
	char model[96];
	cpu_model(model, sizeof(model));
	snprintf(device->info.name, sizeof(device->info.name), "%s, %d thread%s", model, spec->threads,
		 spec->threads == 1 ? "" : "s");
	*ret = device;
	return 0;
}

static void cpu_info(const struct device *device, struct device_info *ret)
{
	*ret = device->info;
}

static int cpu_load(struct device *device, const struct dataset *data, struct err *err)
{
	device->data = data;
	return 0;
}

static int cpu_prepare(struct device *device, const struct net *net, const struct recipe *recipe, int batch,
		       struct plan **ret, struct err *err)
{
	return plan_new(ret, device, net, recipe, batch, err);
}

static void cpu_close(struct device *device)
{
	free(device);
}

static const struct backend cpu = {
	.name = "cpu",
	.open = cpu_open,
	.info = cpu_info,
	.load = cpu_load,
	.prepare = cpu_prepare,
	.state_alloc = plan_state_alloc,
	.state_get = plan_state_get,
	.state_set = plan_state_set,
	.begin_epoch = plan_begin_epoch,
	.run = plan_run,
	.evaluate = plan_evaluate,
	.memory = plan_memory,
	.release = plan_free,
	.close = cpu_close,
};

const struct backend *const backend_cpu = &cpu;
