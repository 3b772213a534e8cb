/* A build without oneDNN: there is no cpu backend. */
#include "backend_cpu.h"

const struct backend *const backend_cpu = NULL;
