/* What this build needs to train on a GPU, and whether it is here.  probe.c, or, in a build without the headers of CUDA and
 * cuDNN, probe_none.c; meson chooses. */
#pragma once

#include "common/json.h"

#define CUDA_OLDEST_SM 75 /* tensor cores for fp16 */

/* Adds "built", "driver" and "cudnn" to `into` (devices.h).  Negative: training cannot work, err says why (the first
 * reason). */
int cuda_probe(json_t *into, struct err *err);
