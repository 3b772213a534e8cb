/* See nvml.h.  Declarations after NVIDIA's NVML API reference: numbers and layouts there are a stable ABI. */
#include "nvml.h"

#include "library.h"

#define NAME "libnvidia-ml.so.1"

typedef int nvml_return;
typedef struct nvml_device *nvml_device;
typedef struct nvml_event_set *nvml_event_set;

enum { /* nvmlReturn_t */
	RETURN_OK = 0,
	RETURN_NOT_SUPPORTED = 3,
	RETURN_NO_PERMISSION = 4,
	RETURN_NOT_FOUND = 6,
	RETURN_DRIVER_NOT_LOADED = 9,
	RETURN_GPU_IS_LOST = 15,
	RETURN_RESET_REQUIRED = 16,
	RETURN_VERSION_MISMATCH = 18,
};
enum { CLOCK_SM = 1, CLOCK_MEMORY = 2 };	      /* nvmlClockType_t */
enum { TEMPERATURE_GPU = 0 };			      /* nvmlTemperatureSensors_t */
enum { ECC_CORRECTED = 0, ECC_UNCORRECTED = 1 };      /* nvmlMemoryErrorType_t */
enum { EVENT_XID_CRITICAL = 8 };		      /* nvmlEventTypes */
enum { ECC_VOLATILE = 0 };			      /* nvmlEccCounterType_t: since the driver was started */

struct nvml_memory { /* nvmlMemory_t */
	unsigned long long total, free, used;
};
struct nvml_utilization { /* nvmlUtilization_t */
	unsigned gpu, memory;
};
struct nvml_event { /* nvmlEventData_t */
	nvml_device device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};

#define NVML_FUNCTIONS(F)                                                                              \
	F(init, "nvmlInit_v2", (void))                                                                 \
	F(shutdown, "nvmlShutdown", (void))                                                            \
	F(driver_version, "nvmlSystemGetDriverVersion", (char *, unsigned))                            \
	F(count, "nvmlDeviceGetCount_v2", (unsigned *))                                                \
	F(by_index, "nvmlDeviceGetHandleByIndex_v2", (unsigned, nvml_device *))                        \
	F(by_uuid, "nvmlDeviceGetHandleByUUID", (const char *, nvml_device *))                         \
	F(name, "nvmlDeviceGetName", (nvml_device, char *, unsigned))                                  \
	F(uuid, "nvmlDeviceGetUUID", (nvml_device, char *, unsigned))                                  \
	F(capability, "nvmlDeviceGetCudaComputeCapability", (nvml_device, int *, int *))               \
	F(mig_mode, "nvmlDeviceGetMigMode", (nvml_device, unsigned *, unsigned *))                     \
	F(mig_max, "nvmlDeviceGetMaxMigDeviceCount", (nvml_device, unsigned *))                        \
	F(mig_by_index, "nvmlDeviceGetMigDeviceHandleByIndex", (nvml_device, unsigned, nvml_device *)) \
	F(memory, "nvmlDeviceGetMemoryInfo", (nvml_device, struct nvml_memory *))                      \
	F(utilization, "nvmlDeviceGetUtilizationRates", (nvml_device, struct nvml_utilization *))      \
	F(power, "nvmlDeviceGetPowerUsage", (nvml_device, unsigned *))                                 \
	F(temperature, "nvmlDeviceGetTemperature", (nvml_device, int, unsigned *))                     \
	F(clock, "nvmlDeviceGetClockInfo", (nvml_device, int, unsigned *))                             \
	F(ecc_errors, "nvmlDeviceGetTotalEccErrors", (nvml_device, int, int, unsigned long long *))    \
	F(energy, "nvmlDeviceGetTotalEnergyConsumption", (nvml_device, unsigned long long *))          \
	F(event_set_create, "nvmlEventSetCreate", (nvml_event_set *))                                  \
	F(event_set_free, "nvmlEventSetFree", (nvml_event_set))                                        \
	F(register_events, "nvmlDeviceRegisterEvents", (nvml_device, unsigned long long, nvml_event_set)) \
	F(event_wait, "nvmlEventSetWait_v2", (nvml_event_set, struct nvml_event *, unsigned))

