/* libcuda.so.1 for tests: $FAKE_CUDA says what happens, words of name:value:
 *   version:12040  gpus:2  fail:FUNCTION=CODE (that function answers so)
 * $CUDA_VISIBLE_DEVICES is read by cuInit() as by the real one: one UUID leaves one GPU.  What is not here answers
 * CUDA_ERROR_NOT_SUPPORTED (fake_cuda_rest.c). */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int gpus;

static int number(const char *name, int otherwise)
{
	const char *scenario = getenv("FAKE_CUDA"), *at = scenario ? strstr(scenario, name) : NULL;
	return at ? atoi(at + strlen(name)) : otherwise;
}

static CUresult answer(const char *function)
{
	char name[64];
	snprintf(name, sizeof(name), "fail:%s=", function);
	return (CUresult)number(name, CUDA_SUCCESS);
}

CUresult cuDriverGetVersion(int *version)
{
	*version = number("version:", 13000);
	return answer("cuDriverGetVersion");
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
	*name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" :
		error == CUDA_ERROR_ECC_UNCORRECTABLE ? "CUDA_ERROR_ECC_UNCORRECTABLE" : NULL;
	return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	*text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" :
		error == CUDA_ERROR_ECC_UNCORRECTABLE ? "uncorrectable ECC error encountered" : NULL;
	return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuInit(unsigned flags)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	gpus = visible ? 1 : number("gpus:", 2);
	if (visible && strcmp(visible, "GPU-absent") == 0)
		return CUDA_ERROR_NO_DEVICE;
	return flags == 0 ? answer("cuInit") : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count)
{
	*count = gpus;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	*device = ordinal;
	return ordinal < gpus ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	snprintf(name, (size_t)size, "NVIDIA Fake %s", visible ? visible : device ? "1" : "0");
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
	for (int i = 0; i < 16; i++)
		uuid->bytes[i] = (char)(0x10 * i + i + device);
	return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
	*bytes = (size_t)80 << 30;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
	*value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 :
		 attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT ? 132 :
		 attribute == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 232448 : 0;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	*context = (CUcontext)&gpus;
	return answer("cuDevicePrimaryCtxRetain");
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	return context == (CUcontext)&gpus ? answer("cuCtxSetCurrent") : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuMemAlloc(CUdeviceptr *pointer, size_t bytes)
{
	*pointer = 0x1000;
	return bytes > (size_t)80 << 30 ? CUDA_ERROR_OUT_OF_MEMORY : answer("cuMemAlloc");
}
