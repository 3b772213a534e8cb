/* See host_kernel.h.  The scheduler runs on the caller's stack.  A block goes round by round: every thread that may run
 * does so until it waits or ends; then the warps and the block whose threads have all arrived are released.  Shuffled,
 * two blocks are resident and take turns within their rounds, each with its own copy of shared memory.  A fiber whose
 * thread ends goes on with the next thread that has not begun, so kernels without barriers need no switch at all.
 *
 *   NEW -> RUNS -> (WAITS_WARP | WAITS_BLOCK -> READY -> RUNS)... -> ENDED */
#include "host_kernel.h"
#include "tests/cuda/host_vocab.h"

#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#endif

#define MAX_THREADS 1024
#define RESIDENT 2
#define WARP 32
#define STACK_BYTES ((size_t)128 << 10)
#define GUARD_BYTES ((size_t)64 << 10)

struct host_dim threadIdx, blockIdx, blockDim, gridDim;

/* All __shared__ variables: the linker's names for the section. */
extern char __start_kernel_shared[], __stop_kernel_shared[];
#define SHARED_BYTES ((size_t)(__stop_kernel_shared - __start_kernel_shared))

enum thread_state { NEW, READY, RUNS, WAITS_WARP, WAITS_BLOCK, ENDED };

struct fiber {
	ucontext_t context;
	char *stack;
	void *fake_stack; /* AddressSanitizer's */
};

struct thread {
	enum thread_state state;
	struct fiber *fiber; /* while it RUNS or waits */
	const char *place;   /* where it waits */
	uint32_t words[2];   /* what it offers to its warp, by turns */
	unsigned shuffles;   /* so far */
};

static struct block {
	bool resident;
	uint32_t number;
	struct thread threads[MAX_THREADS];
	uint32_t turn[MAX_THREADS]; /* the round's order of threads */
	uint32_t at;                /* position in turn */
	uint32_t ran;               /* threads in this round */
	char *shared;               /* while another block runs */
} blocks[RESIDENT], *now = &blocks[0];

static struct {
	host_body *body;
	const void *args;
	uint32_t count; /* threads in a block */
	uint32_t slice; /* how many more places of its round the running block may take */
	enum host_order order;
	struct fiber fibers[RESIDENT * MAX_THREADS];
	struct fiber *idle[RESIDENT * MAX_THREADS];
	uint32_t n_idle;
	ucontext_t scheduler;
	void *scheduler_fake_stack;
	const void *scheduler_stack;
	size_t scheduler_stack_size;
	uint64_t random;
} h = {.random = 1};

/* --- order --- */

static uint32_t random_below(uint32_t n)
{
	h.random = h.random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((h.random >> 33) % n);
}

static void fill_order(uint32_t *order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = h.order == HOST_BACKWARD ? n - 1 - i : i;
	for (uint32_t i = n; h.order == HOST_SHUFFLED && i > 1; i--) {
		uint32_t j = random_below(i), last = order[i - 1];
		order[i - 1] = order[j];
		order[j] = last;
	}
}

/* --- switching --- */