struct nvml {
#define NVML_FIELD(field, symbol, arguments) nvml_return(*field) arguments;
	NVML_FUNCTIONS(NVML_FIELD)
#undef NVML_FIELD
	const char *(*error_string)(nvml_return);
	char version[96];
};

/* --- open --- */

static int nvml_err(const struct nvml *n, struct err *err, nvml_return code, const char *what)
{
	int r = -EIO;
	if (code == RETURN_GPU_IS_LOST || code == RETURN_RESET_REQUIRED || code == RETURN_DRIVER_NOT_LOADED ||
	    code == RETURN_VERSION_MISMATCH)
		r = -ENODEV;
	else if (code == RETURN_NOT_FOUND)
		r = -ENOENT;
	return err_set(err, r, "%s: %s", what, n->error_string(code));
}

int nvml_open(struct nvml **ret, struct err *err)
{
#define NVML_SYMBOL(field, symbol, arguments) {symbol, offsetof(struct nvml, field)},
	static const struct library_symbol symbols[] = {
		NVML_FUNCTIONS(NVML_SYMBOL){"nvmlErrorString", offsetof(struct nvml, error_string)}};
#undef NVML_SYMBOL
	void *library;
	int r = library_open(&library, NAME, NULL, err);
	if (r == -ENOENT)
		return err_set(err, r, NAME " was not found: there is no NVIDIA driver");
	if (r < 0)
		return r;
	autofree struct nvml *n = xcalloc(1, sizeof(*n));
	r = library_load(library, NAME, symbols, ARRAY_LEN(symbols), n, err);
	if (r < 0)
		return r;
	nvml_return code = n->init();
	if (code != RETURN_OK) {
		nvml_err(n, err, code, "the NVIDIA driver does not answer");
		return -ENODEV;
	}
	if (n->driver_version(n->version, sizeof(n->version)) != RETURN_OK)
		n->version[0] = '\0';
	*ret = steal_ptr(n);
	return 0;
}

void nvml_close(struct nvml *nvml)
{
	if (!nvml)
		return;
	nvml->shutdown();
	free(nvml);
}

const char *nvml_driver_version(const struct nvml *nvml)
{
	return nvml->version;
}

/* --- list --- */

struct gpu_list {
	struct nvml_gpu *gpus;
	size_t n;
};

static struct nvml_gpu *list_add(struct gpu_list *list, int index, int instance)
{
	list->gpus = xrealloc_array(list->gpus, list->n + 1, sizeof(*list->gpus));
	struct nvml_gpu *gpu = &list->gpus[list->n++];
	*gpu = (struct nvml_gpu){.index = index, .instance = instance, .sm = NVML_UNKNOWN};
	return gpu;
}

static void set_problem(const struct nvml *n, struct nvml_gpu *gpu, nvml_return code)
{
	if (code == RETURN_OK || *gpu->problem)
		return;
	if (code == RETURN_GPU_IS_LOST)
		snprintf(gpu->problem, sizeof(gpu->problem), "it is lost from the bus; the machine must be restarted");
	else if (code == RETURN_RESET_REQUIRED)
		snprintf(gpu->problem, sizeof(gpu->problem), "it must be reset (nvidia-smi --gpu-reset)");
	else if (code == RETURN_NO_PERMISSION)
		snprintf(gpu->problem, sizeof(gpu->problem), "this user may not use it");
	else
		snprintf(gpu->problem, sizeof(gpu->problem), "it cannot be asked: %s", n->error_string(code));
}

