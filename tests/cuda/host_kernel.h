/* Runs kernels on the host: every CUDA thread is a fiber that runs until it waits (barrier, shuffle) or ends, so that
 * one thread's work between two barriers is done before another's begins.  The order of threads and of blocks is the
 * caller's: a kernel whose result depends on it lacks a barrier, or adds in no fixed order.  What the device's caches
 * may show or hide between blocks is not acted out.
 *
 * One launch at a time in a process.  Shared memory is filled with 0xff before each block. */
#pragma once

#include "common/base.h"
#include "worker/cuda/kernel/kernels.h"

/* HOST_SHUFFLED: another order of threads in every round, and two blocks that interrupt each other. */
enum host_order { HOST_FORWARD, HOST_BACKWARD, HOST_SHUFFLED };
#define HOST_ORDERS 3

typedef void host_body(const void *args); /* what KERNEL(name) defines */

/* -EDEADLK: threads wait for others that ended, or that wait elsewhere; err says where. */
int host_launch(host_body *body, struct kernel_shape shape, const void *args, enum host_order order, struct err *err);

/* The kernel's body for that cell type. */
host_body *host_kernel(enum kernel_id id, enum cell cell);
/* A whole launch, shaped by kernel_shape(); a deadlock is a bug. */
void host_kernel_run(enum kernel_id id, enum cell cell, const union kernel_args *args, enum host_order order);

/* Conversion of arrays of cells, as the kernels do it. */
void host_cells_from(enum cell cell, void *to, const double *from, size_t count);
void host_cells_to(enum cell cell, double *to, const void *from, size_t count);
