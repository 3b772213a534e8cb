/* See driver.h. */
#include "driver.h"

#include "gpu_lock.h"
#include "library.h"

#include <pthread.h>
#include <unistd.h>

#define NAME "libcuda.so.1"

static struct {
	pthread_once_t once;
	struct driver api;
	int result;
	struct err err;
} shared = {.once = PTHREAD_ONCE_INIT};

static int load(struct driver *api, struct err *err)
{
#define DRIVER_SYMBOL(name, symbol) {symbol, offsetof(struct driver, name)},
	static const struct library_symbol symbols[] = {DRIVER_FUNCTIONS(DRIVER_SYMBOL)};
#undef DRIVER_SYMBOL
	void *library;
	int r = library_open(&library, NAME, NULL, err);
	if (r == -ENOENT)
		return err_set(err, r, NAME " was not found: there is no NVIDIA driver");
	r = r ? r : library_load(library, NAME, symbols, ARRAY_LEN(symbols), api, err);
	if (r < 0)
		return r;
	CUresult result = api->cuDriverGetVersion(&api->version);
	if (result != CUDA_SUCCESS)
		return driver_err(api, err, result, "cannot ask the NVIDIA driver for its version");
	if (api->version < DRIVER_OLDEST)
		return err_set(err, -ENOSYS, "the NVIDIA driver serves CUDA %d.%d; 12.0 or newer is needed",
			       api->version / 1000, api->version / 10 % 100);
	return 0;
}

static void load_once(void)
{
	shared.result = load(&shared.api, &shared.err);
}

int driver_open(const struct driver **ret, struct err *err)
{
	pthread_once(&shared.once, load_once);
	if (shared.result < 0)
		return err_set(err, shared.result, "%s", shared.err.text);
	*ret = &shared.api;
	return 0;
}

/* After the second group the context is dead: every later call fails with the same. */
static int errno_of(CUresult result)
{
	static const CUresult gone[] = {
		CUDA_ERROR_NO_DEVICE, CUDA_ERROR_INVALID_DEVICE, CUDA_ERROR_DEVICE_UNAVAILABLE,
		CUDA_ERROR_SYSTEM_NOT_READY, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, CUDA_ERROR_NOT_INITIALIZED,
		CUDA_ERROR_ECC_UNCORRECTABLE, CUDA_ERROR_NVLINK_UNCORRECTABLE, CUDA_ERROR_HARDWARE_STACK_ERROR,
		CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_MISALIGNED_ADDRESS, CUDA_ERROR_ILLEGAL_INSTRUCTION,
		CUDA_ERROR_INVALID_ADDRESS_SPACE, CUDA_ERROR_INVALID_PC, CUDA_ERROR_LAUNCH_FAILED,
		CUDA_ERROR_LAUNCH_TIMEOUT, CUDA_ERROR_CONTEXT_IS_DESTROYED,
	};
	if (result == CUDA_ERROR_OUT_OF_MEMORY)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		if (gone[i] == result)
			return -ENODEV;
	return -EIO;
}

int driver_err(const struct driver *d, struct err *err, CUresult result, const char *fmt, ...)
{
	const char *name = NULL, *text = NULL;
	d->cuGetErrorName(result, &name);
	d->cuGetErrorString(result, &text);
	va_list ap;
	va_start(ap, fmt);
	autofree char *sentence = xvasprintf(fmt, ap);
	va_end(ap);
	if (!name || !text)
		return err_set(err, errno_of(result), "%s: CUDA error %d", sentence, (int)result);
	return err_set(err, errno_of(result), "%s: %s (%s)", sentence, text, name);
}

/* --- the GPU --- */

static bool is_uuid(const char *id)
{
	return strncmp(id, "GPU-", 4) == 0 || strncmp(id, "MIG-", 4) == 0;
}

static int pick(const struct driver *d, const char *id, CUdevice *ret, struct err *err)
{
	int index = 0, count = 0, used = 0;
	if (!is_uuid(id) && (sscanf(id, "cuda:%d%n", &index, &used) != 1 || index < 0 || id[used]))
		return err_set(err, -EINVAL, "\"%s\" names no GPU; expected cuda:N or a UUID (sweep-worker --devices)", id);
	setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1); /* as NVML counts */
	if (is_uuid(id))
		setenv("CUDA_VISIBLE_DEVICES", id, 1); /* the only way to a MIG instance */
	CUresult result = d->cuInit(0);
	if (result == CUDA_SUCCESS)
		result = d->cuDeviceGetCount(&count);
	if (result != CUDA_SUCCESS)
		return driver_err(d, err, result, "cannot start CUDA for %s", id);
	if (index >= count)
		return err_set(err, -ENODEV, "there is no GPU %s: CUDA sees %d", id, count);
	result = d->cuDeviceGet(ret, index);
	return result == CUDA_SUCCESS ? 0 : driver_err(d, err, result, "cannot use %s", id);
}

