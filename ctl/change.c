/* sweepctl cancel, pause, resume, retry, priority: change jobs.  The daemon answers when every outcome is stored, and the
 * answer names the command that undoes it.  To add one: a row of changes[] and its `const struct verb`. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/target.h"
#include "common/json.h"

struct change_input {
	struct words targets;
	bool now;	 /* pause: running jobs too */
	bool only_failed; /* retry */
	int priority;
};

/* Jobs of a sweep that the verb is about; a job named by number is always asked for, so that the daemon says why it
 * cannot. */
static bool wants_unfinished(const struct change_input *input, enum job_state state)
{
	return !job_is_final(state);
}

static bool wants_waiting(const struct change_input *input, enum job_state state)
{
	return state == JOB_QUEUED || (input->now && state == JOB_RUNNING);
}

static bool wants_paused(const struct change_input *input, enum job_state state)
{
	return state == JOB_PAUSED;
}

static bool wants_ended_badly(const struct change_input *input, enum job_state state)
{
	return state == JOB_FAILED || (!input->only_failed && state == JOB_CANCELLED);
}

struct change {
	const char *name;
	const char *undo; /* verb that takes it back */
	const char *none; /* nothing of the sweep is in a state for it */
	bool (*wants)(const struct change_input *input, enum job_state state);
};

enum { CANCEL, PAUSE, RESUME, RETRY, PRIORITY };

static const struct change changes[] = {
	[CANCEL] = {"cancel", "retry", "nothing to cancel: all of it is over already", wants_unfinished},
	[PAUSE] = {"pause", "resume", "nothing to pause: no job waits (--now: running ones too)", wants_waiting},
	[RESUME] = {"resume", "pause", "nothing to resume: no job is paused", wants_paused},
	[RETRY] = {"retry", "cancel", "nothing to retry: no job failed or was cancelled", wants_ended_badly},
	[PRIORITY] = {"priority", NULL, "nothing to put first: all of it is over already", wants_unfinished},
};

/* The longest the daemon may take: a running job is asked, then gets TERM, then KILL. */
#define CHANGE_MS 400000
#define TALK_MS	  2000

struct collecting {
	const struct change *change;
	const struct change_input *input;
	bool all; /* the word names jobs: what cannot be is for the daemon to say */
	int64_t *ids;
	size_t n;
};

