/* The verbs that change jobs: cancel, pause, resume, retry, priority; and sync, which has their runs sent anew.  To add
 * one: a row of changes[].
 *
 * A job that waits is changed at once.  A running one that shall be cancelled or paused is asked first (and then gets
 * TERM, then KILL of its group); the answer comes when every named job's outcome is stored:
 *
 *   first pass (a turn) --> wait until no slot holds any of the running ones --> another pass over those --> ... answer
 *
 * The further pass is for a job that left its slot for another reason and was queued again before it was asked. */
#include "control.h"

#include "slot.h"
#include "store_forward.h"
#include "who.h"

#include "common/json.h"
#include "common/protocol.h"

#include <unistd.h>

#define MAX_JOBS     100000
#define MAX_PRIORITY 1000

struct wanted { /* one job of a request */
	int64_t id;
	enum job_state was;
	bool running; /* as the last pass found it */
	bool wait;    /* the same, as committed: its outcome is waited for */
	int code;     /* EXIT_*: why it cannot be */
	char error[120];
};

struct change_kind;

struct changing {
	struct daemon *daemon;
	struct client *client;
	const struct change_kind *kind;
	uid_t uid;
	int64_t sweep; /* 0: by jobs */
	int priority;  /* of `priority` */
	struct wanted *jobs;
	size_t n;
	bool again; /* a further pass */
	struct changing *next;
};

struct change_kind {
	const char *verb;
	/* Moves the job, or refuse()s it, or marks it as running: its slot is asked. */
	int (*apply)(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		     struct err *err);
	enum slot_wish wish; /* what a running job's slot is asked for */
	enum job_state goal; /* and the state that ends the wait well */
};

struct change_pass {
	struct input input;
	struct changing *c;
};

static void changing_free(struct changing *c)
{
	if (c->client)
		client_unref(c->client);
	free(c->jobs);
	free(c);
}

static bool may_change(uid_t uid, const struct job_row *job)
{
	return uid == 0 || uid == geteuid() || uid == job->owner || uid == WANDB_UID;
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

/* --- one job --- */

static int move_as(struct store *store, const struct changing *c, const struct wanted *w, enum job_state to,
		   struct err *err)
{
	char reason[64], who[WHO_MAX];
	snprintf(reason, sizeof(reason), "%s by %s", job_state_names[to], who_text(c->uid, who));
	return store_move_job(store, w->id, &(struct job_move){.to = to, .reason = reason}, err);
}

static void refuse_state(struct wanted *w, const struct job_row *job, const char *only)
{
	if (only)
		refuse(w, EXIT_STATE, "job %lld is %s; only %s", (long long)w->id, job_state_names[job->state], only);
	else
		refuse(w, EXIT_STATE, "job %lld is %s already; nothing was changed", (long long)w->id,
		       job_state_names[job->state]);
}

static int cancel(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		  struct err *err)
{
	if (!job_is_final(job->state) && job->state != JOB_RUNNING)
		return move_as(store, c, w, JOB_CANCELLED, err);
	if (job_is_final(job->state))
		refuse_state(w, job, NULL);
	w->running = job->state == JOB_RUNNING;
	return 0;
}

static int pause_job(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		     struct err *err)
{
	if (job->state == JOB_QUEUED)
		return move_as(store, c, w, JOB_PAUSED, err);
	if (job->state != JOB_RUNNING)
		refuse_state(w, job, NULL);
	w->running = job->state == JOB_RUNNING;
	return 0;
}

static int resume(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		  struct err *err)
{
	if (job->state == JOB_PAUSED)
		return store_move_job(store, w->id, &(struct job_move){.to = JOB_QUEUED}, err);
	refuse_state(w, job, "a paused job is resumed");
	return 0;
}

static int retry(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		 struct err *err)
{
	if (job->state == JOB_FAILED || job->state == JOB_CANCELLED)
		return store_move_job(store, w->id, &(struct job_move){.to = JOB_QUEUED, .forgets_retries = true}, err);
	refuse_state(w, job, "a failed or cancelled job is retried");
	return 0;
}

static int prioritize(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		      struct err *err)
{
	if (!job_is_final(job->state))
		return store_set_priority(store, job, c->priority, err);
	refuse_state(w, job, NULL);
	return 0;
}

static int sync_run(struct store *store, const struct changing *c, const struct job_row *job, struct wanted *w,
		    struct err *err)
{
	int r = store_forward_again(store, w->id, err);
	if (r == 0)
		refuse(w, EXIT_STATE, "job %lld has no use_wandb; nothing of it is sent", (long long)w->id);
	return r < 0 ? r : 0;
}

static const struct change_kind changes[] = {
	{"cancel", cancel, WISH_CANCEL, JOB_CANCELLED},
	{"pause", pause_job, WISH_PAUSE, JOB_PAUSED},
	{"resume", resume},
	{"retry", retry},
	{"priority", prioritize},
	{"sync", sync_run},
};

/* --- a pass over all of them --- */

static int change_one(struct store *store, const struct changing *c, struct wanted *w, struct err *err)
{
	struct job_row job;
	int r = store_job(store, w->id, &job, err);
	w->running = false;
	w->code = EXIT_OK;
	if (r == -ENOENT)
		refuse(w, EXIT_NO_SUCH, "no job %lld", (long long)w->id);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!c->again)
		w->was = job.state;
	if (!may_change(c->uid, &job)) {
		refuse(w, EXIT_PERMISSION, "job %lld belongs to uid %u", (long long)w->id, (unsigned)job.owner);
		return 0;
	}
	if (c->again && job.state == c->kind->goal)
		return 0;
	return c->kind->apply(store, c, &job, w, err);
}

