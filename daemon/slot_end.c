/* The end of a worker: what it started is killed, what its attempt still has in its event file is stored, then attempt
 * and worker end.
 *
 * All that needs files is done in the thread pool.  The event file is read a bounded stretch at a time; each stretch is
 * one input of a turn.  A half last line was never said.  A terminal event in the file counts as if it had been
 * received. */
#include "slot.h"

#include "outcome.h"
#include "proc.h"
#include "sched.h"
#include "spawn.h"

#include "common/json.h"
#include "common/lines.h"
#include "common/log.h"
#include "common/utf8.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

#define STRETCH_BYTES (256 * 1024)
#define READ_AGAIN_MS 200

struct replay {
	uv_work_t work;
	struct slot *slot; /* the worker's */
	struct slot *lane; /* whose attempt this is; one after the other */
	bool cleared; /* what it started is gone; the three below are known */
	char *mark, *log;
	struct cgroup group;
	char words[200];
	struct oom_counters oom;
	int leftovers;
	int64_t attempt; /* 0: it had none */
	char *path;
	off_t offset;
	struct lines lines;
	json_t *events; /* of the stretch just read */
	size_t bad;     /* index of one that the store refused */
	bool at_end;
	int unread; /* a negative errno: the file cannot be read at the moment */
	bool said_unread;
	struct err err;
};

struct replayed {
	struct input input;
	struct replay *replay;
	struct slot *slot;
	struct outcome outcome;
	struct trust trust; /* of a worker that never said hello */
	bool said;    /* outcome is the worker's own word */
	bool settled; /* the attempt had ended: its last words were still on their way when its worker went */
};

static void replay_free(struct replay *r)
{
	json_decref(r->events);
	lines_fini(&r->lines);
	free(r->path);
	free(r->mark);
	free(r->log);
	free(r);
}

/* --- in the thread pool --- */

static void take_lines(struct replay *r)
{
	char *line;
	size_t size;
	while ((line = lines_next(&r->lines, &size))) {
		json_t *event = json_parse(line, size, &r->err);
		if (!json_is_object(event)) { /* a damaged file says no more */
			json_decref(event);
			r->at_end = true;
			return;
		}
		json_array_append_new(r->events, event);
	}
}

/* A process that outlived its worker, in a session of its own, would keep the device and the job's files. */
static void clear_up(struct replay *r)
{
	r->leftovers = proc_kill_marked(r->mark);
	last_words(r->log, r->words, sizeof(r->words));
	oom_read(&r->oom, &r->group);
}

static bool will_pass(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOMEM;
}

static void read_stretch(struct replay *r)
{
	autofree char *buf = xmalloc(STRETCH_BYTES);
	autoclose int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, STRETCH_BYTES, r->offset);
	r->unread = n < 0 && will_pass(errno) ? -errno : 0;
	r->at_end = n <= 0 && !r->unread;
	if (n <= 0)
		return;
	r->offset += n;
	if (lines_feed(&r->lines, buf, (size_t)n, &r->err) < 0)
		r->at_end = true;
	else
		take_lines(r);
}

static void work_on(uv_work_t *work)
{
	struct replay *r = work->data;
	if (!r->cleared)
		clear_up(r);
	if (r->path)
		read_stretch(r);
	else
		r->at_end = true;
}

/* --- in turns --- */

bool slot_was_killed(const struct slot *slot)
{
	return slot->lead->kill_step >= KILL_TERM;
}

static const char *gone_reason(const struct slot *slot)
{
	slot = slot->lead;
	return slot_was_killed(slot) ? slot->kill_reason : slot->how;
}

