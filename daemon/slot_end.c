/* The end of a worker: what its attempt still has in its event file is stored, then attempt and worker end.
 *
 * The file is read in the thread pool, a bounded stretch at a time; each stretch is one input of a turn.  A half last
 * line was never said.  A terminal event in the file counts as if it had been received. */
#include "slot.h"

#include "outcome.h"
#include "sched.h"

#include "common/json.h"
#include "common/lines.h"
#include "common/log.h"

#include <fcntl.h>
#include <unistd.h>

#define STRETCH_BYTES (256 * 1024)

struct replay {
	uv_work_t work;
	struct slot *slot;
	int64_t attempt;
	char *path;
	off_t offset;
	struct lines lines;
	json_t *events; /* of the stretch just read */
	size_t bad;     /* index of one that the store refused */
	bool at_end;
	struct err err;
};

struct replayed {
	struct input input;
	struct replay *replay; /* NULL: the worker had no attempt */
	struct slot *slot;
	struct outcome outcome;
	bool said;    /* outcome is the worker's own word */
	bool settled; /* the attempt had ended: its last words were still on their way when its worker went */
};

static void replay_free(struct replay *r)
{
	json_decref(r->events);
	lines_fini(&r->lines);
	free(r->path);
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

static void read_stretch(uv_work_t *work)
{
	struct replay *r = work->data;
	autofree char *buf = xmalloc(STRETCH_BYTES);
	autoclose int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : pread(fd, buf, STRETCH_BYTES, r->offset);
	r->at_end = n <= 0;
	if (n <= 0)
		return;
	r->offset += n;
	if (lines_feed(&r->lines, buf, (size_t)n, &r->err) < 0)
		r->at_end = true;
	else
		take_lines(r);
}

/* --- in turns --- */

/* Not merely asked to end. */
static bool was_killed(const struct slot *slot)
{
	return slot->kill_step >= KILL_TERM;
}

static const char *gone_reason(const struct slot *slot)
{
	return was_killed(slot) ? slot->kill_reason : slot->how;
}

static void say_lost(struct replayed *in)
{
	const struct slot *slot = in->slot;
	in->outcome = (struct outcome){.attempt = ATTEMPT_LOST, .fail_class = FAIL_LOST};
	snprintf(in->outcome.reason, sizeof(in->outcome.reason), "worker %s%s", was_killed(slot) ? "killed: " : "",
		 gone_reason(slot));
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
	return outcome_apply(store, in->slot, row.id, &in->outcome, err);
}

static bool is_last(const struct replayed *in)
{
	return !in->replay || in->replay->at_end || in->said || in->settled;
}

static int apply_replayed(struct input *input, struct store *store, struct err *err)
{
	struct replayed *in = (struct replayed *)input;
	in->said = in->settled = false;
	int r = in->replay ? end_attempt(in, store, err) : 0;
	if (r < 0 || !is_last(in))
		return r;
	return store_worker_gone(store, in->slot->worker, gone_reason(in->slot), err);
}

static void add_input(struct slot *slot, struct replay *r);
static void submit_stretch(struct replay *r);

static void done_replayed(struct input *input)
{
	struct replayed *in = (struct replayed *)input;
	struct replay *r = in->replay;
	struct slot *slot = in->slot;
	if (input->failed == -ECANCELED) {
		if (r)
			replay_free(r);
		return;
	}
	if (input->failed) { /* what the file says from there on cannot be trusted */
		log_warn("%s", input->err.text);
		INVARIANT(r && json_array_size(r->events), "worker %lld cannot end: %s", (long long)slot->worker,
			  input->err.text);
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
	bool ended = r && !in->settled;
	log_info("%s: worker %lld is gone (%s)%s%s", slot->device, (long long)slot->worker, gone_reason(slot),
		 ended ? "; its attempt: " : "", ended ? attempt_state_names[in->outcome.attempt] : "");
	if (r)
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

static void stretch_read(uv_work_t *work, int status)
{
	struct replay *r = work->data;
	if (status == UV_ECANCELED)
		replay_free(r);
	else
		add_input(r->slot, r);
}

static void submit_stretch(struct replay *r)
{
	json_decref(r->events);
	r->events = json_array();
	uv_queue_work(&r->slot->daemon->loop, &r->work, read_stretch, stretch_read);
}

void slot_end(struct slot *slot)
{
	if (!slot->attempt) {
		add_input(slot, NULL);
		return;
	}
	autofree char *dir = paths_job_dir(&slot->daemon->paths, slot->job);
	struct replay *r = xcalloc(1, sizeof(*r));
	r->work.data = r;
	r->slot = slot;
	r->attempt = slot->attempt;
	r->path = xasprintf("%s/events.%lld.jsonl", dir, (long long)r->attempt);
	lines_init(&r->lines, WORKER_LINE_MAX);
	submit_stretch(r);
}
