/* A build without CUDA: there is no cuda backend. */
#include "backend_cuda.h"

const struct backend *const backend_cuda = NULL;