static void become(uint32_t t)
{
	now->threads[t].state = RUNS;
	threadIdx = (struct host_dim){t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

static uint32_t running(void)
{
	return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

static void to_scheduler(struct fiber *f)
{
	__sanitizer_start_switch_fiber(&f->fake_stack, h.scheduler_stack, h.scheduler_stack_size);
	swapcontext(&f->context, &h.scheduler);
	__sanitizer_finish_switch_fiber(f->fake_stack, &h.scheduler_stack, &h.scheduler_stack_size);
}

static void to_fiber(struct fiber *f)
{
	__sanitizer_start_switch_fiber(&h.scheduler_fake_stack, f->stack, STACK_BYTES);
	swapcontext(&h.scheduler, &f->context);
	__sanitizer_finish_switch_fiber(h.scheduler_fake_stack, NULL, NULL);
}

/* What every fiber does for ever: the thread it was given, and those behind it in the round that have not begun. */
static void fiber_main(unsigned low, unsigned high)
{
	struct fiber *f = (struct fiber *)(uintptr_t)((uint64_t)high << 32 | low);
	__sanitizer_finish_switch_fiber(NULL, &h.scheduler_stack, &h.scheduler_stack_size);
	for (;;) {
		h.body(h.args);
		now->threads[running()].state = ENDED;
		uint32_t next = now->at + 1;
		if (next < h.count && h.slice > 1 && now->threads[now->turn[next]].state == NEW) {
			now->at = next;
			now->ran++;
			h.slice--;
			now->threads[now->turn[next]].fiber = f;
			become(now->turn[next]);
		} else {
			h.idle[h.n_idle++] = f;
			to_scheduler(f);
		}
	}
}

static void fiber_reset(struct fiber *f)
{
	if (!f->stack) {
		char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		INVARIANT(memory != MAP_FAILED, "no memory for a fiber's stack");
		mprotect(memory, GUARD_BYTES, PROT_NONE);
		f->stack = memory + GUARD_BYTES;
	}
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&f->context, (void (*)(void))fiber_main, 2, (unsigned)(uintptr_t)f,
		    (unsigned)((uint64_t)(uintptr_t)f >> 32));
}

/* Every fiber is some thread's: one more that never ran. */
static void another_fiber(void)
{
	for (uint32_t i = 0; i < ARRAY_LEN(h.fibers); i++)
		if (!h.fibers[i].stack) {
			fiber_reset(&h.fibers[i]);
			h.idle[h.n_idle++] = &h.fibers[i];
			return;
		}
	BUG("more fibers than threads");
}

static void resume(uint32_t t)
{
	struct thread *thread = &now->threads[t];
	if (thread->state == NEW) {
		if (h.n_idle == 0)
			another_fiber();
		thread->fiber = h.idle[--h.n_idle];
	}
	become(t);
	to_fiber(thread->fiber);
}

static void wait_at(enum thread_state state, const char *place)
{
	struct thread *thread = &now->threads[running()];
	thread->state = state;
	thread->place = place;
	to_scheduler(thread->fiber);
}

void host_barrier(const char *place)
{
	wait_at(WAITS_BLOCK, place);
}

/* The word offered in turn k is read before anyone can offer the one of turn k + 2. */
void host_shuffle_xor(void *word, uint32_t offset, const char *place)
{
	struct thread *me = &now->threads[running()], *other = &now->threads[running() ^ offset];
	unsigned side = me->shuffles++ % 2;
	memcpy(&me->words[side], word, sizeof(uint32_t));
	wait_at(WAITS_WARP, place);
	memcpy(word, &other->words[side], sizeof(uint32_t));
}

/* --- blocks --- */

static void begin_round(struct block *b)
{
	fill_order(b->turn, h.count);
	b->at = 0;
	b->ran = 0;
}

static void begin_block(struct block *b, uint32_t number)
{
	if (!b->shared)
		b->shared = xmalloc(SHARED_BYTES);
	memset(b == now ? __start_kernel_shared : b->shared, 0xff, SHARED_BYTES);
	b->resident = true;
	b->number = number;
	for (uint32_t t = 0; t < h.count; t++)
		b->threads[t] = (struct thread){.state = NEW};
	begin_round(b);
}

static void switch_block(struct block *b)
{
	if (b != now) {
		memcpy(now->shared, __start_kernel_shared, SHARED_BYTES);
		memcpy(__start_kernel_shared, b->shared, SHARED_BYTES);
		now = b;
	}
	blockIdx = (struct host_dim){b->number % gridDim.x, b->number / gridDim.x % gridDim.y,
				     b->number / gridDim.x / gridDim.y};
}

/* Threads [first, first + n) all wait alike at one place: they may go on. */
static void release(struct thread *threads, uint32_t n, enum thread_state waiting)
{
	for (uint32_t t = 0; t < n; t++)
		if (threads[t].state != waiting || threads[t].place != threads[0].place)
			return;
	for (uint32_t t = 0; t < n; t++)
		threads[t].state = READY;
}

static int deadlock(struct err *err)
{
	const char *place = "";
	uint32_t waiting = 0;
	for (uint32_t t = 0; t < h.count; t++)
		if (now->threads[t].state != ENDED) {
			waiting++;
			place = now->threads[t].place;
		}
	h.n_idle = 0; /* what the abandoned fibers hold is lost */
	for (uint32_t i = 0; i < ARRAY_LEN(h.fibers); i++)
		if (h.fibers[i].stack) {
			fiber_reset(&h.fibers[i]);
			h.idle[h.n_idle++] = &h.fibers[i];
		}
	return err_set(err, -EDEADLK, "block %u,%u: %u threads wait, one at %s, and %u have ended", blockIdx.x,
		       blockIdx.y, waiting, place, h.count - waiting);
}

/* The end of a round; the block is resident no more when all its threads have ended. */
static int end_round(struct block *b, struct err *err)
{
	uint32_t ended = 0;
	for (uint32_t t = 0; t < h.count; t++)
		ended += b->threads[t].state == ENDED;
	b->resident = ended < h.count;
	if (b->resident && b->ran == 0)
		return deadlock(err);
	for (uint32_t t = 0; t < h.count; t += WARP)
		release(b->threads + t, MIN(WARP, h.count - t), WAITS_WARP);
	release(b->threads, h.count, WAITS_BLOCK);
	begin_round(b);
	return 0;
}

/* A part of the block's round: `places` of its order at most. */
static int run_slice(struct block *b, uint32_t places, struct err *err)
{
	switch_block(b);
	for (h.slice = places; h.slice > 0 && b->at < h.count; b->at++, h.slice--) {
		enum thread_state state = b->threads[b->turn[b->at]].state;
		if (state == NEW || state == READY) {
			b->ran++;
			resume(b->turn[b->at]);
		}
	}
	return b->at < h.count ? 0 : end_round(b, err);
}

/* Blocks of the order in turn[] until all have ended. */
static int run_blocks(const uint32_t *turn, uint32_t n, struct err *err)
{
	bool shuffled = h.order == HOST_SHUFFLED;
	uint32_t next = 0, width = shuffled ? RESIDENT : 1;
	for (;;) {
		uint32_t resident = 0;
		for (struct block *b = blocks; b < blocks + width; b++) {
			if (!b->resident && next < n)
				begin_block(b, turn[next++]);
			resident += b->resident;
		}
		if (resident == 0)
			return 0;
		struct block *b = &blocks[shuffled ? random_below(RESIDENT) : 0];
		/* To its end half of the time: the other one is then interrupted for long. */
		uint32_t slices = !shuffled || random_below(2) ? UINT32_MAX : 1 + random_below(4);
		for (; b->resident && slices > 0; slices--) {
			int rc = run_slice(b, shuffled ? 1 + random_below(h.count) : h.count, err);
			if (rc < 0)
				return rc;
		}
	}
}

int host_launch(host_body *body, struct kernel_shape shape, const void *args, enum host_order order, struct err *err)
{
	gridDim = (struct host_dim){shape.grid[0], shape.grid[1], shape.grid[2]};
	blockDim = (struct host_dim){shape.block[0], shape.block[1], shape.block[2]};
	uint32_t n = gridDim.x * gridDim.y * gridDim.z;
	h.body = body;
	h.args = args;
	h.order = order;
	h.count = blockDim.x * blockDim.y * blockDim.z;
	INVARIANT(n > 0 && h.count > 0 && h.count <= MAX_THREADS, "a launch of %u blocks of %u threads", n, h.count);
	autofree uint32_t *turn = xmalloc(n * sizeof(*turn));
	fill_order(turn, n);
	for (struct block *b = blocks; b < blocks + RESIDENT; b++)
		b->resident = false;
	return run_blocks(turn, n, err);
}
