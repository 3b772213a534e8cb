/* How long a plan takes on this GPU, by CUDA events, on arrays of its own (zeros).  For conv_tune.h. */
#pragma once

#include "conv_plan.h"
#include "driver.h"

struct conv_bench;

int conv_bench_new(struct conv_bench **ret, const struct gpu *gpu, const struct cudnn *cudnn, struct err *err);
void conv_bench_free(struct conv_bench *bench);
/* arg: the bench.  Milliseconds of one run, as the mean of so many in a row.  -ENOTSUP: cuDNN cannot run this plan here;
 * -ENOMEM: there is no room for its arrays; -ENODEV: the GPU is lost or has faulted. */
int conv_bench_time(void *arg, const struct conv_plan *plan, int repeats, double *ret_ms, struct err *err);
