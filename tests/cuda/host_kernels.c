/* All kernels, compiled for the host; and cells for tests. */
#include "tests/cuda/host_kernel.h"

#include "worker/cuda/kernel/kernels.cu"

#define BODIES_0(name) {name, name, name}
#define BODIES_1(name) {name##_bf16, name##_f16, name##_f32}
#define ROW(id, name, cells, hot) [KERNEL_##id] = BODIES_##cells(name),
static host_body *const bodies[KERNEL_COUNT][CELL_COUNT] = {KERNELS(ROW)};

host_body *host_kernel(enum kernel_id id, enum cell cell)
{
	return bodies[id][cell];
}

void host_kernel_run(enum kernel_id id, enum cell cell, const union kernel_args *args, enum host_order order)
{
	struct err err;
	if (host_launch(bodies[id][cell], kernel_shape(id, args), args, order, &err) < 0)
		BUG("%s: %s", kernel_name(id, cell), err.text);
}

void host_cells_from(enum cell cell, void *to, const double *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		switch (cell) {
		case CELL_BF16:
			((uint16_t *)to)[i] = (uint16_t)host_bf16((float)from[i]);
			break;
		case CELL_F16:
			((uint16_t *)to)[i] = (uint16_t)host_f16((float)from[i]);
			break;
		case CELL_F32:
			((float *)to)[i] = (float)from[i];
			break;
		}
}

void host_cells_to(enum cell cell, double *to, const void *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		switch (cell) {
		case CELL_BF16:
			to[i] = ld1_bf16(from, i);
			break;
		case CELL_F16:
			to[i] = ld1_f16(from, i);
			break;
		case CELL_F32:
			to[i] = ld1_f32(from, i);
			break;
		}
}
