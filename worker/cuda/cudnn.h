/* cuDNN 9, libcudnn.so.9, opened at run time.  Only its graph API is used: descriptors in, execution plans out.
 *
 * libcudnn.so.9 finds its parts (graph, heuristic, engines) in its own directory by its RUNPATH; in Python's
 * site-packages also cuBLAS and NVRTC beside it. */
#pragma once

#include "common/base.h"

#include <cudnn_backend.h>

#define CUDNN_OLDEST 90800 /* plans without a handle, device descriptions as JSON */

#define CUDNN_FUNCTIONS(F)              \
	F(cudnnGetVersion)              \
	F(cudnnGetErrorString)          \
	F(cudnnGetLastErrorString)      \
	F(cudnnCreate)                  \
	F(cudnnDestroy)                 \
	F(cudnnSetStream)               \
	F(cudnnBackendCreateDescriptor) \
	F(cudnnBackendDestroyDescriptor)\
	F(cudnnBackendSetAttribute)     \
	F(cudnnBackendGetAttribute)     \
	F(cudnnBackendFinalize)         \
	F(cudnnBackendExecute)

struct cudnn {
#define CUDNN_FIELD(name) __typeof__(name) *name;
	CUDNN_FUNCTIONS(CUDNN_FIELD)
#undef CUDNN_FIELD
	int version; /* 91900 is 9.19.0 */
	char path[512]; /* of libcudnn.so.9 */
};

/* Opens it at the first call; later ones give the same table.  Thread-safe.  -ENOENT: not installed; -ENOSYS: too old. */
int cudnn_open(const struct cudnn **ret, struct err *err);
/* "9.19.0" of 91900; buf holds at least 16 bytes; returns buf. */
char *cudnn_version_text(int version, char *buf);
/* A failed call as a sentence: "sentence: CUDNN_STATUS_NOT_SUPPORTED (last message)".  Returns -ENOTSUP where there is no
 * such plan, -ENOMEM where memory is short, -ENODEV where the device is gone or the wrong one, else -EIO. */
int cudnn_err(const struct cudnn *c, struct err *err, cudnnStatus_t status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
