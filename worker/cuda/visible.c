/* See visible.h. */
#include "visible.h"

static bool is_entry(const struct nvml_gpu *gpu, const char *entry, size_t length)
{
	char *end;
	if (length == 0)
		return false;
	if (entry[0] >= '0' && entry[0] <= '9') {
		long index = strtol(entry, &end, 10);
		return end == entry + length && gpu->instance == NVML_UNKNOWN && gpu->index == index;
	}
	/* "GPU-8a" is enough where it is the only one */
	return length > strlen("GPU-") && strncmp(gpu->uuid, entry, length) == 0;
}

bool gpu_is_visible(const struct nvml_gpu *gpus, size_t n, size_t i, const char *value)
{
	if (!value)
		return true;
	for (const char *entry = value;; ) {
		size_t length = strcspn(entry, ",");
		bool names_one = false;
		for (size_t g = 0; g < n; g++)
			names_one = names_one || is_entry(&gpus[g], entry, length);
		if (is_entry(&gpus[i], entry, length))
			return true;
		if (!names_one || !entry[length])
			return false;
		entry += length + 1;
	}
}
