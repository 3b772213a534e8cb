/* See dispatch.h. */
#include "dispatch.h"

#include "sched.h"
#include "slot.h"
#include "store_supervise.h"

#include "common/clock.h"
#include "common/log.h"

#include <math.h>

#define RETRY_S	  5.0
#define PICKY_MAX 16 /* jobs at the head of the queue that wait for another device, behind which others are looked at */

struct start { /* one attempt that begins */
	struct slot *slot;
	int64_t job, attempt;
	char *config, *data_dir;
	double limit_s;
};

struct dispatch {
	struct input input;
	struct start *starts;
	size_t n;
	int64_t next_ms; /* wall time of the next job that waits for its time; 0: none */
};

static void clear(struct dispatch *in)
{
	for (size_t i = 0; i < in->n; i++) {
		free(in->starts[i].config);
		free(in->starts[i].data_dir);
	}
	free(in->starts);
	in->starts = NULL;
	in->n = 0;
}

static int begin(struct dispatch *in, struct store *store, struct slot *slot, int64_t job, struct err *err)
{
	struct start *start = &in->starts[in->n++];
	*start = (struct start){.slot = slot, .job = job};
	int r = store_begin_attempt(store, job, slot->lead->worker, slot->device, &start->attempt, err);
	r = r ? r : store_time_limit(store, job, &start->limit_s, err);
	return r ? r : store_job_config(store, job, &start->config, &start->data_dir, err);
}

/* slot->ending may be of a try that was rolled back: what this transaction has counts. */
static bool is_free(const struct slot *slot, struct store *store)
{
	struct attempt_row row;
	struct err err;
	if (!slot_is_free(slot))
		return false;
	return !slot->attempt || (store_attempt(store, slot->attempt, &row, &err) == 0 && row.state != ATTEMPT_RUNNING);
}

/* The slots are looked at here and not when the input was made: nothing can happen to them before done(). */
static int apply(struct input *input, struct store *store, struct err *err)
{
	struct dispatch *in = (struct dispatch *)input;
	struct daemon *d = input->daemon;
	size_t n_slots = (size_t)d->n_slots, n_jobs = 0, n_free = 0;
	int64_t now_ms = wall_ms();
	autofree struct sched_job *jobs = NULL;
	autofree struct sched_slot *slots = xcalloc(n_slots, sizeof(*slots));
	autofree struct sched_choice *choices = xcalloc(n_slots, sizeof(*choices));
	clear(in);
	in->starts = xcalloc(n_slots, sizeof(*in->starts));
	in->next_ms = store_next_start(store, now_ms);
	for (size_t i = 0; i < n_slots; i++) {
		const struct slot *slot = &d->slots[i];
		slots[i] = (struct sched_slot){is_free(slot, store), slot_is_usable(slot), slot->device};
		n_free += slots[i].free;
	}
	if (!n_free || d->stopping)
		return 0;
	int r = store_startable(store, now_ms, (int)n_free + PICKY_MAX, &jobs, &n_jobs, err);
	if (r < 0)
		return r;
	size_t n = sched_pick(jobs, n_jobs, slots, n_slots, now_ms, choices);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = begin(in, store, &d->slots[choices[i].slot], jobs[choices[i].job].id, err);
	return r;
}

static void send_start(const struct start *start)
{
	struct slot *slot = start->slot;
	log_info("%s: job %lld starts, attempt %lld", slot->device, (long long)start->job, (long long)start->attempt);
	slot_take_attempt(slot, start->attempt, start->job, monotonic_s(), start->limit_s);
	slot_send_run(slot, start->config, start->data_dir);
}

static void done(struct input *input)
{
	struct dispatch *in = (struct dispatch *)input;
	struct daemon *d = input->daemon;
	double wait_s = in->next_ms ? (double)(in->next_ms - wall_ms()) / 1000 : INFINITY;
	d->dispatching = false;
	if (input->failed && input->failed != -ECANCELED) {
		log_error("no job starts: %s", input->why);
		wait_s = RETRY_S;
	}
	for (size_t i = 0; !input->failed && i < in->n; i++)
		send_start(&in->starts[i]);
	d->dispatch_at_s = monotonic_s() + wait_s;
	clear(in);
}

static const struct input_kind kind = {"dispatch", apply, done};

void dispatch_now(struct daemon *d)
{
	if (d->dispatching || d->stopping)
		return;
	d->dispatch_wanted = false;
	d->dispatching = true;
	d->dispatch_at_s = INFINITY;
	struct dispatch *in = input_new(d, &kind, sizeof(*in));
	turn_add(d->turn, &in->input);
}

double dispatch_tick(struct daemon *d, double now_s)
{
	bool any_free = false;
	for (int i = 0; i < d->n_slots; i++)
		any_free |= slot_is_free(&d->slots[i]);
	d->dispatch_wanted |= now_s >= d->dispatch_at_s;
	if (!d->dispatch_wanted || d->dispatching || d->stopping || !any_free)
		return d->stopping || !any_free ? INFINITY : d->dispatch_at_s;
	dispatch_now(d);
	return INFINITY;
}