static int list_sweep(struct changing *c, struct store *store, struct err *err)
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
	struct changing *c = ((struct change_pass *)input)->c;
	int r = c->sweep && !c->again ? list_sweep(c, store, err) : 0;
	for (size_t i = 0; r == 0 && i < c->n; i++)
		if (!c->again || c->jobs[i].wait)
			r = change_one(store, c, &c->jobs[i], err);
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

static void answer(struct changing *c)
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
	changing_free(c);
}

/* It waits, if only for the end of this turn. */
static void wait_for_slots(struct changing *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct wanted *w = &c->jobs[i];
		w->wait = w->running;
		struct slot *slot = w->wait ? slot_of_job(c->daemon, w->id) : NULL;
		if (slot)
			slot_ask(slot, c->kind->wish, c->uid,
				 c->kind->wish == WISH_CANCEL ? "did not end when asked to cancel its job"
							      : "did not end when asked to pause its job");
	}
	c->next = c->daemon->changing;
	c->daemon->changing = c;
	daemon_poke(c->daemon); /* a resumed or retried job may start */
}

static void done_pass(struct input *input)
{
	struct changing *c = ((struct change_pass *)input)->c;
	if (!input->failed) {
		wait_for_slots(c);
		return;
	}
	client_refuse(c->client, input->failed == -ENOENT ? EXIT_NO_SUCH : EXIT_STATE, "%s", input->why);
	changing_free(c);
}

static const struct input_kind pass_kind = {"change", apply_pass, done_pass};

static void add_pass(struct changing *c)
{
	struct change_pass *in = input_new(c->daemon, &pass_kind, sizeof(*in));
	in->c = c;
	if (!c->again) /* a further pass only looks what became of running jobs: it waits */
		in->input.refuse_at_s = daemon_refuse_at_s(c->daemon);
	turn_add(c->daemon->turn, &in->input);
}

void change_check_pending(struct daemon *d)
{
	for (struct changing **at = &d->changing; *at;) {
		struct changing *c = *at;
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

void change_drop_pending(struct daemon *d)
{
	while (d->changing) {
		struct changing *c = d->changing;
		d->changing = c->next;
		changing_free(c);
	}
}

/* --- the request --- */

static int read_jobs(struct changing *c, const json_t *list, struct err *err)
{
	size_t i;
	json_t *id;
	c->n = json_array_size(list);
	if (!c->n || c->n > MAX_JOBS)
		return err_set(err, -EINVAL, "%s: expected \"sweep\" or 1 to %d \"jobs\"", c->kind->verb, MAX_JOBS);
	c->jobs = xcalloc(c->n, sizeof(*c->jobs));
	json_array_foreach(list, i, id) {
		if (!json_is_integer(id))
			return err_set(err, -EINVAL, "%s: \"jobs\" holds whole numbers", c->kind->verb);
		c->jobs[i].id = json_integer_value(id);
	}
	return 0;
}

static int read_request(struct changing *c, const json_t *request, struct err *err)
{
	int64_t priority = json_int_or(request, "priority", 0);
	if (priority < -MAX_PRIORITY || priority > MAX_PRIORITY)
		return err_set(err, -EINVAL, "priority: from -%d to %d", MAX_PRIORITY, MAX_PRIORITY);
	c->priority = (int)priority;
	c->sweep = json_int_or(request, "sweep", 0);
	return c->sweep ? 0 : read_jobs(c, json_object_get(request, "jobs"), err);
}

static int begin_change(struct client *client, const char *verb, uid_t uid, const json_t *request, struct err *err)
{
	struct changing *c = xcalloc(1, sizeof(*c));
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (str_eq(changes[i].verb, verb))
			c->kind = &changes[i];
	if (!c->kind) {
		free(c);
		return err_set(err, -EINVAL, "\"%.40s\" changes no job", verb);
	}
	c->daemon = client->daemon;
	c->uid = uid;
	int r = read_request(c, request, err);
	if (r < 0) {
		changing_free(c);
		return r;
	}
	c->client = client_ref(client);
	add_pass(c);
	return 0;
}

int change_request(struct client *client, const json_t *request, struct err *err)
{
	return begin_change(client, json_str_or(request, "verb", ""), client->peer->uid, request, err);
}

int change_from_wandb(struct client *client, const json_t *request, struct err *err)
{
	return begin_change(client, json_str_or(request, "ask", ""), WANDB_UID, request, err);
}