/* ECC that is off, or that this GPU does not have, has no errors. */
static void check_ecc(const struct nvml *n, nvml_device device, struct nvml_gpu *gpu)
{
	unsigned long long errors = 0;
	nvml_return code = n->ecc_errors(device, ECC_UNCORRECTED, ECC_VOLATILE, &errors);
	if (code == RETURN_GPU_IS_LOST || code == RETURN_RESET_REQUIRED)
		set_problem(n, gpu, code);
	else if (code == RETURN_OK && errors > 0 && !*gpu->problem)
		snprintf(gpu->problem, sizeof(gpu->problem),
			 "its memory has had %llu uncorrectable error%s since the driver was started; reset it", errors,
			 errors == 1 ? "" : "s");
}

static void describe(const struct nvml *n, nvml_device device, struct nvml_gpu *gpu)
{
	int major, minor;
	nvml_return code = n->uuid(device, gpu->uuid, sizeof(gpu->uuid));
	code = code ? code : n->name(device, gpu->name, sizeof(gpu->name));
	set_problem(n, gpu, code);
	if (n->capability(device, &major, &minor) == RETURN_OK)
		gpu->sm = 10 * major + minor;
	check_ecc(n, device, gpu);
}

/* parent: of the instances; they share its memory and its capability.  Not a pointer: the list moves. */
static void add_instances(const struct nvml *n, nvml_device device, struct gpu_list *list, size_t parent)
{
	unsigned max = 0;
	nvml_device instance;
	if (n->mig_max(device, &max) != RETURN_OK)
		return;
	for (unsigned i = 0; i < max; i++) {
		if (n->mig_by_index(device, i, &instance) != RETURN_OK) /* the numbers have gaps */
			continue;
		struct nvml_gpu *gpu = list_add(list, list->gpus[parent].index, (int)i);
		describe(n, instance, gpu);
		if (gpu->sm == NVML_UNKNOWN)
			gpu->sm = list->gpus[parent].sm;
		if (!*gpu->problem)
			memcpy(gpu->problem, list->gpus[parent].problem, sizeof(gpu->problem));
	}
}

static void add_gpu(const struct nvml *n, unsigned index, struct gpu_list *list)
{
	nvml_device device;
	unsigned mig = 0, pending = 0;
	size_t place = list->n;
	struct nvml_gpu *gpu = list_add(list, (int)index, NVML_UNKNOWN);
	nvml_return code = n->by_index(index, &device);
	set_problem(n, gpu, code);
	if (code != RETURN_OK)
		return;
	describe(n, device, gpu);
	gpu->mig = n->mig_mode(device, &mig, &pending) == RETURN_OK && mig;
	if (gpu->mig)
		add_instances(n, device, list, place);
}

int nvml_gpus(const struct nvml *nvml, struct nvml_gpu **ret, size_t *ret_count, struct err *err)
{
	unsigned count = 0;
	struct gpu_list list = {0};
	nvml_return code = nvml->count(&count);
	if (code != RETURN_OK)
		return nvml_err(nvml, err, code, "the NVIDIA driver does not tell how many GPUs there are");
	for (unsigned i = 0; i < count; i++)
		add_gpu(nvml, i, &list);
	*ret = list.gpus;
	*ret_count = list.n;
	return 0;
}

/* --- read --- */

/* What a GPU does not tell stays unknown; that it is lost is an answer. */
static bool lost(nvml_return code)
{
	return code == RETURN_GPU_IS_LOST || code == RETURN_RESET_REQUIRED;
}

static nvml_return read_memory(const struct nvml *n, nvml_device device, struct nvml_reading *r)
{
	struct nvml_memory memory;
	nvml_return code = n->memory(device, &memory);
	if (code == RETURN_OK) {
		r->memory_bytes = (int64_t)memory.total;
		r->memory_used_bytes = (int64_t)memory.used;
	}
	return code;
}

static nvml_return read_utilization(const struct nvml *n, nvml_device device, struct nvml_reading *r)
{
	struct nvml_utilization utilization;
	nvml_return code = n->utilization(device, &utilization);
	if (code == RETURN_OK)
		r->utilization_percent = (int)utilization.gpu;
	return code;
}

