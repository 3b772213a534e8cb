/* See target.h: a build without CUDA. */
#include "target.h"

int target_gpu_open(struct target_gpu *ret, const char *id, struct err *err)
{
	return err_set(err, -ENOTSUP, "TEST_GPU=%s: this build has no CUDA", id);
}

int target_gpu_device(struct device **ret, const char *id, enum cell amp, struct err *err)
{
	return err_set(err, -ENOTSUP, "TEST_GPU=%s: this build has no CUDA", id);
}