/* What its end looks like, once it is known whether memory was the cause and what it said last. */
static void complete_how(struct slot *slot, const struct replay *r)
{
	size_t size = strlen(slot->how);
	bool failed = slot->signal > 0 ? slot->signal != SIGKILL && slot->signal != SIGTERM
				       : slot->signal == 0 && slot->exit_status != 0;
	slot->out_of_memory = OOM_NO;
	if (slot_was_killed(slot))
		return;
	if (r->attempt)
		slot->out_of_memory = oom_judge(&r->lane->oom, &r->oom, slot->signal);
	if (slot->out_of_memory != OOM_NO)
		slots_claim_oom_kill(slot->daemon, slot);
	if (slot->out_of_memory == OOM_YES)
		snprintf(slot->how, sizeof(slot->how), "killed by the kernel: out of memory");
	else if (slot->out_of_memory == OOM_PROBABLY)
		snprintf(slot->how + size, sizeof(slot->how) - size,
			 ", probably by the kernel for lack of memory: it killed something then");
	else if (failed && *r->words)
		snprintf(slot->how + size, sizeof(slot->how) - size, "; its last words: %s", r->words);
	utf8_clean(slot->how);
}

static void say_lost(struct replayed *in)
{
	const struct slot *slot = in->slot;
	bool bystander = slot_is_bystander(in->replay->lane);
	in->outcome = (struct outcome){.attempt = ATTEMPT_LOST, .fail_class = FAIL_LOST, .epoch = -1};
	if (slot->out_of_memory != OOM_NO)
		in->outcome.fail_class = FAIL_OOM;
	snprintf(in->outcome.reason, sizeof(in->outcome.reason), "worker %s%s%s", slot_was_killed(slot) ? "killed: " : "",
		 bystander ? "another of its jobs: " : "", gone_reason(slot));
}

static int store_events(struct replayed *in, struct store *store, struct err *err)
{
	size_t i;
	json_t *event;
	json_array_foreach(in->replay->events, i, event) {
		int r = store_add_event(store, in->replay->attempt, event, err);
		in->replay->bad = i;
		if (r < 0)
			return err_prefix(err, r, "%s", in->replay->path);
		if (outcome_of_event(event, &in->outcome)) {
			in->said = true;
			return 0;
		}
	}
	return 0;
}

static int end_attempt(struct replayed *in, struct store *store, struct err *err)
{
	struct attempt_row row;
	int r = store_attempt(store, in->replay->attempt, &row, err);
	in->settled = r == 0 && row.state != ATTEMPT_RUNNING;
	if (r < 0 || in->settled)
		return r;
	r = store_events(in, store, err);
	if (r < 0 || (!in->replay->at_end && !in->said))
		return r;
	if (!in->said)
		say_lost(in);
	return outcome_apply(store, in->replay->lane, row.id, &in->outcome, err);
}

/* Another attempt of the same worker, which has not ended yet. */
static struct slot *next_lane(const struct replay *r)
{
	for_lanes(r->slot, lane)
		if (lane->attempt && lane != r->lane)
			return lane;
	return NULL;
}

static bool is_last(const struct replayed *in)
{
	return in->replay->at_end || in->said || in->settled;
}

/* It was started and nobody ever heard of it: the device's fault, or this program's; no job has had it yet. */
static int heed_spawn_fault(struct replayed *in, struct store *store, struct err *err)
{
	const struct slot *slot = in->slot;
	bool fault = !slot->greeted && !slot->daemon->stopping && !slot->surplus;
	return trust_fault(&in->trust, store, slot, fault ? FAULT_SPAWN : FAULT_NONE, 0, gone_reason(slot), err);
}

static int apply_replayed(struct input *input, struct store *store, struct err *err)
{
	struct replayed *in = (struct replayed *)input;
	in->said = in->settled = false;
	int r = in->replay->attempt ? end_attempt(in, store, err) : heed_spawn_fault(in, store, err);
	if (r < 0 || !is_last(in) || next_lane(in->replay))
		return r;
	return store_worker_gone(store, in->slot->worker, gone_reason(in->slot), err);
}

static void add_input(struct slot *slot, struct replay *r);
static void submit_stretch(struct replay *r);
static void replay_lane(struct replay *r, struct slot *lane);

