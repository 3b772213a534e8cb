/* gpu_open ID [hold]: opens a GPU as a worker does and says what came of it; hold: keeps it until the end of its input.  For
 * tests/worker/test_4_devices.py. */
#include "worker/cuda/driver.h"

static int use(const struct driver *driver, const char *id, bool hold, struct err *err)
{
	struct gpu gpu;
	char kind[192];
	CUdeviceptr block;
	int r = gpu_open(&gpu, driver, id, err);
	if (r < 0)
		return r;
	printf("%s %s\n", gpu.uuid, gpu_kind(&gpu, kind));
	if (*gpu.lock_note)
		printf("%s\n", gpu.lock_note);
	fflush(stdout);
	while (hold && getchar() != EOF) {
	}
	CUresult result = driver->cuMemAlloc(&block, (size_t)100 << 30);
	r = result ? driver_err(driver, err, result, "100 GiB on %s", gpu.name) : 0;
	gpu_close(&gpu);
	return r;
}

int main(int argc, char **argv)
{
	const struct driver *driver;
	struct err err;
	int r = driver_open(&driver, &err);
	r = r ? r : use(driver, argc > 1 ? argv[1] : "cuda:0", argc > 2 && str_eq(argv[2], "hold"), &err);
	if (r < 0)
		printf("%s: %s\n", strerrorname_np(-r), err.text);
	return 0;
}