static int collect_job(void *data, const struct job_row *job, struct err *err)
{
	struct collecting *c = data;

	(void)err;
	if ((c->n & (c->n - 1)) == 0)
		c->ids = xrealloc_array(c->ids, MAX(2 * c->n, (size_t)1), sizeof(c->ids[0]));
	c->ids[c->n++] = job->id;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* One word's jobs, those of a sweep by state. */
static int collect_word(struct collecting *c, const struct selection *sel, struct reader *r, struct err *err)
{
	int e = 0;

	if (c->all)
		return selection_each(sel, r, &(struct job_listing){.state = JOB_ANY}, collect_job, c, err);
	for (int state = 0; e >= 0 && state < N_JOB_STATES; state++)
		if (c->change->wants(c->input, (enum job_state)state))
			e = selection_each(sel, r, &(struct job_listing){.state = state}, collect_job, c, err);
	if (c->n)
		qsort(c->ids, c->n, sizeof(c->ids[0]), by_id);
	return e;
}

/* Of each word's jobs those that the change is for; of a sweep only those states are read: in one transaction, or a job that
 * moves meanwhile would be in none of them. */
static int collect_all(const struct change *change, const struct change_input *input, struct selection *sel, struct reader *r,
		   json_t *ids, struct err *err)
{
	for (size_t i = 0; i < input->targets.n; i++) {
		const char *word = input->targets.items[i];
		struct collecting c = {change, input, target_is_jobs(word), NULL, 0};
		struct selection one = *sel;
		size_t first = sel->n_parts;
		int e = selection_name(sel, r, word, err);
		one.parts = sel->parts + first;
		one.n_parts = sel->n_parts - first;
		if (e >= 0)
			e = collect_word(&c, &one, r, err);
		for (size_t k = 0; k < c.n; k++)
			json_array_append_new(ids, json_integer(c.ids[k]));
		free(c.ids);
		if (e < 0)
			return e;
	}
	return 0;
}

static int collect(const struct change *change, const struct change_input *input, struct selection *sel, struct reader *r,
		   json_t *ids, struct err *err)
{
	int e = reader_begin(r, err);

	if (e < 0)
		return e;
	e = collect_all(change, input, sel, r, ids, err);
	reader_end(r);
	return e;
}

/* Waits for the answer and says after two seconds why it takes so long. */
static int ask(struct ctl *ctl, const struct change *change, const struct change_input *input, json_t *ids, json_t **ret,
	       struct err *err)
{
	autojson json_t *request = json_pack("{ss, sO}", "verb", change->name, "jobs", ids);
	struct client c = {.fd = -1};
	int e = client_connect(&c, &ctl->paths, err);

	if (e < 0)
		return e;
	if (change == &changes[PRIORITY])
		json_object_set_new(request, "priority", json_integer(input->priority));
	e = client_send(&c, request, err);
	if (e == 0)
		e = client_wait(&c, TALK_MS, ret, err);
	if (e == -ETIMEDOUT) {
		fputs("waiting: the worker was asked to stop; it is ended with TERM, then KILL, if it does not\n",
		      stderr);
		e = client_wait(&c, CHANGE_MS, ret, err);
	}
	client_close(&c);
	return e;
}

/* "jobs 7-8: cancelled (were queued)   undo: sweepctl retry 7-8", one line for each former state. */
static void print_changed(const struct change *change, const struct change_input *input, const json_t *jobs)
{
	size_t n = json_array_size(jobs);
	autofree int64_t *ids = xcalloc(n + 1, sizeof(*ids));

	for (int was = 0; was < N_JOB_STATES; was++) {
		const char *state = "";
		size_t i, count = 0;
		json_t *job;
		json_array_foreach(jobs, i, job)
		{
			if (json_object_get(job, "error") || !str_eq(json_str_or(job, "was", ""), job_state_names[was]))
				continue;
			ids[count++] = json_int_or(job, "job", 0);
			state = json_str_or(job, "state", "");
		}
		if (!count)
			continue;
		autofree char *names = format_jobs(ids, count);
		autofree char *what = change == &changes[PRIORITY]
					      ? xasprintf("%s: priority %d", names, input->priority)
					      : xasprintf("%s: %s (%s %s)", names, state, count == 1 ? "was" : "were",
							  job_state_names[was]);
		if (change->undo)
			printf("%-54s  undo: sweepctl %s %s\n", what, change->undo, strchr(names, ' ') + 1);
		else
			printf("%s\n", what);
	}
}

static int print_answer(const struct ctl *ctl, const struct change *change, const struct change_input *input,
			const json_t *answer)
{
	const json_t *jobs = json_object_get(answer, "jobs");
	int code = (int)json_int_or(answer, "code", EXIT_OK);
	size_t i;
	json_t *job;

	if (!json_is_array(jobs))
		return json_bool_or(answer, "ok", false) ? EXIT_OK : ctl_refused(answer);
	if (ctl->json) {
		print_json(json_deep_copy(jobs));
		return code;
	}
	print_changed(change, input, jobs);
	fflush(stdout);
	json_array_foreach(jobs, i, job)
	{
		const char *error = json_str_or(job, "error", NULL);
		if (error)
			say_error(error);
		code = error && !code ? EXIT_STATE : code;
	}
	return code;
}

static int change_jobs(struct ctl *ctl, const struct change *change, const struct change_input *input)
{
	struct selection sel = {0};
	autojson json_t *ids = json_array();
	autojson json_t *answer = NULL;
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = collect(change, input, &sel, r, ids, &err);
	bool missing = sel.missing, named = sel.n_parts > 0;
	selection_fini(&sel);
	reader_close(r);
	if (e == 0 && json_array_size(ids)) {
		e = ask(ctl, change, input, ids, &answer, &err);
		code = e < 0 ? EXIT_OK : print_answer(ctl, change, input, answer);
	} else if (e == 0 && named) {
		fprintf(stderr, "%s\n", change->none);
		code = EXIT_STATE;
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	return missing ? MAX(code, (int)EXIT_NO_SUCH) : code;
}

/* --- options and verbs --- */

static error_t parse_targets(int key, char *arg, struct argp_state *state)
{
	struct change_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which job or sweep? (sweepctl list)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse_pause(int key, char *arg, struct argp_state *state)
{
	struct change_input *input = state->input;

	if (key != 'n')
		return parse_targets(key, arg, state);
	input->now = true;
	return 0;
}

static error_t parse_retry(int key, char *arg, struct argp_state *state)
{
	struct change_input *input = state->input;

	if (key != 'f')
		return parse_targets(key, arg, state);
	input->only_failed = true;
	return 0;
}

/* The first word is the number; what looks like an option may be a negative one, hence -5 as an argument after --. */
static error_t parse_priority(int key, char *arg, struct argp_state *state)
{
	struct change_input *input = state->input;
	char *end;

	if (key != ARGP_KEY_ARGS)
		return parse_targets(key, arg, state);
	words_take(&input->targets, state);
	long n = strtol(input->targets.items[0], &end, 10);
	if (*end || n < -1000 || n > 1000)
		argp_error(state, "first a number from -1000 to 1000, not \"%s\"", input->targets.items[0]);
	input->priority = (int)n;
	input->targets.items++;
	if (--input->targets.n == 0)
		argp_error(state, "which job or sweep? (sweepctl list)");
	return 0;
}

static const struct argp_option pause_options[] = {
	{"now", 'n', NULL, 0, "of a sweep, running jobs too: they write a checkpoint and leave their device"},
	{0},
};
static const struct argp_option retry_options[] = {
	{"failed", 'f', NULL, 0, "of a sweep only those that failed, not the cancelled ones"},
	{0},
};
static const struct argp cancel_argp = {NULL, parse_targets}, resume_argp = {NULL, parse_targets},
			 pause_argp = {pause_options, parse_pause}, retry_argp = {retry_options, parse_retry},
			 priority_argp = {NULL, parse_priority};

#define UNFINISHED (1u << JOB_QUEUED | 1u << JOB_RUNNING | 1u << JOB_PAUSED)
#define CHANGE_VERB(id, row, states, words, what, how)              \
	static int run_##id(struct ctl *ctl, void *input)           \
	{                                                           \
		return change_jobs(ctl, &changes[row], input);      \
	}                                                           \
	const struct verb verb_##id = {                             \
		.name = #id,                                        \
		.args = words,                                      \
		.line = what,                                       \
		.group = "Control",                                 \
		.example = "sweepctl " #id " " how,                 \
		.input_size = sizeof(struct change_input),          \
		.argp = &id##_argp,                                 \
		.target_states = states,                            \
		.exits = exits_of_changing,                         \
		.run = run_##id,                                    \
	};

CHANGE_VERB(cancel, CANCEL, UNFINISHED, "TARGET...", "end jobs for good", "7-8")
CHANGE_VERB(pause, PAUSE, 1u << JOB_QUEUED | 1u << JOB_RUNNING, "TARGET...",
	    "hold jobs back; running ones checkpoint", "s1 --now")
CHANGE_VERB(resume, RESUME, 1u << JOB_PAUSED, "TARGET...", "let paused jobs go on", "s1")
CHANGE_VERB(retry, RETRY, 1u << JOB_FAILED | 1u << JOB_CANCELLED, "TARGET...",
	    "failed or cancelled jobs once more", "--failed s1")
CHANGE_VERB(priority, PRIORITY, UNFINISHED, "N TARGET...", "higher starts first (0)", "10 s2")
