/* HD: mathematics that is written once, in plain C, for the host and, where nvcc compiles it, for the device. */
#pragma once

#ifdef __CUDACC__
#define HD static inline __host__ __device__
#else
#define HD static inline
#endif
