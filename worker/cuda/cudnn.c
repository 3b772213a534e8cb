/* See cudnn.h. */
#include "cudnn.h"

#include "library.h"

#include <pthread.h>

#define NAME "libcudnn.so.9"

static struct {
	pthread_once_t once;
	struct cudnn api;
	int result;
	struct err err;
} shared = {.once = PTHREAD_ONCE_INIT};

static int load(struct cudnn *api, struct err *err)
{
#define CUDNN_SYMBOL(name) {#name, offsetof(struct cudnn, name)},
	static const struct library_symbol symbols[] = {CUDNN_FUNCTIONS(CUDNN_SYMBOL)};
#undef CUDNN_SYMBOL
	char **dirs = library_cuda_dirs();
	void *library;
	int r = library_open(&library, NAME, dirs, err);
	library_dirs_free(dirs);
	if (r == -ENOENT)
		return err_set(err, r, NAME " was not found in the loader's path, $CUDA_HOME, /usr/local/cuda or Python's "
				       "nvidia packages; install cuDNN 9 (pip install nvidia-cudnn-cu13)");
	r = r ? r : library_load(library, NAME, symbols, ARRAY_LEN(symbols), api, err);
	if (r < 0)
		return r;
	snprintf(api->path, sizeof(api->path), "%s", library_path((const void *)api->cudnnGetVersion));
	api->version = (int)api->cudnnGetVersion();
	char text[16];
	if (api->version < CUDNN_OLDEST)
		return err_set(err, -ENOSYS, "%s is cuDNN %s; 9.8 or newer is needed", api->path,
			       cudnn_version_text(api->version, text));
	return 0;
}

static void load_once(void)
{
	shared.result = load(&shared.api, &shared.err);
}

int cudnn_open(const struct cudnn **ret, struct err *err)
{
	pthread_once(&shared.once, load_once);
	if (shared.result < 0)
		return err_set(err, shared.result, "%s", shared.err.text);
	*ret = &shared.api;
	return 0;
}

char *cudnn_version_text(int version, char *buf)
{
	snprintf(buf, 16, "%d.%d.%d", version / 10000 % 100, version / 100 % 100, version % 100);
	return buf;
}

static int errno_of(cudnnStatus_t status)
{
	int family = CUDNN_STATUS_CATEGORY((int)status);
	if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
	    status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
		return -ENOMEM;
	if (family == CUDNN_STATUS_NOT_SUPPORTED)
		return -ENOTSUP;
	if (family == CUDNN_STATUS_EXECUTION_FAILED || status == CUDNN_STATUS_NOT_INITIALIZED)
		return -ENODEV;
	return -EIO;
}

int cudnn_err(const struct cudnn *c, struct err *err, cudnnStatus_t status, const char *fmt, ...)
{
	char detail[512] = "";
	c->cudnnGetLastErrorString(detail, sizeof(detail));
	detail[strcspn(detail, "\n")] = '\0';
	va_list ap;
	va_start(ap, fmt);
	autofree char *sentence = xvasprintf(fmt, ap);
	va_end(ap);
	return err_set(err, errno_of(status), "%s: %s%s%s%s", sentence, c->cudnnGetErrorString(status), *detail ? " (" : "",
		       detail, *detail ? ")" : "");
}
