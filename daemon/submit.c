/* The verb submit.  The text is validated again here, in the thread pool, because a large grid takes seconds; its jobs
 * are inserted a few milliseconds a turn while the sweep is hidden (`expanding`), and the turn that shows it is the one
 * after which the answer goes out (invariant 2). */
#include "control.h"

#include "forward.h"
#include "slot.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"
#include "common/wandb.h"

/* Of a turn: so long others wait.  A device that is about to be idle waits less, a worker that waits already, least. */
#define TURN_S	      0.005
#define BUSY_TURN_S   0.0005
#define SHARED_TURN_S 0.00005
#define JOBS_AT_ONCE  10 /* between two looks at the clock */
#define MAX_OVERRIDES 200
#define MAX_NOTE      4096

struct submitting {
	struct client *client;
	uid_t owner;
	json_t *request;   /* owns the strings that are stored */
	json_t *overrides; /* of request, or an empty list */
	uv_work_t work;
	char *report; /* of what is wrong with the text */
	struct sweep *sweep;
	int64_t id; /* of the sweep, once its row is there */
	size_t inserted;
	bool found; /* the same sweep, or the same submission, was there */
	struct sweep_summary summary;
};

struct submit_step {
	struct input input;
	struct submitting *s;
	int64_t id; /* results of apply, moved to s after the commit */
	size_t n;
	bool found, last;
	bool wait; /* the same is being submitted at this moment: asked again when that is through */
	struct sweep_summary summary;
};

static void submitting_free(struct submitting *s)
{
	client_unref(s->client);
	json_decref(s->request);
	json_decref(s->overrides);
	sweep_free(s->sweep);
	free(s->report);
	free(s);
}

/* 1: that very submission, or the same configurations, are there (found) or on their way (wait). */
static int find_existing(struct submit_step *step, struct store *store, struct err *err)
{
	const struct submitting *s = step->s;
	const char *submission = json_str_or(s->request, "submission", NULL);
	const char *hash = json_bool_or(s->request, "again", false) ? NULL : s->sweep->hash;
	const char *data_dir = json_str_or(s->request, "data_dir", NULL);
	int r = submission ? store_find_submission(store, submission, &step->id, err) : 0;
	if (r == 0 && hash)
		r = store_find_same(store, hash, s->owner, data_dir, &step->id, err);
	step->found = step->last = r == 1;
	if (r == 1) {
		r = store_sweep(store, step->id, &step->summary, err);
		return r < 0 ? r : 1;
	}
	if (r == 0)
		r = store_find_expanding(store, submission, hash, s->owner, data_dir, &step->id, err);
	step->wait = r == 1;
	return r;
}

static int add_sweep(struct submit_step *step, struct store *store, struct err *err)
{
	const struct submitting *s = step->s;
	struct new_sweep n = {
		.name = s->sweep->name,
		.text = json_str_or(s->request, "text", ""),
		.note = json_str_or(s->request, "note", NULL),
		.data_dir = json_str_or(s->request, "data_dir", NULL),
		.file_dir = json_str_or(s->request, "file_dir", NULL),
		.submission = json_str_or(s->request, "submission", NULL),
		.overrides = s->overrides,
		.sweep = s->sweep,
		.owner = s->owner,
	};
	return store_add_sweep(store, &n, &step->id, err);
}

static double turn_s(const struct submit_step *step)
{
	const struct daemon *d = step->s->client->daemon;
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].attempt)
			return step->input.alone ? BUSY_TURN_S : SHARED_TURN_S;
	return TURN_S;
}

static int add_jobs(struct submit_step *step, struct store *store, struct err *err)
{
	const struct submitting *s = step->s;
	double end_s = monotonic_s() + turn_s(step);
	int r = 0;
	for (step->n = 0; r == 0 && s->inserted + step->n < s->sweep->n_jobs && (!step->n || monotonic_s() < end_s);) {
		size_t first = s->inserted + step->n, n = MIN(s->sweep->n_jobs - first, (size_t)JOBS_AT_ONCE);
		r = store_add_jobs(store, step->id, s->sweep, first, n, err);
		step->n += n;
	}
	step->last = s->inserted + step->n == s->sweep->n_jobs;
	if (r < 0 || !step->last)
		return r;
	r = store_activate_sweep(store, step->id, err);
	return r ? r : store_sweep(store, step->id, &step->summary, err);
}

