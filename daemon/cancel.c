/* The verb cancel.  Waiting jobs are cancelled at once; a running one is asked, then gets TERM, then KILL of its group.
 * The answer comes when every named job's outcome is stored. */
#include "control.h"

#include "slot.h"

#include "common/json.h"
#include "common/protocol.h"

#include <unistd.h>

#define MAX_JOBS 10000

struct wanted { /* one job of a request */
	int64_t id;
	enum job_state was;
	bool running;  /* its outcome is waited for */
	int code;      /* EXIT_*: why it cannot be */
	char error[160];
};

struct cancelling {
	struct input input;
	struct client *client;
	uid_t uid;
	int64_t sweep; /* 0: by jobs */
	struct wanted *jobs;
	size_t n;
};

struct pending { /* answered when none of its jobs is in a slot any more */
	struct client *client;
	struct wanted *jobs;
	size_t n;
	struct pending *next;
};

static bool may_change(uid_t uid, const struct job_row *job)
{
	return uid == 0 || uid == geteuid() || uid == job->owner;
}

static int cancel_one(struct store *store, struct wanted *w, uid_t uid, struct err *err)
{
	char reason[64];
	struct job_row job;
	int r = store_job(store, w->id, &job, err);
	w->running = false;
	w->code = EXIT_OK;
	if (r == -ENOENT) {
		w->code = EXIT_NO_SUCH;
		snprintf(w->error, sizeof(w->error), "no job %lld", (long long)w->id);
		return 0;
	}
	if (r < 0)
		return r;
	w->was = job.state;
	if (!may_change(uid, &job)) {
		w->code = EXIT_PERMISSION;
		snprintf(w->error, sizeof(w->error), "job %lld belongs to uid %u", (long long)w->id, (unsigned)job.owner);
	} else if (job_is_final(job.state)) {
		w->code = EXIT_STATE;
		snprintf(w->error, sizeof(w->error), "job %lld is %s already; nothing was changed", (long long)w->id,
			 job_state_names[job.state]);
	} else if (job.state == JOB_RUNNING) {
		w->running = true;
	} else {
		snprintf(reason, sizeof(reason), "cancelled by uid %u", (unsigned)uid);
		return store_move_job(store, w->id, &(struct job_move){.to = JOB_CANCELLED, .reason = reason}, err);
	}
	return 0;
}

static int list_sweep(struct cancelling *in, struct store *store, struct err *err)
{
	struct sweep_summary summary;
	autofree int64_t *ids = NULL;
	size_t n;
	int r = store_sweep(store, in->sweep, &summary, err);
	r = r ? r : store_open_jobs(store, in->sweep, &ids, &n, err);
	if (r < 0)
		return r;
	free(in->jobs);
	in->jobs = xcalloc(n, sizeof(*in->jobs));
	in->n = n;
	for (size_t i = 0; i < n; i++)
		in->jobs[i].id = ids[i];
	return 0;
}

static int apply_cancel(struct input *input, struct store *store, struct err *err)
{
	struct cancelling *in = (struct cancelling *)input;
	int r = in->sweep ? list_sweep(in, store, err) : 0;
	for (size_t i = 0; r == 0 && i < in->n; i++)
		r = cancel_one(store, &in->jobs[i], in->uid, err);
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

static void answer(struct daemon *d, struct pending *p)
{
	int code = EXIT_OK;
	json_t *jobs = json_array();
	for (size_t i = 0; i < p->n; i++) {
		code = MAX(code, p->jobs[i].code);
		json_array_append_new(jobs, describe(d->store, &p->jobs[i]));
	}
	client_answer(p->client, json_pack("{s:o, s:i}", "jobs", jobs, "code", code));
	client_unref(p->client);
	free(p->jobs);
	free(p);
}

static void ask_slots(struct daemon *d, const struct cancelling *in)
{
	for (size_t i = 0; i < in->n; i++) {
		struct slot *slot = in->jobs[i].running ? slot_of_job(d, in->jobs[i].id) : NULL;
		if (slot)
			slot_cancel_job(slot, in->uid);
	}
}

static void done_cancel(struct input *input)
{
	struct cancelling *in = (struct cancelling *)input;
	struct daemon *d = input->daemon;
	if (input->failed) {
		client_refuse(in->client, input->failed == -ENOENT ? EXIT_NO_SUCH : EXIT_STATE, "%s", input->err.text);
		client_unref(in->client);
		free(in->jobs);
		return;
	}
	struct pending *p = xcalloc(1, sizeof(*p));
	*p = (struct pending){.client = in->client, .jobs = in->jobs, .n = in->n, .next = d->pending};
	d->pending = p;
	ask_slots(d, in);
}

static const struct input_kind cancel_kind = {"cancel", apply_cancel, done_cancel};

static bool is_over(struct daemon *d, const struct pending *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->jobs[i].running && slot_of_job(d, p->jobs[i].id))
			return false;
	return true;
}

void cancel_check_pending(struct daemon *d)
{
	for (struct pending **at = &d->pending; *at;) {
		struct pending *p = *at;
		if (!is_over(d, p)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		answer(d, p);
	}
}

void cancel_drop_pending(struct daemon *d)
{
	while (d->pending) {
		struct pending *p = d->pending;
		d->pending = p->next;
		client_unref(p->client);
		free(p->jobs);
		free(p);
	}
}

static int read_jobs(struct cancelling *in, const json_t *list, struct err *err)
{
	size_t i;
	json_t *id;
	in->n = json_array_size(list);
	if (!in->n || in->n > MAX_JOBS)
		return err_set(err, -EINVAL, "cancel: expected \"sweep\" or 1 to %d \"jobs\"", MAX_JOBS);
	in->jobs = xcalloc(in->n, sizeof(*in->jobs));
	json_array_foreach(list, i, id) {
		if (!json_is_integer(id))
			return err_set(err, -EINVAL, "cancel: \"jobs\" holds whole numbers");
		in->jobs[i].id = json_integer_value(id);
	}
	return 0;
}

int cancel_request(struct client *client, const json_t *request, struct err *err)
{
	struct cancelling *in = input_new(client->daemon, &cancel_kind, sizeof(*in));
	in->uid = client->peer->uid;
	in->sweep = json_int_or(request, "sweep", 0);
	int r = in->sweep ? 0 : read_jobs(in, json_object_get(request, "jobs"), err);
	if (r < 0) {
		free(in->jobs);
		free(in);
		return r;
	}
	in->client = client_ref(client);
	turn_add(client->daemon->turn, &in->input);
	return 0;
}
