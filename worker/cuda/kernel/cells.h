/* The kernels that touch cells, for the type CELL; included once for each by kernels.cu. */
#include "augment.cu"
#include "bn_forward.cu"
#include "bn_backward.cu"
#include "pool.cu"
#include "loss.cu"
#include "optimizer.cu"