static int apply_step(struct input *input, struct store *store, struct err *err)
{
	struct submit_step *step = (struct submit_step *)input;
	step->found = step->last = step->wait = false;
	step->id = step->s->id;
	int r = 0;
	if (!step->id) {
		r = find_existing(step, store, err);
		if (r)
			return r;
		r = add_sweep(step, store, err);
	}
	return r ? r : add_jobs(step, store, err);
}

static json_t *counts_json(const struct sweep_summary *summary)
{
	json_t *counts = json_object();
	for (int i = 0; i < N_JOB_STATES; i++)
		json_object_set_new(counts, job_state_names[i], json_integer(summary->counts[i]));
	return counts;
}

static void answer(const struct submitting *s, const struct submit_step *step)
{
	const struct sweep_summary *sum = &step->summary;
	client_answer(s->client,
		      json_pack("{s:I, s:s, s:I, s:I, s:I, s:b, s:o}", "sweep", (json_int_t)sum->id, "name", sum->name,
				"jobs", (json_int_t)sum->n_jobs, "first_job", (json_int_t)sum->first_job, "last_job",
				(json_int_t)sum->last_job, "existing", step->found, "states", counts_json(sum)));
	if (!step->found)
		log_info("sweep s%lld %s: %lld jobs queued", (long long)sum->id, sum->name, (long long)sum->n_jobs);
}

/* --- giving up: what is already inserted, and was never shown, goes again --- */

struct drop {
	struct input input;
	int64_t sweep;
};

static int apply_drop(struct input *input, struct store *store, struct err *err)
{
	return store_delete_sweep(store, ((struct drop *)input)->sweep, err);
}

static void done_drop(struct input *input)
{
	if (input->failed && input->failed != -ECANCELED) /* the next start drops it */
		log_error("half a submit stays hidden: %s", input->why);
}

static const struct input_kind drop_kind = {"drop half a submit", apply_drop, done_drop};

static void give_up(struct submitting *s, int code, const char *why)
{
	struct daemon *d = s->client->daemon;
	client_refuse(s->client, code == -EBUSY ? EXIT_STATE : EXIT_REFUSED, "%s", why);
	if (s->id) {
		struct drop *in = input_new(d, &drop_kind, sizeof(*in));
		in->sweep = s->id;
		turn_add(d->turn, &in->input);
	}
	submitting_free(s);
}

/* --- step by step --- */

static void add_step(struct submitting *s);

static void done_step(struct input *input)
{
	struct submit_step *step = (struct submit_step *)input;
	struct submitting *s = step->s;
	if (input->failed) {
		give_up(s, input->failed, input->why);
		return;
	}
	if (!step->wait) {
		s->id = step->id;
		s->inserted += step->n;
	}
	if (!step->last) {
		add_step(s);
		return;
	}
	answer(s, step);
	if (s->sweep && sweep_wandb_jobs(s->sweep) && !str_eq(json_str_or(s->sweep->wandb, "mode", ""), "disabled"))
		forward_want(s->client->daemon);
	daemon_poke(s->client->daemon);
	submitting_free(s);
}

static const struct input_kind step_kind = {"submit", apply_step, done_step};

static void add_step(struct submitting *s)
{
	struct submit_step *step = input_new(s->client->daemon, &step_kind, sizeof(*step));
	step->s = s;
	step->input.refuse_at_s = daemon_refuse_at_s(s->client->daemon);
	turn_add(s->client->daemon->turn, &step->input);
}

/* --- the request --- */

/* [["lr", "0.1"], ...] */
static int read_overrides(const json_t *list, struct sweep_override *out, size_t *ret_n, struct err *err)
{
	size_t i, n = json_array_size(list);
	json_t *pair;
	if (list && !json_is_null(list) && !json_is_array(list))
		return err_set(err, -EINVAL, "submit: \"overrides\" is a list");
	if (n > MAX_OVERRIDES)
		return err_set(err, -EINVAL, "submit: more than %d overrides", MAX_OVERRIDES);
	json_array_foreach(list, i, pair) {
		out[i].key = json_string_value(json_array_get(pair, 0));
		out[i].value = json_string_value(json_array_get(pair, 1));
		if (!out[i].key || !out[i].value)
			return err_set(err, -EINVAL, "submit: \"overrides\" holds [key, value] pairs of strings");
	}
	*ret_n = n;
	return 0;
}

static char *base_name(const char *file_name)
{
	const char *slash = strrchr(file_name, '/');
	char *name = xstrdup(slash ? slash + 1 : file_name);
	char *dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = '\0';
	return name;
}