static CUresult read_attributes(struct gpu *g)
{
	int major = 0, minor = 0, shared_bytes = 0;
	const struct {
		CUdevice_attribute name;
		int *value;
	} attributes[] = {
		{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major},
		{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor},
		{CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &g->multiprocessors},
		{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &shared_bytes},
	};
	CUresult result = CUDA_SUCCESS;
	for (size_t i = 0; result == CUDA_SUCCESS && i < ARRAY_LEN(attributes); i++)
		result = g->driver->cuDeviceGetAttribute(attributes[i].value, attributes[i].name, g->device);
	g->sm = 10 * major + minor;
	g->shared_bytes = (size_t)shared_bytes;
	return result;
}

/* CUDA gives an instance's UUID where it is one; NVML, and people, write that "MIG-...". */
static CUresult describe(struct gpu *g, bool instance)
{
	CUuuid uuid;
	CUresult result = g->driver->cuDeviceGetName(g->name, sizeof(g->name), g->device);
	result = result ? result : g->driver->cuDeviceTotalMem(&g->memory_bytes, g->device);
	result = result ? result : g->driver->cuDeviceGetUuid(&uuid, g->device);
	if (result != CUDA_SUCCESS)
		return result;
	size_t n = (size_t)snprintf(g->uuid, sizeof(g->uuid), instance ? "MIG-" : "GPU-");
	for (int i = 0; i < 16; i++)
		n += (size_t)snprintf(g->uuid + n, sizeof(g->uuid) - n, "%s%02x", i >= 4 && i <= 10 && i % 2 == 0 ? "-" : "",
				      (unsigned char)uuid.bytes[i]);
	return read_attributes(g);
}

/* Before there is a context, which takes some of its memory. */
static int take(struct gpu *g, const char *id, struct err *err)
{
	struct err why;
	g->lock_fd = gpu_lock(g->uuid, &why);
	if (g->lock_fd == -EBUSY)
		return err_set(err, -EBUSY, "%s (%s) is in use: %s", id, g->name, why.text);
	if (g->lock_fd < 0)
		snprintf(g->lock_note, sizeof(g->lock_note), "%.255s", why.text);
	return 0;
}

int gpu_open(struct gpu *ret, const struct driver *driver, const char *id, struct err *err)
{
	struct gpu g = {.driver = driver, .lock_fd = -1};
	int r = pick(driver, id, &g.device, err);
	if (r < 0)
		return r;
	CUresult result = describe(&g, strncmp(id, "MIG-", 4) == 0);
	if (result != CUDA_SUCCESS)
		return driver_err(driver, err, result, "cannot ask about %s", id);
	r = take(&g, id, err);
	if (r < 0)
		return r;
	result = driver->cuDevicePrimaryCtxRetain(&g.context, g.device);
	r = result == CUDA_SUCCESS ? 0 : driver_err(driver, err, result, "cannot use %s (%s)", id, g.name);
	r = r < 0 ? r : gpu_use(&g, err);
	if (r < 0) {
		gpu_close(&g);
		return r;
	}
	*ret = g;
	return 0;
}

int gpu_use(const struct gpu *gpu, struct err *err)
{
	CUresult result = gpu->driver->cuCtxSetCurrent(gpu->context);
	return result == CUDA_SUCCESS ? 0 : driver_err(gpu->driver, err, result, "cannot use %s", gpu->name);
}

void gpu_close(struct gpu *gpu)
{
	if (gpu->context)
		gpu->driver->cuDevicePrimaryCtxRelease(gpu->device);
	gpu->context = NULL;
	if (gpu->lock_fd >= 0)
		close(gpu->lock_fd);
	gpu->lock_fd = -1;
}

char *gpu_kind(const struct gpu *gpu, char *buf)
{
	snprintf(buf, 192, "%s, sm_%d, %d SMs", gpu->name, gpu->sm, gpu->multiprocessors);
	return buf;
}
