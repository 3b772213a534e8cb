/* What the programs of tests/gpu train on: a GPU; the CPU, to compare with; or ("host") the tests' host that runs the
 * cuda backend's launch lists, which shows that the programs work where no GPU is. */
#pragma once

#include "worker/backend.h"

/* name: "cuda:N", a GPU's UUID, "cpu" or "host".  amp: "bf16", "fp16", or "none" (fp32).  strict: fp32 without TF32. */
int subject_open(const struct backend **ret_backend, struct device **ret, const char *name, const char *amp, bool strict,
		 struct err *err);
/* "NVIDIA H200, cudnn 9.19.0"; buf holds at least 192 bytes; returns buf. */
char *subject_describe(const struct backend *backend, const struct device *device, char *buf);
