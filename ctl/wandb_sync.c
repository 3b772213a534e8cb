/* sweepctl wandb sync: what was refused, or left in offline sweeps that are named, is sent again; then it waits until
 * W&B has acknowledged everything that is there.  Leaving stops nothing: sweep-forward goes on. */
#include "ctl/format.h"
#include "ctl/target.h"
#include "ctl/wandb.h"
#include "common/clock.h"
#include "common/json.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#define LOOK_S   0.5
#define TALK_S   10.0 /* between two lines without a terminal */
#define PERSON_S 40.0 /* so long a sweep may wait for a key that was just stored */
#define ASK_MS   60000

struct sync {
	struct ctl *ctl;
	struct reader *reader;
	json_t *sweeps; /* ids, as keys of an object: those that are waited for */
	json_t *jobs;   /* whose runs are sent again */
	double begun_s, talked_s;
};

struct left {
	int64_t runs, rows, refused, going;   /* going: what runs, and has nothing to send at the moment */
	const struct wandb_progress *waiting; /* a sweep that waits for a person, or NULL */
};

static bool is_named(const struct sync *s, int64_t sweep)
{
	char key[24];

	snprintf(key, sizeof(key), "%lld", (long long)sweep);
	return json_object_get(s->sweeps, key);
}

static void name_sweep(struct sync *s, int64_t sweep)
{
	char key[24];

	snprintf(key, sizeof(key), "%lld", (long long)sweep);
	json_object_set_new(s->sweeps, key, json_true());
}

static const struct wandb_progress *progress_of(const struct wandb_state *state, int64_t sweep)
{
	for (size_t i = 0; i < state->n_sweeps; i++)
		if (state->sweeps[i].sweep == sweep)
			return &state->sweeps[i];
	return NULL;
}

static bool is_unsent(const struct wandb_state *state, int64_t job)
{
	for (size_t i = 0; i < state->n_unsent; i++)
		if (state->unsent[i] == job)
			return true;
	return false;
}

/* The jobs that have something to send: of every sweep that is online, or of the targets. */
static int collect(struct sync *s, const struct words *targets, struct err *err)
{
	struct selection sel = {0};
	struct wandb_state state = {0};
	int e = selection_init(&sel, s->reader, err);

	e = e ? e : reader_wandb(s->reader, 0, &state, err);
	for (size_t i = 0; e == 0 && !targets->n && i < state.n_sweeps; i++) {
		autofree char *id = xasprintf("s%lld", (long long)state.sweeps[i].sweep);
		if (str_eq(state.sweeps[i].mode, "online"))
			e = selection_add(&sel, s->reader, id, err);
	}
	if (e == 0 && targets->n)
		e = selection_add_all(&sel, s->reader, targets->items, targets->n, false, err);
	for (size_t i = 0; e == 0 && i < sel.n_jobs; i++) {
		const struct job_row *job = &sel.jobs[i];
		if (!progress_of(&state, job->sweep) || !json_is_true(json_object_get(job->config, "use_wandb")))
			continue;
		name_sweep(s, job->sweep);
		if (is_unsent(&state, job->id))
			json_array_append_new(s->jobs, json_integer(job->id));
	}
	bool missing = sel.missing;
	selection_fini(&sel);
	wandb_state_fini(&state);
	return e < 0 ? e : missing;
}

static int ask_daemon(const struct sync *s)
{
	struct err err;
	autojson json_t *answer = NULL;
	int e = client_ask(&s->ctl->paths, json_pack("{ss, sO}", "verb", "sync", "jobs", s->jobs), ASK_MS, &answer,
			   &err);

	if (e < 0)
		return ctl_fail(s->ctl, e, &err);
	return json_bool_or(answer, "ok", false) ? EXIT_OK : ctl_refused(answer);
}

static void measure(const struct sync *s, const struct wandb_state *state, struct left *ret)
{
	*ret = (struct left){0};
	for (size_t i = 0; i < state->n_sweeps; i++) {
		const struct wandb_progress *p = &state->sweeps[i];
		if (!is_named(s, p->sweep))
			continue;
		ret->runs += p->moving - p->in_step;
		ret->going += p->in_step;
		ret->rows += p->rows_behind;
		ret->refused += p->refused;
		if (p->problem && !ret->waiting)
			ret->waiting = p;
	}
}

