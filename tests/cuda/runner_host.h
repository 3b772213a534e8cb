/* The cuda backend without a GPU: its plan's launch lists run on the host, kernels by fibers, convolutions by ref's loops in
 * double on what the cells hold. */
#pragma once

#include "worker/backend.h"

/* As the cuda backend's table.  Mixed precision is bf16; device_spec.direct makes it fp16. */
extern const struct backend backend_host;
