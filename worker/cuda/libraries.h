/* Which of NVIDIA's libraries this machine has, wherever they lie, for sweep-worker --devices and sweepctl doctor.  In
 * every build: a build without CUDA tells what a build with it would find. */
#pragma once

#include "common/json.h"

/* [{"name": "libcudnn.so.9", "what": "cuDNN", "version": "9.19.0", "path": "/...", "problem": null}, ...] of the driver,
 * the runtime, cuDNN and cuBLAS; version, path: null where it was not found or does not tell; problem: why it was not
 * loaded.  Opens them in this process and lets them stay. */
json_t *libraries_find(void);
