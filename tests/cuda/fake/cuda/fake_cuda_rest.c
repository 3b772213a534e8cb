/* Every function of the driver's table that fake_cuda.c does not define. */
#include "worker/cuda/driver.h"

#define REST(name, symbol)                                            \
	__attribute__((weak)) CUresult rest_##name(void) __asm__(symbol); \
	CUresult rest_##name(void)                                    \
	{                                                             \
		return CUDA_ERROR_NOT_SUPPORTED;                      \
	}
DRIVER_FUNCTIONS(REST)
