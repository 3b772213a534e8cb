/* See host_kernel.h.  The scheduler runs on the caller's stack and goes round by round: it releases the warps and the
 * block whose threads have all arrived, then resumes what may run.  A fiber whose thread ends goes on with the next
 * thread that has not begun, so kernels without barriers need no switch at all.
 *
 *   NEW -> RUNS -> (WAITS_WARP | WAITS_BLOCK -> READY -> RUNS)... -> ENDED */
#include "host_kernel.h"
#include "tests/cuda/host_vocab.h"

#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)   ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#endif

#define MAX_THREADS 1024
#define WARP	    32
#define STACK_BYTES ((size_t)128 << 10)
#define GUARD_BYTES ((size_t)64 << 10)

struct host_dim threadIdx, blockIdx, blockDim, gridDim;

enum thread_state { NEW, READY, RUNS, WAITS_WARP, WAITS_BLOCK, ENDED };

struct fiber {
	ucontext_t context;
	char *stack;
	void *fake_stack; /* AddressSanitizer's */
};

static struct thread {
	enum thread_state state;
	struct fiber *fiber;   /* while it RUNS or waits */
	const char *place;     /* where it waits */
	uint32_t words[2];     /* what it offers to its warp, by turns */
	unsigned shuffles;     /* so far */
} threads[MAX_THREADS];

static struct {
	host_body *body;
	const void *args;
	uint32_t count;		     /* threads in a block */
	enum host_order order;
	uint32_t turn[MAX_THREADS];  /* the round's order of threads */
	uint32_t at;		     /* position in turn */
	struct fiber fibers[MAX_THREADS];
	struct fiber *idle[MAX_THREADS];
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
	threads[t].state = RUNS;
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
		threads[running()].state = ENDED;
		if (h.at + 1 < h.count && threads[h.turn[h.at + 1]].state == NEW) {
			uint32_t t = h.turn[++h.at];
			threads[t].fiber = f;
			become(t);
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

static void resume(uint32_t t)
{
	struct thread *thread = &threads[t];
	if (thread->state == NEW) {
		if (h.n_idle == 0) /* every fiber is another thread's: take one that never ran */
			for (uint32_t i = 0; i < MAX_THREADS && h.n_idle == 0; i++)
				if (!h.fibers[i].stack) {
					fiber_reset(&h.fibers[i]);
					h.idle[h.n_idle++] = &h.fibers[i];
				}
		thread->fiber = h.idle[--h.n_idle];
	}
	become(t);
	to_fiber(thread->fiber);
}

static void wait_at(enum thread_state state, const char *place)
{
	uint32_t t = running();
	threads[t].state = state;
	threads[t].place = place;
	to_scheduler(threads[t].fiber);
}

void host_barrier(const char *place)
{
	wait_at(WAITS_BLOCK, place);
}

/* The word offered in turn k is read before anyone can offer the one of turn k + 2. */
void host_shuffle_xor(void *word, uint32_t offset, const char *place)
{
	struct thread *me = &threads[running()], *other = &threads[running() ^ offset];
	unsigned side = me->shuffles++ % 2;
	memcpy(&me->words[side], word, sizeof(uint32_t));
	wait_at(WAITS_WARP, place);
	memcpy(word, &other->words[side], sizeof(uint32_t));
}

/* --- a block --- */

/* Threads [first, first + n) all wait alike at one place: they may go on. */
static void release(uint32_t first, uint32_t n, enum thread_state waiting)
{
	for (uint32_t t = first; t < first + n; t++)
		if (threads[t].state != waiting || threads[t].place != threads[first].place)
			return;
	for (uint32_t t = first; t < first + n; t++)
		threads[t].state = READY;
}

static int deadlock(struct err *err)
{
	const char *place = "";
	uint32_t waiting = 0, ended = 0;
	for (uint32_t t = 0; t < h.count; t++)
		if (threads[t].state == ENDED) {
			ended++;
		} else {
			waiting++;
			place = threads[t].place;
		}
	for (uint32_t i = 0; i < MAX_THREADS; i++) /* what the abandoned fibers hold is lost */
		if (h.fibers[i].stack)
			fiber_reset(&h.fibers[i]);
	h.n_idle = 0;
	for (uint32_t i = 0; i < MAX_THREADS; i++)
		if (h.fibers[i].stack)
			h.idle[h.n_idle++] = &h.fibers[i];
	return err_set(err, -EDEADLK, "block %u,%u: %u threads wait, one at %s, and %u have ended", blockIdx.x, blockIdx.y,
		       waiting, place, ended);
}

static int run_block(struct err *err)
{
	extern char __start_kernel_shared[], __stop_kernel_shared[];
	memset(__start_kernel_shared, 0xff, (size_t)(__stop_kernel_shared - __start_kernel_shared));
	for (uint32_t t = 0; t < h.count; t++)
		threads[t] = (struct thread){.state = NEW};
	for (;;) {
		uint32_t ran = 0, ended = 0;
		fill_order(h.turn, h.count);
		for (h.at = 0; h.at < h.count; h.at++) {
			uint32_t t = h.turn[h.at];
			if (threads[t].state == NEW || threads[t].state == READY) {
				resume(t);
				ran++;
			}
		}
		for (uint32_t t = 0; t < h.count; t++)
			ended += threads[t].state == ENDED;
		if (ended == h.count)
			return 0;
		if (ran == 0)
			return deadlock(err);
		for (uint32_t t = 0; t < h.count; t += WARP)
			release(t, MIN(WARP, h.count - t), WAITS_WARP);
		release(0, h.count, WAITS_BLOCK);
	}
}

int host_launch(host_body *body, struct kernel_shape shape, const void *args, enum host_order order, struct err *err)
{
	gridDim = (struct host_dim){shape.grid[0], shape.grid[1], shape.grid[2]};
	blockDim = (struct host_dim){shape.block[0], shape.block[1], shape.block[2]};
	uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
	h.body = body;
	h.args = args;
	h.order = order;
	h.count = blockDim.x * blockDim.y * blockDim.z;
	INVARIANT(blocks > 0 && h.count > 0 && h.count <= MAX_THREADS, "a launch of %u blocks of %u threads", blocks, h.count);
	autofree uint32_t *turn = xmalloc(blocks * sizeof(*turn));
	fill_order(turn, blocks);
	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t b = turn[i];
		blockIdx = (struct host_dim){b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
		int rc = run_block(err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
