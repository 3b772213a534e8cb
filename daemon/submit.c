/* The verb submit.  The text is validated again here; its jobs are inserted about a thousand a turn while the sweep is
 * hidden (`expanding`), and the turn that shows it is the one after which the answer goes out (invariant 2). */
#include "control.h"

#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"

#define JOBS_PER_TURN 1000
#define MAX_OVERRIDES 200

struct submitting {
	struct client *client;
	json_t *request; /* owns every string below */
	struct sweep *sweep;
	int64_t id;	    /* of the sweep, once its row is there */
	size_t inserted;
	bool found;	    /* the same sweep, or the same submission, was there */
	struct sweep_summary summary;
};

struct submit_step {
	struct input input;
	struct submitting *s;
	int64_t id; /* results of apply, moved to s after the commit */
	size_t n;
	bool found, last;
	struct sweep_summary summary;
};

static void submitting_free(struct submitting *s)
{
	client_unref(s->client);
	json_decref(s->request);
	sweep_free(s->sweep);
	free(s);
}

/* 1: that very submission, or the same configurations, are there. */
static int find_existing(struct submit_step *step, struct store *store, struct err *err)
{
	const struct submitting *s = step->s;
	const char *submission = json_str_or(s->request, "submission", NULL);
	int r = submission ? store_find_submission(store, submission, &step->id, err) : 0;
	if (r == 0 && !json_bool_or(s->request, "again", false))
		r = store_find_same(store, s->sweep->hash, s->client->peer ? s->client->peer->uid : 0, &step->id, err);
	return r;
}

static int add_sweep(struct submit_step *step, struct store *store, struct err *err)
{
	const struct submitting *s = step->s;
	json_t *overrides = json_object_get(s->request, "overrides");
	struct new_sweep n = {
		.name = s->sweep->name,
		.text = json_str_or(s->request, "text", ""),
		.note = json_str_or(s->request, "note", NULL),
		.data_dir = json_str_or(s->request, "data_dir", NULL),
		.submission = json_str_or(s->request, "submission", NULL),
		.overrides = overrides,
		.sweep = s->sweep,
		.owner = s->client->peer ? s->client->peer->uid : 0,
	};
	return store_add_sweep(store, &n, &step->id, err);
}

static int apply_step(struct input *input, struct store *store, struct err *err)
{
	struct submit_step *step = (struct submit_step *)input;
	const struct submitting *s = step->s;
	int r = 0;
	step->id = s->id;
	step->found = false;
	if (!s->id) {
		r = find_existing(step, store, err);
		if (r == 1) {
			step->found = step->last = true;
			return store_sweep(store, step->id, &step->summary, err);
		}
		r = r ? r : add_sweep(step, store, err);
	}
	step->n = MIN(s->sweep->n_jobs - s->inserted, (size_t)JOBS_PER_TURN);
	step->last = s->inserted + step->n == s->sweep->n_jobs;
	r = r ? r : store_add_jobs(store, step->id, s->sweep, s->inserted, step->n, err);
	if (r < 0 || !step->last)
		return r;
	r = store_activate_sweep(store, step->id, err);
	return r ? r : store_sweep(store, step->id, &step->summary, err);
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

static void add_step(struct submitting *s);

static void done_step(struct input *input)
{
	struct submit_step *step = (struct submit_step *)input;
	struct submitting *s = step->s;
	if (input->failed) {
		client_refuse(s->client, EXIT_REFUSED, "%s", input->err.text);
		submitting_free(s);
		return;
	}
	s->id = step->id;
	s->inserted += step->n;
	if (!step->last) {
		add_step(s);
		return;
	}
	answer(s, step);
	daemon_poke(s->client->daemon);
	submitting_free(s);
}

static const struct input_kind step_kind = {"submit", apply_step, done_step};

static void add_step(struct submitting *s)
{
	struct submit_step *step = input_new(s->client->daemon, &step_kind, sizeof(*step));
	step->s = s;
	turn_add(s->client->daemon->turn, &step->input);
}

/* [["lr", "0.1"], ...] */
static int read_overrides(const json_t *list, struct sweep_override *out, size_t *ret_n, struct err *err)
{
	size_t i, n = json_array_size(list);
	json_t *pair;
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

static struct sweep *parse(struct client *client, const json_t *request, const char *text,
			   const struct sweep_override *overrides, size_t n)
{
	struct sweep *sweep = NULL;
	struct findings findings = {0};
	const char *file_name = json_str_or(request, "file_name", "sweep");
	const char *name = json_str_or(request, "name", NULL);
	autofree char *default_name = base_name(file_name);
	int r = sweep_parse(&sweep, text, strlen(text), overrides, n, default_name, &findings);
	if (r < 0) {
		autofree char *report = findings_print(&findings, file_name, text);
		client_refuse(client, EXIT_REFUSED, "%s", report);
	} else if (name) {
		free(sweep->name);
		sweep->name = xstrdup(name);
	}
	if (sweep && json_is_integer(json_object_get(request, "priority")))
		sweep->priority = (int)json_int_or(request, "priority", 0);
	findings_fini(&findings);
	return sweep;
}

int submit_request(struct client *client, const json_t *request, struct err *err)
{
	size_t n = 0;
	const char *text;
	struct sweep_override overrides[MAX_OVERRIDES];
	int r = json_get_str(request, "text", &text, err);
	r = r ? r : read_overrides(json_object_get(request, "overrides"), overrides, &n, err);
	if (r < 0)
		return r;
	if (client->daemon->stopping) {
		client_refuse(client, EXIT_STATE, "this sweepd is stopping; nothing was stored");
		return 0;
	}
	struct sweep *sweep = parse(client, request, text, overrides, n);
	if (!sweep)
		return 0;
	struct submitting *s = xcalloc(1, sizeof(*s));
	*s = (struct submitting){.client = client_ref(client), .request = json_incref((json_t *)request), .sweep = sweep};
	add_step(s);
	return 0;
}
