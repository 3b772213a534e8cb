/* The verb cancel.  Waiting jobs are cancelled at once; a running one is asked, then gets TERM, then KILL of its group.
 * The answer comes when every named job's outcome is stored:
 *
 *   first pass (a turn) --> wait until no slot holds any of the running ones --> another pass over those --> ... answer
 *
 * The further pass is for a job that left its slot for another reason and was queued again before it was asked. */
#include "control.h"

#include "slot.h"

#include "common/json.h"
#include "common/protocol.h"

#include <unistd.h>

#define MAX_JOBS 100000

struct wanted { /* one job of a request */
	int64_t id;
	enum job_state was;
	bool running; /* as the last pass found it */
	bool wait;    /* the same, as committed: its outcome is waited for */
	int code;     /* EXIT_*: why it cannot be */
	char error[120];
};

struct cancelling {
	struct daemon *daemon;
	struct client *client;
	uid_t uid;
	int64_t sweep; /* 0: by jobs */
	struct wanted *jobs;
	size_t n;
	bool again; /* a further pass */
	struct cancelling *next;
};

struct cancel_pass {
	struct input input;
	struct cancelling *c;
};

static void cancelling_free(struct cancelling *c)
{
	if (c->client)
		client_unref(c->client);
	free(c->jobs);
	free(c);
}

static bool may_change(uid_t uid, const struct job_row *job)
{
	return uid == 0 || uid == geteuid() || uid == job->owner;
}

static void refuse(struct wanted *w, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void refuse(struct wanted *w, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->error, sizeof(w->error), fmt, ap);
	va_end(ap);
	w->code = code;
}

static int cancel_one(struct store *store, const struct cancelling *c, struct wanted *w, struct err *err)
{
	char reason[64];
	struct job_row job;
	long long id = w->id;
	int r = store_job(store, w->id, &job, err);
	w->running = false;
	w->code = EXIT_OK;
	if (r == -ENOENT)
		refuse(w, EXIT_NO_SUCH, "no job %lld", id);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!c->again)
		w->was = job.state;
	if (!may_change(c->uid, &job)) {
		refuse(w, EXIT_PERMISSION, "job %lld belongs to uid %u", id, (unsigned)job.owner);
	} else if (job.state == JOB_CANCELLED && c->again) {
		return 0;
	} else if (job_is_final(job.state)) {
		refuse(w, EXIT_STATE, "job %lld is %s already; nothing was changed", id, job_state_names[job.state]);
	} else if (job.state == JOB_RUNNING) {
		w->running = true;
	} else {
		snprintf(reason, sizeof(reason), "cancelled by uid %u", (unsigned)c->uid);
		return store_move_job(store, w->id, &(struct job_move){.to = JOB_CANCELLED, .reason = reason}, err);
	}
	return 0;
}

static int list_sweep(struct cancelling *c, struct store *store, struct err *err)
{
	struct sweep_summary summary;
	autofree int64_t *ids = NULL;
	size_t n;
	int r = store_sweep(store, c->sweep, &summary, err);
	r = r ? r : store_open_jobs(store, c->sweep, &ids, &n, err);
	if (r < 0)
		return r;
	free(c->jobs);
	c->jobs = xcalloc(n, sizeof(*c->jobs));
	c->n = n;
	for (size_t i = 0; i < n; i++)
		c->jobs[i].id = ids[i];
	return 0;
}

static int apply_pass(struct input *input, struct store *store, struct err *err)
{
	struct cancelling *c = ((struct cancel_pass *)input)->c;
	int r = c->sweep && !c->again ? list_sweep(c, store, err) : 0;
	for (size_t i = 0; r == 0 && i < c->n; i++)
		if (!c->again || c->jobs[i].wait)
			r = cancel_one(store, c, &c->jobs[i], err);
	return r;
}

