/* See kernels.h.  The shapes depend on the problem alone, never on the device: that keeps the order of sums, and so the
 * bits, the same everywhere. */
#include "kernels.h"

#include <assert.h>
#include <stdbool.h>

#define THREADS 256u /* of every block but step_begin's */
/* Blocks of a reduction: two per multiprocessor of a large device, few enough for the last one to add up. */
#define REDUCTION_BLOCKS 256u
#define LOOP_BLOCKS 1024u /* of a kernel whose threads loop over an arena */
#define ROWS_PER_THREAD 4u
#define CE_ROWS 8u /* of a block of softmax_ce or log_softmax: one per warp */
#define CE_BLOCKS 64u

static const struct {
	const char *names[CELL_COUNT];
	size_t args_size;
} kernels[] = {
#define NAMES_0(name)                                                                                                  \
	{                                                                                                              \
#name, #name, #name                                                                                    \
	}
#define NAMES_1(name)                                                                                                  \
	{                                                                                                              \
#name "_bf16", #name "_f16", #name "_f32"                                                              \
	}
#define ROW(id, name, cells, hot) [KERNEL_##id] = {NAMES_##cells(name), sizeof(struct name##_args)},
	KERNELS(ROW)
#undef ROW
#undef NAMES_0
#undef NAMES_1
};

const char *kernel_name(enum kernel_id id, enum cell cell)
{
	return kernels[id].names[cell];
}

size_t kernel_args_size(enum kernel_id id)
{
	return kernels[id].args_size;
}

size_t cell_size(enum cell cell)
{
	return cell == CELL_F32 ? 4 : 2;
}

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
	return (a + b - 1) / b;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t at_least_one(uint32_t a)
{
	return a > 0 ? a : 1;
}

/* Blocks of THREADS threads, one item each, at most `limit` blocks. */
static struct kernel_shape line(uint64_t items, uint32_t limit)
{
	uint64_t blocks = (items + THREADS - 1) / THREADS;
	return (struct kernel_shape){{at_least_one(blocks < limit ? (uint32_t)blocks : limit), 1, 1}, {THREADS, 1, 1}};
}

/* (rows, C) cut into tiles: x runs over vectors of 8 channels, at most 8 to a block (128 bytes of bf16), y rows. */
static struct kernel_shape tile(uint32_t rows, uint32_t c, uint32_t max_blocks)
{
	assert(c > 0 && c % 8 == 0);
	uint32_t vectors = c / 8, across = 1;
	while (across < vectors && across < 8)
		across *= 2;
	uint32_t lanes = THREADS / across, groups = ceil_div(vectors, across);
	uint32_t chunks = least(ceil_div(rows, lanes * ROWS_PER_THREAD), at_least_one(max_blocks / groups));
	return (struct kernel_shape){{groups, at_least_one(chunks), 1}, {across, lanes, 1}};
}

static uint32_t pooled(uint32_t size) /* by 3x3, stride 2, padding 1 */
{
	return (size - 1) / 2 + 1;
}