static void done_replayed(struct input *input)
{
	struct replayed *in = (struct replayed *)input;
	struct replay *r = in->replay;
	struct slot *slot = in->slot;
	if (input->failed == -ECANCELED) {
		replay_free(r);
		return;
	}
	if (input->failed) { /* what the file says from there on cannot be trusted */
		log_warn("%s", input->why);
		INVARIANT(json_array_size(r->events), "worker %lld cannot end: %s", (long long)slot->worker,
			  input->why);
		while (json_array_size(r->events) > r->bad)
			json_array_remove(r->events, r->bad);
		r->at_end = true;
		add_input(slot, r);
		return;
	}
	if (!is_last(in)) {
		submit_stretch(r);
		return;
	}
	bool ended = r->attempt && !in->settled;
	log_info("%s: worker %lld is gone (%s)%s%s", slot->device, (long long)slot->worker, gone_reason(slot),
		 ended ? "; its attempt: " : "", ended ? attempt_state_names[in->outcome.attempt] : "");
	if (r->leftovers)
		log_warn("%s: %d process%s that worker %lld left behind %s killed", slot->device, r->leftovers,
			 r->leftovers == 1 ? "" : "es", (long long)slot->worker, r->leftovers == 1 ? "was" : "were");
	if (ended)
		outcome_done(r->lane, &in->outcome);
	else if (!r->attempt)
		trust_done(&in->trust, slot);
	struct slot *next = next_lane(r);
	slot_take_attempt(r->lane, 0, 0, NAN, 0);
	if (next) {
		replay_lane(r, next);
		return;
	}
	replay_free(r);
	slot_vacate(slot);
}

static const struct input_kind replayed_kind = {"replayed events", apply_replayed, done_replayed};

static void add_input(struct slot *slot, struct replay *r)
{
	struct replayed *in = input_new(slot->daemon, &replayed_kind, sizeof(*in));
	in->slot = slot;
	in->replay = r;
	turn_add(slot->daemon->turn, &in->input);
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void on_read_again(uv_timer_t *timer)
{
	struct replay *r = timer->data;
	uv_close((uv_handle_t *)timer, on_timer_closed);
	if (r->slot->daemon->closed)
		replay_free(r);
	else
		submit_stretch(r);
}

/* No descriptors left: what the file says is not given up for that (invariant 4). */
static void read_again(struct replay *r)
{
	if (!r->said_unread)
		log_error("%s cannot be read: %s; trying again", r->path, strerror(-r->unread));
	r->said_unread = true;
	uv_timer_t *timer = xcalloc(1, sizeof(*timer));
	uv_timer_init(&r->slot->daemon->loop, timer);
	timer->data = r;
	uv_timer_start(timer, on_read_again, READ_AGAIN_MS, 0);
}

static void worked_on(uv_work_t *work, int status)
{
	struct replay *r = work->data;
	if (status == UV_ECANCELED) {
		replay_free(r);
		return;
	}
	if (!r->cleared)
		complete_how(r->slot, r);
	r->cleared = true;
	if (r->unread)
		read_again(r);
	else
		add_input(r->slot, r);
}

static void submit_stretch(struct replay *r)
{
	json_decref(r->events);
	r->events = json_array();
	uv_queue_work(&r->slot->daemon->loop, &r->work, work_on, worked_on);
}

/* From the beginning of its attempt's file; a place without an attempt has none. */
static void replay_lane(struct replay *r, struct slot *lane)
{
	autofree char *dir = paths_job_dir(&lane->daemon->paths, lane->job);
	free(r->path);
	lines_fini(&r->lines);
	lines_init(&r->lines, WORKER_LINE_MAX);
	r->lane = lane;
	r->attempt = lane->attempt;
	r->path = r->attempt ? xasprintf("%s/events.%lld.jsonl", dir, (long long)r->attempt) : NULL;
	r->group = lane->group;
	r->offset = 0;
	r->at_end = r->said_unread = false;
	submit_stretch(r);
}

void slot_end(struct slot *slot)
{
	struct replay *r = xcalloc(1, sizeof(*r));
	struct slot *first = slot;
	for_lanes(slot, lane)
		if (lane->attempt && !first->attempt)
			first = lane;
	r->work.data = r;
	r->slot = slot;
	r->mark = spawn_mark(slot);
	r->log = spawn_log_path(slot);
	lines_init(&r->lines, WORKER_LINE_MAX);
	replay_lane(r, first);
}