/* What became of a job, in words of the answer. */
static json_t *describe(struct store *store, const struct wanted *w)
{
	struct job_row job;
	if (w->code == EXIT_NO_SUCH || store_job(store, w->id, &job, NULL) < 0)
		return json_pack("{s:I, s:s}", "job", (json_int_t)w->id, "error", w->error);
	json_t *o = json_pack("{s:I, s:s, s:s}", "job", (json_int_t)w->id, "state", job_state_names[job.state], "was",
			      job_state_names[w->was]);
	if (w->code)
		json_object_set_new(o, "error", json_string(w->error));
	return o;
}

static void answer(struct cancelling *c)
{
	int code = EXIT_OK;
	const char *error = NULL;
	json_t *jobs = json_array();
	for (size_t i = 0; i < c->n; i++) {
		code = MAX(code, c->jobs[i].code);
		error = error || !c->jobs[i].code ? error : c->jobs[i].error;
		json_array_append_new(jobs, describe(c->daemon->store, &c->jobs[i]));
	}
	client_answer(c->client, json_pack("{s:b, s:i, s:o, s:s*}", "ok", code == EXIT_OK, "code", code, "jobs", jobs,
					   "error", error));
	cancelling_free(c);
}

/* It waits, if only for the end of this turn. */
static void wait_for_slots(struct cancelling *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct wanted *w = &c->jobs[i];
		w->wait = w->running;
		struct slot *slot = w->wait ? slot_of_job(c->daemon, w->id) : NULL;
		if (slot)
			slot_cancel_job(slot, c->uid);
	}
	c->next = c->daemon->cancelling;
	c->daemon->cancelling = c;
}

static void done_pass(struct input *input)
{
	struct cancelling *c = ((struct cancel_pass *)input)->c;
	if (!input->failed) {
		wait_for_slots(c);
		return;
	}
	client_refuse(c->client, input->failed == -ENOENT ? EXIT_NO_SUCH : EXIT_STATE, "%s", input->err.text);
	cancelling_free(c);
}

static const struct input_kind pass_kind = {"cancel", apply_pass, done_pass};

static void add_pass(struct cancelling *c)
{
	struct cancel_pass *in = input_new(c->daemon, &pass_kind, sizeof(*in));
	in->c = c;
	turn_add(c->daemon->turn, &in->input);
}

void cancel_check_pending(struct daemon *d)
{
	for (struct cancelling **at = &d->cancelling; *at;) {
		struct cancelling *c = *at;
		size_t waiting = 0, in_slot = 0;
		for (size_t i = 0; i < c->n; i++) {
			waiting += c->jobs[i].wait;
			in_slot += c->jobs[i].wait && slot_of_job(d, c->jobs[i].id);
		}
		if (in_slot) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->again = true;
		if (waiting)
			add_pass(c);
		else
			answer(c);
	}
}

void cancel_drop_pending(struct daemon *d)
{
	while (d->cancelling) {
		struct cancelling *c = d->cancelling;
		d->cancelling = c->next;
		cancelling_free(c);
	}
}

static int read_jobs(struct cancelling *c, const json_t *list, struct err *err)
{
	size_t i;
	json_t *id;
	c->n = json_array_size(list);
	if (!c->n || c->n > MAX_JOBS)
		return err_set(err, -EINVAL, "cancel: expected \"sweep\" or 1 to %d \"jobs\"", MAX_JOBS);
	c->jobs = xcalloc(c->n, sizeof(*c->jobs));
	json_array_foreach(list, i, id) {
		if (!json_is_integer(id))
			return err_set(err, -EINVAL, "cancel: \"jobs\" holds whole numbers");
		c->jobs[i].id = json_integer_value(id);
	}
	return 0;
}

int cancel_request(struct client *client, const json_t *request, struct err *err)
{
	struct cancelling *c = xcalloc(1, sizeof(*c));
	c->daemon = client->daemon;
	c->uid = client->peer->uid;
	c->sweep = json_int_or(request, "sweep", 0);
	int r = c->sweep ? 0 : read_jobs(c, json_object_get(request, "jobs"), err);
	if (r < 0) {
		cancelling_free(c);
		return r;
	}
	c->client = client_ref(client);
	add_pass(c);
	return 0;
}
