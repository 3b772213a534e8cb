/* Defined by backend_cuda.c or, in a build without CUDA's headers and nvcc, by backend_cuda_none.c; meson chooses. */
#pragma once

#include "backend.h"

extern const struct backend *const backend_cuda; /* NULL: this build has none */