static nvml_return read_ecc(const struct nvml *n, nvml_device device, int type, int64_t *ret)
{
	unsigned long long errors;
	nvml_return code = n->ecc_errors(device, type, ECC_VOLATILE, &errors);
	if (code == RETURN_OK)
		*ret = (int64_t)errors;
	return code;
}

static nvml_return read_energy(const struct nvml *n, nvml_device device, struct nvml_reading *r)
{
	unsigned long long mj;
	nvml_return code = n->energy(device, &mj);
	if (code == RETURN_OK)
		r->energy_mj = (int64_t)mj;
	return code;
}

static nvml_return read_number(nvml_return (*ask)(nvml_device, unsigned *), nvml_device device, int *ret)
{
	unsigned value;
	nvml_return code = ask(device, &value);
	if (code == RETURN_OK)
		*ret = (int)value;
	return code;
}

static nvml_return read_kind(nvml_return (*ask)(nvml_device, int, unsigned *), nvml_device device, int kind, int *ret)
{
	unsigned value;
	nvml_return code = ask(device, kind, &value);
	if (code == RETURN_OK)
		*ret = (int)value;
	return code;
}

int nvml_read(const struct nvml *n, const char *uuid, struct nvml_reading *ret, struct err *err)
{
	struct nvml_reading r = {NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN,
				 NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN, NVML_UNKNOWN};
	nvml_device device;
	nvml_return code = n->by_uuid(uuid, &device);
	if (code != RETURN_OK)
		return nvml_err(n, err, code, uuid);
	const nvml_return codes[] = {
		read_memory(n, device, &r),
		read_utilization(n, device, &r),
		read_number(n->power, device, &r.power_mw),
		read_kind(n->temperature, device, TEMPERATURE_GPU, &r.temperature_c),
		read_kind(n->clock, device, CLOCK_SM, &r.sm_clock_mhz),
		read_kind(n->clock, device, CLOCK_MEMORY, &r.memory_clock_mhz),
		read_ecc(n, device, ECC_CORRECTED, &r.ecc_corrected),
		read_ecc(n, device, ECC_UNCORRECTED, &r.ecc_uncorrected),
		read_energy(n, device, &r),
	};
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (lost(codes[i]))
			return nvml_err(n, err, codes[i], uuid);
	*ret = r;
	return 0;
}

/* --- watch --- */

struct nvml_watch {
	const struct nvml *nvml;
	nvml_event_set set;
};

struct nvml_watch *nvml_watch_new(const struct nvml *n, const char *uuid)
{
	nvml_device device;
	nvml_event_set set;
	if (n->by_uuid(uuid, &device) != RETURN_OK || n->event_set_create(&set) != RETURN_OK)
		return NULL;
	if (n->register_events(device, EVENT_XID_CRITICAL, set) != RETURN_OK) {
		n->event_set_free(set);
		return NULL;
	}
	struct nvml_watch *w = xcalloc(1, sizeof(*w));
	*w = (struct nvml_watch){n, set};
	return w;
}

void nvml_watch_free(struct nvml_watch *w)
{
	if (w)
		w->nvml->event_set_free(w->set);
	free(w);
}

int nvml_watch_next(struct nvml_watch *w)
{
	struct nvml_event event;
	bool any = w->nvml->event_wait(w->set, &event, 0) == RETURN_OK && event.type == EVENT_XID_CRITICAL;
	return any ? (int)event.data : 0;
}

/* https://docs.nvidia.com/deploy/xid-errors: those that a training meets. */
const char *nvml_xid_text(int xid)
{
	static const struct {
		int xid;
		const char *text;
	} texts[] = {
		{13, "a kernel broke off"},
		{31, "a kernel used memory that is not there"},
		{43, "it stopped processing"},
		{48, "a double bit ECC error"},
		{63, "a memory row was remapped or a page retired"},
		{64, "a memory row could not be remapped"},
		{74, "an NVLink error"},
		{79, "it has fallen off the bus"},
		{94, "a contained ECC error"},
		{95, "an uncontained ECC error"},
		{119, "its system processor does not answer"},
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].xid == xid)
			return texts[i].text;
	return "";
}
