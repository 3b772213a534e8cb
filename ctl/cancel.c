/* sweepctl cancel: ends jobs for good.  The daemon answers when every outcome is stored. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/target.h"
#include "common/json.h"

struct cancel_input {
	struct words targets;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct cancel_input *input = state->input;

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

static const struct argp argp = {NULL, parse};

/* The longest the daemon may take: a running job is asked, then gets TERM, then KILL. */
#define CANCEL_MS 120000
#define TALK_MS   2000

/* Jobs to cancel.  A job named by number is always asked for, so that the daemon says why it cannot; of a sweep only
 * what is not over. */
static int collect(struct selection *sel, struct reader *r, const struct words *words, json_t *ids, struct err *err)
{
	for (size_t i = 0; i < words->n; i++) {
		size_t first = sel->n_jobs;
		int e = selection_add(sel, r, words->items[i], err);
		if (e < 0)
			return e;
		bool by_number = target_is_jobs(words->items[i]);
		for (size_t k = first; k < sel->n_jobs; k++)
			if (by_number || !job_is_final(sel->jobs[k].state))
				json_array_append_new(ids, json_integer(sel->jobs[k].id));
	}
	return 0;
}

/* Waits for the answer and says after two seconds why it takes so long. */
static int ask(struct ctl *ctl, json_t *ids, json_t **ret, struct err *err)
{
	autojson json_t *request = json_pack("{ss, sO}", "verb", "cancel", "jobs", ids);
	struct client c = {.fd = -1};
	int e = client_connect(&c, &ctl->paths, err);

	if (e < 0)
		return e;
	e = client_send(&c, request, err);
	if (e == 0)
		e = client_wait(&c, TALK_MS, ret, err);
	if (e == -ETIMEDOUT) {
		fputs("waiting: the worker was asked to stop; it is ended with TERM, then KILL, if it does not\n",
		      stderr);
		e = client_wait(&c, CANCEL_MS, ret, err);
	}
	client_close(&c);
	return e;
}

/* "jobs 7-8: cancelled (were queued)", one line for each former state. */
static void print_cancelled(const json_t *jobs)
{
	size_t n = json_array_size(jobs);
	autofree int64_t *ids = xcalloc(n + 1, sizeof(*ids));

	for (int state = 0; state < N_JOB_STATES; state++) {
		size_t i, count = 0;
		json_t *job;
		json_array_foreach(jobs, i, job) if (!json_object_get(job, "error") &&
						     str_eq(json_str_or(job, "was", ""), job_state_names[state]))
			ids[count++] = json_int_or(job, "job", 0);
		if (!count)
			continue;
		autofree char *names = format_jobs(ids, count);
		printf("%s: cancelled (%s %s)\n", names, count == 1 ? "was" : "were", job_state_names[state]);
	}
}

static int print_answer(const struct ctl *ctl, const json_t *answer)
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
	print_cancelled(jobs);
	fflush(stdout);
	json_array_foreach(jobs, i, job)
	{
		const char *error = json_str_or(job, "error", NULL);
		if (error)
			fprintf(stderr, "error: %s\n", error);
		code = error && !code ? EXIT_STATE : code;
	}
	return code;
}

static int run(struct ctl *ctl, void *data)
{
	struct cancel_input *input = data;
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
		e = collect(&sel, r, &input->targets, ids, &err);
	bool missing = sel.missing, named = sel.n_jobs > 0;
	selection_fini(&sel);
	reader_close(r);
	if (e == 0 && json_array_size(ids)) {
		e = ask(ctl, ids, &answer, &err);
		code = e < 0 ? EXIT_OK : print_answer(ctl, answer);
	} else if (e == 0 && named) {
		fputs("nothing to cancel: all of it is over already\n", stderr);
		code = EXIT_STATE;
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	return missing ? MAX(code, (int)EXIT_NO_SUCH) : code;
}

const struct verb verb_cancel = {
	.name = "cancel",
	.args = "TARGET...",
	.line = "end jobs for good",
	.group = "Control",
	.example = "sweepctl cancel 7-8",
	.input_size = sizeof(struct cancel_input),
	.argp = &argp,
	.run = run,
};
