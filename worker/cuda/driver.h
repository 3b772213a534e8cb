/* The CUDA driver, libcuda.so.1, opened at run time (a machine without a GPU has none), and the one GPU that this process
 * uses. */
#pragma once

#include "common/base.h"

#include <cuda.h>

/* Function and exported name.  cuda.h renames some to a version; the names here are those that every driver since CUDA 12
 * exports with the signature of cuda.h. */
#define DRIVER_FUNCTIONS(F)                                         \
	F(cuInit, "cuInit")                                         \
	F(cuDriverGetVersion, "cuDriverGetVersion")                 \
	F(cuGetErrorName, "cuGetErrorName")                         \
	F(cuGetErrorString, "cuGetErrorString")                     \
	F(cuDeviceGetCount, "cuDeviceGetCount")                     \
	F(cuDeviceGet, "cuDeviceGet")                               \
	F(cuDeviceGetName, "cuDeviceGetName")                       \
	F(cuDeviceGetUuid, "cuDeviceGetUuid_v2")                    \
	F(cuDeviceGetAttribute, "cuDeviceGetAttribute")             \
	F(cuDeviceTotalMem, "cuDeviceTotalMem_v2")                  \
	F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")     \
	F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2")\
	F(cuCtxSetCurrent, "cuCtxSetCurrent")                       \
	F(cuMemGetInfo, "cuMemGetInfo_v2")                          \
	F(cuMemAlloc, "cuMemAlloc_v2")                              \
	F(cuMemFree, "cuMemFree_v2")                                \
	F(cuMemHostAlloc, "cuMemHostAlloc")                         \
	F(cuMemFreeHost, "cuMemFreeHost")                           \
	F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2")                \
	F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2")                \
	F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2")                \
	F(cuMemsetD8Async, "cuMemsetD8Async")                       \
	F(cuStreamCreate, "cuStreamCreate")                         \
	F(cuStreamDestroy, "cuStreamDestroy_v2")                    \
	F(cuStreamSynchronize, "cuStreamSynchronize")               \
	F(cuStreamWaitEvent, "cuStreamWaitEvent")                   \
	F(cuStreamBeginCapture, "cuStreamBeginCapture_v2")          \
	F(cuStreamEndCapture, "cuStreamEndCapture")                 \
	F(cuGraphGetNodes, "cuGraphGetNodes")                       \
	F(cuGraphInstantiate, "cuGraphInstantiateWithFlags")        \
	F(cuGraphLaunch, "cuGraphLaunch")                           \
	F(cuGraphExecDestroy, "cuGraphExecDestroy")                 \
	F(cuGraphDestroy, "cuGraphDestroy")                         \
	F(cuEventCreate, "cuEventCreate")                           \
	F(cuEventDestroy, "cuEventDestroy_v2")                      \
	F(cuEventRecord, "cuEventRecord")                           \
	F(cuEventSynchronize, "cuEventSynchronize")                 \
	F(cuEventElapsedTime, "cuEventElapsedTime")                 \
	F(cuModuleLoadData, "cuModuleLoadData")                     \
	F(cuModuleUnload, "cuModuleUnload")                         \
	F(cuModuleGetFunction, "cuModuleGetFunction")               \
	F(cuFuncGetAttribute, "cuFuncGetAttribute")                 \
	F(cuFuncSetAttribute, "cuFuncSetAttribute")                 \
	F(cuLaunchKernel, "cuLaunchKernel")

struct driver {
#define DRIVER_FIELD(name, symbol) __typeof__(name) *name;
	DRIVER_FUNCTIONS(DRIVER_FIELD)
#undef DRIVER_FIELD
	int version; /* the newest CUDA it serves: 13000 is 13.0 */
};

#define DRIVER_OLDEST 12000

/* Opens it at the first call; later ones give the same table.  Thread-safe; touches no GPU.  -ENOENT: not installed;
 * -ENOSYS: older than CUDA 12. */
int driver_open(const struct driver **ret, struct err *err);
/* A failed call as a sentence: "sentence: out of memory (CUDA_ERROR_OUT_OF_MEMORY)".  Returns -ENOMEM when the GPU's
 * memory is full; -ENODEV when the GPU is not there, broken, lost, or has faulted (after which nothing in this process can
 * use it any more: the worker must end); else -EIO. */
int driver_err(const struct driver *d, struct err *err, CUresult result, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct gpu {
	const struct driver *driver;
	CUdevice device;
	CUcontext context; /* the primary one, which cuDNN uses too */
	char name[128];	   /* "NVIDIA H200" */
	char uuid[64];	   /* as NVML says it; "GPU-..." of a MIG instance that was opened by number */
	int sm;		   /* compute capability: 90 */
	int multiprocessors;
	size_t memory_bytes;
	size_t shared_bytes; /* per block, at most */
	int lock_fd;	     /* gpu_lock.h; -1: lock_note says why there is none */
	char lock_note[256]; /* "" */
};

/* id: "cuda:N" (N-th of this machine in the order of the bus, or of $CUDA_VISIBLE_DEVICES), or a UUID as NVML says it
 * ("GPU-...", "MIG-...").  Once per process, before any other use of CUDA: a UUID hides every other GPU from it.  The
 * calling thread uses the GPU afterwards; other threads call gpu_use() first.  -EBUSY: another worker has it. */
int gpu_open(struct gpu *ret, const struct driver *driver, const char *id, struct err *err);
int gpu_use(const struct gpu *gpu, struct err *err);
void gpu_close(struct gpu *gpu);
/* "NVIDIA H200, sm_90, 132 SMs": what a choice of plans depends on.  buf holds at least 192 bytes; returns buf. */
char *gpu_kind(const struct gpu *gpu, char *buf);