static void talk(struct sync *s, const struct left *left, bool last)
{
	double now_s = monotonic_s();
	bool terminal = isatty(STDERR_FILENO);

	if (s->ctl->json || (!terminal && (last || now_s - s->talked_s < TALK_S)))
		return;
	s->talked_s = now_s;
	if (last)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "%s%lld run%s, %lld epoch%s to be acknowledged%s", terminal ? "\r" : "",
			(long long)left->runs, left->runs == 1 ? "" : "s", (long long)left->rows,
			left->rows == 1 ? "" : "s", terminal ? "\033[K" : "\n");
}

static int say_end(struct sync *s, const struct left *left, int code)
{
	if (s->ctl->json) {
		print_json(json_pack("{sI, sI, sI, ss?}", "runs_left", (json_int_t)left->runs, "epochs_left",
				     (json_int_t)left->rows, "refused", (json_int_t)left->refused, "problem",
				     left->waiting ? left->waiting->problem : NULL));
		return code;
	}
	if (left->waiting)
		fprintf(stderr, "error: s%lld waits: %s\n       or:  sweepctl wandb export s%lld    (files, for wandb sync)\n",
			(long long)left->waiting->sweep, left->waiting->problem, (long long)left->waiting->sweep);
	else if (code == EXIT_TIMEOUT)
		fprintf(stderr, "%lld run%s and %lld epoch%s are still to be sent; sweep-forward goes on\n",
			(long long)left->runs, left->runs == 1 ? "" : "s", (long long)left->rows,
			left->rows == 1 ? "" : "s");
	else if (left->refused)
		fprintf(stderr, "error: %lld run%s refused; sweepctl wandb status says why\n", (long long)left->refused,
			left->refused == 1 ? " was" : "s were");
	else if (left->going)
		printf("W&B has everything so far; %lld run%s on\n", (long long)left->going,
		       left->going == 1 ? " goes" : "s go");
	else
		puts("W&B has everything");
	return code;
}

static int say_nothing(const struct sync *s)
{
	if (s->ctl->json)
		print_json(json_pack("{si, si, si, sn}", "runs_left", 0, "epochs_left", 0, "refused", 0, "problem"));
	else
		puts(json_object_size(s->sweeps) ? "W&B has everything"
						 : "nothing is to be sent: no such sweep has use_wandb");
	return EXIT_OK;
}

/* 0 and the exit code in *ret: it is over. */
static int look(struct sync *s, double timeout_s, bool *over, int *ret, struct err *err)
{
	struct wandb_state state;
	struct left left;
	int e = reader_wandb(s->reader, 0, &state, err);

	if (e < 0)
		return e;
	double spent_s = monotonic_s() - s->begun_s;
	measure(s, &state, &left);
	bool through = !left.runs && !left.waiting, stuck = left.waiting && spent_s > PERSON_S;
	bool late = timeout_s > 0 && spent_s > timeout_s;
	*over = through || stuck || late;
	talk(s, &left, *over);
	if (*over)
		*ret = say_end(s, &left,
			       through && !left.refused     ? EXIT_OK
			       : late && !through && !stuck ? EXIT_TIMEOUT
							    : EXIT_BAD_OUTCOME);
	wandb_state_fini(&state);
	return 0;
}

static int wait_for_all(struct sync *s, double timeout_s)
{
	struct err err;
	bool over = false;
	int code = EXIT_OK;

	s->begun_s = monotonic_s();
	for (;;) {
		int e = look(s, timeout_s, &over, &code, &err);
		if (e < 0)
			return ctl_fail(s->ctl, e, &err);
		if (over)
			return code;
		nanosleep(&(struct timespec){0, (long)(LOOK_S * 1e9)}, NULL);
	}
}

int wandb_sync(struct ctl *ctl, const struct wandb_input *input)
{
	struct err err;
	autojson json_t *sweeps = json_object(), *jobs = json_array();
	struct sync s = {.ctl = ctl, .sweeps = sweeps, .jobs = jobs};
	int code = EXIT_OK;
	int e = reader_open(&s.reader, &ctl->paths, &err);

	e = e ? e : collect(&s, &input->targets, &err);
	if (e != 0)
		code = e < 0 ? ctl_fail(ctl, e, &err) : EXIT_NO_SUCH;
	else if (!json_array_size(jobs))
		code = say_nothing(&s);
	else
		code = ask_daemon(&s);
	if (e == 0 && !code && json_array_size(jobs))
		code = wait_for_all(&s, input->timeout_s);
	reader_close(s.reader);
	return code;
}