static int check_directory(const json_t *request, const char *key, struct err *err)
{
	const char *dir = json_str_or(request, key, NULL);
	if (dir && (*dir != '/' || strlen(dir) > 4000))
		return err_set(err, -EINVAL, "\"%s\": expected an absolute path", key);
	return 0;
}

/* What the request says beside the file. */
static int check_extras(const json_t *request, struct err *err)
{
	json_t *priority = json_object_get(request, "priority");
	const char *name = json_str_or(request, "name", NULL);
	const json_t *wandb = json_object_get(request, "wandb");
	int64_t p = json_int_or(request, "priority", 0);
	if (name && !sweep_name_is_good(name))
		return err_set(err, -EINVAL,
			       "\"%.80s\" cannot be the name of a sweep\n  expected: " SWEEP_NAME_RULE, name);
	if (wandb && !json_is_object(wandb) && !json_is_null(wandb))
		return err_set(err, -EINVAL, "\"wandb\": expected an object");
	if (strlen(json_str_or(request, "note", "")) > MAX_NOTE)
		return err_set(err, -EINVAL, "the note is longer than %d bytes", MAX_NOTE);
	if (strlen(json_str_or(request, "submission", "")) > 64)
		return err_set(err, -EINVAL, "\"submission\": expected at most 64 bytes");
	if (priority && !json_is_null(priority) && (!json_is_integer(priority) || p < -1000 || p > 1000))
		return err_set(err, -EINVAL, "\"priority\": expected a whole number from -1000 to 1000");
	int r = check_directory(request, "data_dir", err);
	return r ? r : check_directory(request, "file_dir", err);
}

static void take_extras(struct sweep *sweep, const json_t *request)
{
	const char *name = json_str_or(request, "name", NULL);
	sweep->priority = (int)json_int_or(request, "priority", sweep->priority);
	if (!name)
		return;
	free(sweep->name);
	sweep->name = xstrdup(name);
}

/* What the submitter's environment says of W&B, then the defaults. */
static void complete_wandb(struct submitting *s)
{
	struct err err;
	const json_t *environment = json_object_get(s->request, "wandb");
	if (wandb_settings_complete(s->sweep->wandb, environment, s->sweep->project, &err) == 0)
		return;
	s->report = xstrdup(err.text);
	sweep_free(steal_ptr(s->sweep));
}

/* In the thread pool; s is nobody else's meanwhile. */
static void parse(uv_work_t *work)
{
	struct submitting *s = work->data;
	size_t n = 0;
	struct sweep_override overrides[MAX_OVERRIDES];
	struct findings findings = {0};
	const char *text = json_str_or(s->request, "text", "");
	const char *file_name = json_str_or(s->request, "file_name", "sweep");
	autofree char *default_name = base_name(file_name);
	read_overrides(s->overrides, overrides, &n, NULL);
	if (sweep_parse(&s->sweep, text, strlen(text), overrides, n, default_name, &findings) < 0)
		s->report = findings_print(&findings, file_name, text);
	findings_fini(&findings);
	if (s->sweep)
		complete_wandb(s);
}

static void parsed(uv_work_t *work, int status)
{
	struct submitting *s = work->data;
	if (s->sweep) {
		take_extras(s->sweep, s->request);
		add_step(s);
		return;
	}
	client_refuse(s->client, EXIT_REFUSED, "%s", s->report ? s->report : "sweepd is stopping; nothing was stored");
	submitting_free(s);
}

int submit_request(struct client *client, const json_t *request, struct err *err)
{
	size_t n = 0;
	const char *text;
	struct sweep_override overrides[MAX_OVERRIDES];
	json_t *list = json_object_get(request, "overrides");
	int r = json_get_str(request, "text", &text, err);
	r = r ? r : read_overrides(list, overrides, &n, err);
	if (r < 0)
		return r;
	if (check_extras(request, err) < 0) {
		client_refuse(client, EXIT_REFUSED, "%s", err->text);
		return 0;
	}
	if (client->daemon->stopping) {
		client_refuse(client, EXIT_STATE, "this sweepd is stopping; nothing was stored");
		return 0;
	}
	struct submitting *s = xcalloc(1, sizeof(*s));
	s->client = client_ref(client);
	s->owner = client->peer->uid;
	s->request = json_incref((json_t *)request);
	s->overrides = n ? json_incref(list) : json_array();
	s->work.data = s;
	uv_queue_work(&client->daemon->loop, &s->work, parse, parsed);
	return 0;
}
