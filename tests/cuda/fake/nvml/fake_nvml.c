/* libnvidia-ml.so.1 for tests: GPUs as $FAKE_NVML says, records separated by ';':
 *
 *   init:CODE                       nvmlInit_v2 fails with it
 *   gpu:UUID,NAME,SM,MIB,FLAGS      FLAGS of: lost reset ecc denied quiet mig dying xid nocounter (joined by '+', or nothing);
 *                                   quiet: it tells neither utilization nor power, temperature, clocks, ECC and energy, as
 *                                   old and virtual ones; dying: lost when its UUID is asked for the 6th time; xid: has an
 *                                   Xid 79 at first; nocounter: does not count energy
 *   mig:UUID,NAME,MIB               an instance of the GPU before it; "-": a number that is not in use */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX    32

enum { OK = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, GPU_IS_LOST = 15, RESET_REQUIRED = 16 };

struct device {
	char uuid[96], name[96], flags[64];
	int sm, mib, parent; /* -1: a whole GPU */
	int asked;
	unsigned long long mj;
};

static struct device devices[MAX];
static int n_devices, init_code, users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void add(const char *record)
{
	struct device *d = &devices[n_devices];
	*d = (struct device){.parent = -1};
	if (sscanf(record, "init:%d", &init_code) == 1)
		return;
	if (sscanf(record, "gpu:%95[^,],%95[^,],%d,%d,%63s", d->uuid, d->name, &d->sm, &d->mib, d->flags) >= 4) {
		n_devices++;
	} else if (sscanf(record, "mig:%95[^,],%95[^,],%d", d->uuid, d->name, &d->mib) >= 1) {
		int parent = n_devices - 1;
		while (devices[parent].parent >= 0)
			parent = devices[parent].parent;
		d->parent = parent;
		n_devices++;
	} else {
		fprintf(stderr, "FAKE_NVML: cannot read \"%s\"\n", record);
		abort();
	}
}

/* NVML's functions have C types of their own; the fake only needs their shapes. */
typedef struct device *device_t;
EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlSystemGetDriverVersion(char *buf, unsigned size);
EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *ret);
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *ret);
EXPORT int nvmlDeviceGetName(device_t d, char *buf, unsigned size);
EXPORT int nvmlDeviceGetUUID(device_t d, char *buf, unsigned size);
EXPORT int nvmlDeviceGetCudaComputeCapability(device_t d, int *major, int *minor);
EXPORT int nvmlDeviceGetMigMode(device_t d, unsigned *current, unsigned *pending);
EXPORT int nvmlDeviceGetMaxMigDeviceCount(device_t d, unsigned *count);
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(device_t d, unsigned index, device_t *ret);
EXPORT int nvmlDeviceGetMemoryInfo(device_t d, unsigned long long memory[3]);
EXPORT int nvmlDeviceGetUtilizationRates(device_t d, unsigned rates[2]);
EXPORT int nvmlDeviceGetPowerUsage(device_t d, unsigned *mw);
EXPORT int nvmlDeviceGetTemperature(device_t d, int sensor, unsigned *celsius);
EXPORT int nvmlDeviceGetClockInfo(device_t d, int type, unsigned *mhz);
EXPORT int nvmlDeviceGetTotalEccErrors(device_t d, int type, int counter, unsigned long long *count);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(device_t d, unsigned long long *mj);
struct event {
	device_t device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};
EXPORT int nvmlEventSetCreate(device_t **set);
EXPORT int nvmlEventSetFree(device_t *set);
EXPORT int nvmlDeviceRegisterEvents(device_t d, unsigned long long types, device_t *set);
EXPORT int nvmlEventSetWait_v2(device_t *set, struct event *event, unsigned timeout_ms);

static void read_scenario(void)
{
	const char *scenario = getenv("FAKE_NVML");
	char *copy = strdup(scenario ? scenario : ""), *rest;
	n_devices = init_code = 0;
	for (char *r = strtok_r(copy, ";", &rest); r; r = strtok_r(NULL, ";", &rest))
		add(r);
	free(copy);
}

/* As the real one: read by the first of its users, until the last has gone. */
int nvmlInit_v2(void)
{
	pthread_mutex_lock(&lock);
	if (users == 0)
		read_scenario();
	users += init_code == OK;
	pthread_mutex_unlock(&lock);
	return init_code;
}

int nvmlShutdown(void)
{
	pthread_mutex_lock(&lock);
	users--;
	pthread_mutex_unlock(&lock);
	return OK;
}

const char *nvmlErrorString(int code)
{
	switch (code) {
	case NO_PERMISSION:
		return "Insufficient Permissions";
	case 9:
		return "Driver Not Loaded";
	case GPU_IS_LOST:
		return "GPU is lost";
	case 18:
		return "Driver/library version mismatch";
	default:
		return "Unknown Error";
	}
}

