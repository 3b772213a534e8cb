/* $CUDA_VISIBLE_DEVICES: which GPUs this process may use, in CUDA's own language.  NVML knows nothing of it. */
#pragma once

#include "nvml.h"

/* value: of the variable; NULL: unset, all are visible.  A list of numbers (of whole GPUs, in the order of the bus) and of
 * UUIDs or their beginnings; it ends at the first entry that names nothing ("-1", ""), as CUDA reads it.  A MIG instance
 * is visible where it is named, or nothing is said. */
bool gpu_is_visible(const struct nvml_gpu *gpus, size_t n, size_t i, const char *value);
