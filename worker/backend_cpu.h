/* Defined by backend_cpu.c or, in a build without oneDNN, by backend_cpu_none.c; meson chooses. */
#pragma once

#include "backend.h"

extern const struct backend *const backend_cpu; /* NULL: this build has none */