int nvmlSystemGetDriverVersion(char *buf, unsigned size)
{
	snprintf(buf, size, "580.159.03");
	return OK;
}

static int has(const struct device *d, const char *flag)
{
	return strstr(d->flags, flag) != NULL;
}

/* What a call about it answers, if not OK. */
static int state(const struct device *d)
{
	return has(d, "lost") ? GPU_IS_LOST : has(d, "reset") ? RESET_REQUIRED : OK;
}

static int told(const struct device *d)
{
	return state(d) ? state(d) : has(d, "quiet") ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
	*count = 0;
	for (int i = 0; i < n_devices; i++)
		*count += devices[i].parent < 0;
	return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *ret)
{
	for (int i = 0; i < n_devices; i++)
		if (devices[i].parent < 0 && index-- == 0) {
			*ret = &devices[i];
			return has(*ret, "denied") ? NO_PERMISSION : state(*ret);
		}
	return 2; /* invalid argument */
}

int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *ret)
{
	for (int i = 0; i < n_devices; i++)
		if (strcmp(devices[i].uuid, uuid) == 0) {
			*ret = &devices[i];
			return has(*ret, "dying") && ++devices[i].asked > 5 ? GPU_IS_LOST : state(*ret);
		}
	return NOT_FOUND;
}

int nvmlDeviceGetName(device_t d, char *buf, unsigned size)
{
	snprintf(buf, size, "%s", d->name);
	return state(d);
}

int nvmlDeviceGetUUID(device_t d, char *buf, unsigned size)
{
	snprintf(buf, size, "%s", d->uuid);
	return state(d);
}

int nvmlDeviceGetCudaComputeCapability(device_t d, int *major, int *minor)
{
	if (d->parent >= 0)
		return NOT_SUPPORTED;
	*major = d->sm / 10;
	*minor = d->sm % 10;
	return state(d);
}

int nvmlDeviceGetMigMode(device_t d, unsigned *current, unsigned *pending)
{
	*current = *pending = (unsigned)has(d, "mig");
	return d->sm < 80 ? NOT_SUPPORTED : state(d);
}

int nvmlDeviceGetMaxMigDeviceCount(device_t d, unsigned *count)
{
	*count = 7;
	return state(d);
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t d, unsigned index, device_t *ret)
{
	for (int i = 0; i < n_devices; i++)
		if (devices[i].parent == d - devices && index-- == 0) {
			*ret = &devices[i];
			return strcmp(devices[i].uuid, "-") == 0 ? NOT_FOUND : OK;
		}
	return NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo(device_t d, unsigned long long memory[3])
{
	memory[0] = (unsigned long long)d->mib << 20;
	memory[2] = 512ull << 20;
	memory[1] = memory[0] - memory[2];
	return state(d);
}

int nvmlDeviceGetUtilizationRates(device_t d, unsigned rates[2])
{
	rates[0] = 97;
	rates[1] = 40;
	return told(d);
}

int nvmlDeviceGetPowerUsage(device_t d, unsigned *mw)
{
	*mw = 412000;
	return told(d);
}

int nvmlDeviceGetTemperature(device_t d, int sensor, unsigned *celsius)
{
	*celsius = 61;
	return sensor == 0 ? told(d) : 2;
}

int nvmlDeviceGetClockInfo(device_t d, int type, unsigned *mhz)
{
	*mhz = type == 1 ? 1980 : type == 2 ? 3201 : 0;
	return told(d);
}

int nvmlDeviceGetTotalEccErrors(device_t d, int type, int counter, unsigned long long *count)
{
	*count = type == 0 ? 3 : counter == 0 && has(d, "ecc") ? 2 : 0;
	return told(d);
}

/* 5 J more each time. */
int nvmlDeviceGetTotalEnergyConsumption(device_t d, unsigned long long *mj)
{
	d->mj += 5000;
	*mj = d->mj;
	return has(d, "nocounter") ? NOT_SUPPORTED : told(d);
}

int nvmlEventSetCreate(device_t **set)
{
	*set = calloc(1, sizeof(**set));
	return OK;
}

int nvmlEventSetFree(device_t *set)
{
	free(set);
	return OK;
}

int nvmlDeviceRegisterEvents(device_t d, unsigned long long types, device_t *set)
{
	*set = d;
	return d->parent >= 0 || types != 8 ? NOT_SUPPORTED : told(d);
}

int nvmlEventSetWait_v2(device_t *set, struct event *event, unsigned timeout_ms)
{
	*event = (struct event){.device = *set, .type = 8, .data = 79};
	if (timeout_ms != 0 || !*set || !has(*set, "xid"))
		return 10; /* a time-out */
	*set = NULL;
	return OK;
}