struct kernel_shape kernel_shape(enum kernel_id id, const union kernel_args *a)
{
	switch (id) {
	case KERNEL_STEP_BEGIN:
		return (struct kernel_shape){{1, 1, 1}, {1, 1, 1}};
	case KERNEL_TRANSFORM:
		return (struct kernel_shape){{a->transform.source.n, 1, 1}, {THREADS, 1, 1}};
	case KERNEL_AUGMENT: {
		uint32_t size = (uint32_t)a->augment.source.settings.size;
		return (struct kernel_shape){{ceil_div(size * size, THREADS), a->augment.source.n, 1}, {THREADS, 1, 1}};
	}
	case KERNEL_BN_STATS:
		return tile(a->bn_stats.rows, a->bn_stats.c, REDUCTION_BLOCKS);
	case KERNEL_BN_RUNNING:
		return (struct kernel_shape){{a->bn_running.count, 1, 1}, {THREADS, 1, 1}};
	case KERNEL_BN_APPLY:
		return tile(a->bn_apply.rows, a->bn_apply.c, UINT16_MAX);
	case KERNEL_BN_BACKWARD_REDUCE:
		return tile(a->bn_backward_reduce.rows, a->bn_backward_reduce.c, REDUCTION_BLOCKS);
	case KERNEL_BN_BACKWARD_APPLY:
		return tile(a->bn_backward_apply.rows, a->bn_backward_apply.c, UINT16_MAX);
	case KERNEL_MAXPOOL_FORWARD: {
		const struct maxpool_forward_args *p = &a->maxpool_forward;
		return line((uint64_t)p->n * pooled(p->h) * pooled(p->w) * (p->c / 8), UINT32_MAX);
	}
	case KERNEL_MAXPOOL_BACKWARD: {
		const struct maxpool_backward_args *p = &a->maxpool_backward;
		return line((uint64_t)p->n * p->h * p->w * (p->c / 8), UINT32_MAX);
	}
	case KERNEL_AVGPOOL_FORWARD:
		return line((uint64_t)a->avgpool_forward.n * (a->avgpool_forward.c / 8), UINT32_MAX);
	case KERNEL_AVGPOOL_BACKWARD: {
		const struct avgpool_backward_args *p = &a->avgpool_backward;
		return line((uint64_t)p->n * p->hw * (p->c / 8), UINT32_MAX);
	}
	case KERNEL_SOFTMAX_CE:
		return (struct kernel_shape){{least(ceil_div(a->softmax_ce.n, CE_ROWS), CE_BLOCKS), 1, 1},
					     {THREADS, 1, 1}};
	case KERNEL_LOG_SOFTMAX:
		return (struct kernel_shape){{ceil_div(a->log_softmax.n, CE_ROWS), 1, 1}, {THREADS, 1, 1}};
	case KERNEL_GRAD_CHECK:
		return line(((uint64_t)a->grad_check.weights + a->grad_check.others) / 8, LOOP_BLOCKS);
	case KERNEL_GRAD_NORM:
		return line(((uint64_t)a->grad_norm.weights + a->grad_norm.others) / 8, REDUCTION_BLOCKS);
	case KERNEL_EMA:
		return line(((uint64_t)a->ema.param_count + a->ema.running_count) / 8, LOOP_BLOCKS);
	case KERNEL_EXCHANGE:
		return line(a->exchange.count / 8, LOOP_BLOCKS);
	case KERNEL_OPTIMIZER:
		return line(((uint64_t)a->optimizer.weights + a->optimizer.others) / 8, LOOP_BLOCKS);
	case KERNEL_CAST:
		return line(a->cast.count / 8, LOOP_BLOCKS);
	case KERNEL_COUNT:
		break;
	}
	assert(!"a kernel without a shape");
	return (struct kernel_shape){{0}, {0}};
}

void kernel_scratch(enum kernel_id id, const union kernel_args *args, size_t *ret_partials, size_t *ret_tickets)
{
	struct kernel_shape shape = kernel_shape(id, args);
	size_t partials = 0, tickets = 0;
	if (id == KERNEL_BN_STATS || id == KERNEL_BN_BACKWARD_REDUCE) { /* two sums per channel and block */
		partials = (size_t)shape.grid[0] * shape.grid[1] * shape.block[0] * 8 * 2;
		tickets = shape.grid[0];
	} else if (id == KERNEL_SOFTMAX_CE) { /* loss, correct, correct5 and padding; column sums of dlogits */
		partials = (size_t)shape.grid[0] * (8 + args->softmax_ce.c);
		tickets = 1;
	} else if (id == KERNEL_GRAD_NORM) { /* a vector per block */
		partials = (size_t)shape.grid[0] * 8;
		tickets = 1;
	} else if (id == KERNEL_OPTIMIZER) {
		tickets = 1;
	}
	*ret_partials = partials;
	*ret_tickets = tickets;
}
