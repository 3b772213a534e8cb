/* sweepctl wandb status: which server, whose key, who sends, and how far each sweep's runs are there. */
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/wandb.h"
#include "common/clock.h"
#include "common/json.h"

struct status {
	struct ctl *ctl;
	struct wandb_state wandb;
	json_t *key;    /* what `sweep-forward key` says; NULL: the service's, which only it can see */
	json_t *daemon; /* its status; NULL: it does not run */
};

static const char *server_of(const struct status *s)
{
	return json_str_or(s->key, "server", "$WANDB_BASE_URL of sweep-forward, else https://api.wandb.ai");
}

/* The newest sweep is what a person means by "my key": its .env, its server. */
static json_t *ask_key(struct ctl *ctl, const struct wandb_state *wandb)
{
	const struct wandb_progress *newest = wandb->n_sweeps ? &wandb->sweeps[wandb->n_sweeps - 1] : NULL;

	return wandb_key_ask(ctl, newest ? newest->base_url : NULL, newest ? newest->file_dir : NULL);
}

static json_t *sender_of(const struct status *s)
{
	return json_object_get(s->daemon, "forward");
}

/* A word or two for a sweep, and whether a person must do something. */
static const char *state_of(const struct status *s, const struct wandb_progress *p, enum tone *tone)
{
	bool offline = str_eq(p->mode, "offline");

	*tone = p->problem || p->refused ? TONE_BAD : TONE_PLAIN;
	if (p->problem)
		return "waits for you";
	if (p->refused)
		return "refused in part";
	if (p->done == p->runs) {
		*tone = TONE_GOOD;
		return offline ? "written" : "sent";
	}
	if (!p->begun)
		return "not begun";
	if (!json_is_object(sender_of(s)) && p->moving && !offline) {
		*tone = TONE_WARN;
		return "nobody sends";
	}
	if (offline)
		return "as runs end";
	if (!p->moving)
		return "sent so far";
	return p->rows_behind ? "being sent" : "in step";
}

static char *behind_text(const struct wandb_progress *p)
{
	char age[FORMAT_MAX];

	if (!p->rows_behind || str_eq(p->mode, "offline"))
		return xstrdup("");
	format_short((double)(wall_ms() - p->oldest_ms) / 1000, age);
	return xasprintf("%lld epoch%s, %s", (long long)p->rows_behind, p->rows_behind == 1 ? "" : "s", age);
}

static void print_sweeps(const struct status *s)
{
	struct table *t = table_new();
	enum tone tone;

	table_column(t, "SWEEP", false, 0);
	table_column(t, "NAME", false, 0);
	table_shrink(t, 8);
	table_column(t, "MODE", false, 1);
	table_column(t, "PROJECT", false, 0);
	table_shrink(t, 10);
	table_column(t, "RUNS", true, 0);
	table_column(t, "DONE", true, 0);
	table_column(t, "BEHIND", false, 2);
	table_column(t, "STATE", false, 0);
	for (size_t i = 0; i < s->wandb.n_sweeps; i++) {
		const struct wandb_progress *p = &s->wandb.sweeps[i];
		autofree char *id = xasprintf("s%lld", (long long)p->sweep),
			      *runs = xasprintf("%lld", (long long)p->runs);
		autofree char *done = xasprintf("%lld", (long long)p->done), *behind = behind_text(p);
		autofree char *project =
			xasprintf("%s%s%s", p->entity ? p->entity : "", p->entity ? "/" : "", p->project);
		table_cell(t, id);
		table_cell(t, p->name);
		table_cell(t, p->mode);
		table_cell(t, project);
		table_cell(t, runs);
		table_cell(t, done);
		table_cell(t, behind);
		const char *state = state_of(s, p, &tone);
		table_cell_tone(t, state, tone);
	}
	putchar('\n');
	table_print(t, &s->ctl->out, stdout);
	table_free(t);
}

/* A sentence of several lines behind its head, all of them indented but the first. */
static void print_trouble(const char *head, const char *text)
{
	printf("%s: ", head);
	for (const char *c = text; *c; c++) {
		putchar(*c);
		if (*c == '\n' && c[1] && c[1] != ' ')
			fputs("  ", stdout);
	}
	putchar('\n');
}

#define SHOWN_REFUSALS 10

static bool print_troubles(const struct status *s)
{
	bool any = false;

	for (size_t i = 0; i < s->wandb.n_sweeps; i++) {
		const struct wandb_progress *p = &s->wandb.sweeps[i];
		autofree char *head = xasprintf("s%lld", (long long)p->sweep);
		if (!p->problem)
			continue;
		if (!any)
			putchar('\n');
		print_trouble(head, p->problem);
		any = true;
	}
	for (size_t i = 0; i < s->wandb.n_refusals; i++) {
		const struct wandb_refusal *r = &s->wandb.refusals[i];
		autofree char *head = xasprintf("job %lld, refused", (long long)r->job);
		if (!any)
			putchar('\n');
		if (i < SHOWN_REFUSALS)
			print_trouble(head, r->problem ? r->problem : "");
		any = true;
	}
	if (s->wandb.n_refusals > SHOWN_REFUSALS)
		printf("... and %zu more jobs\n", s->wandb.n_refusals - SHOWN_REFUSALS);
	if (s->wandb.n_refusals)
		puts("  do this:  sweepctl wandb sync      (again, from the first row on)\n"
		     "       or:  sweepctl wandb export    (files, for wandb sync)");
	return any;
}

static void print_key(const struct status *s)
{
	const char *warning = json_str_or(s->key, "warning", NULL), *source = json_str_or(s->key, "source", NULL);
	const char *error = json_str_or(s->key, "error",
					s->ctl->paths.system ? "systemd's credential wandb_api_key"
							     : "not known: sweep-forward is not installed");
	autofree char *shown = source ? format_path(source) : text_clean_lines(error);

	if (source && str_eq(source, "WANDB_API_KEY"))
		printf("key     WANDB_API_KEY of this shell (a sweepd started elsewhere has its own)\n");
	else
		printf("key     %s\n", shown);
	if (warning)
		printf("        %s\n", warning);
}

static void print_sender(const struct status *s)
{
	const json_t *sender = sender_of(s);

	if (!s->daemon)
		puts("sender  none: no sweepd is running (sweepctl daemon start)");
	else if (!json_is_object(sender))
		puts("sender  none: no sweep-forward is connected to sweepd");
	else
		printf("sender  sweep-forward, pid %lld%s\n", (long long)json_int_or(sender, "pid", 0),
		       json_bool_or(sender, "connected", true) ? "" : ", starting");
}

static json_t *sweep_json(const struct status *s, const struct wandb_progress *p)
{
	enum tone tone;
	char oldest[FORMAT_MAX];

	return json_pack("{sI, ss, ss, ss?, ss, ss?, ss?, sI, sI, sI, sI, sI, ss?, ss, ss?}", "sweep",
			 (json_int_t)p->sweep, "name", p->name, "mode", p->mode, "entity", p->entity, "project",
			 p->project, "base_url", p->base_url, "url", p->url, "runs", (json_int_t)p->runs, "begun",
			 (json_int_t)p->begun, "done", (json_int_t)p->done, "refused", (json_int_t)p->refused,
			 "epochs_behind", (json_int_t)p->rows_behind, "oldest_behind",
			 p->oldest_ms ? format_rfc3339(p->oldest_ms, oldest) : NULL, "state", state_of(s, p, &tone),
			 "problem", p->problem);
}

static bool print_status_json(const struct status *s)
{
	json_t *sweeps = json_array(), *refused = json_array();
	bool trouble = s->wandb.n_refusals;

	for (size_t i = 0; i < s->wandb.n_sweeps; i++) {
		json_array_append_new(sweeps, sweep_json(s, &s->wandb.sweeps[i]));
		trouble = trouble || s->wandb.sweeps[i].problem;
	}
	for (size_t i = 0; i < s->wandb.n_refusals; i++) {
		const struct wandb_refusal *r = &s->wandb.refusals[i];
		json_array_append_new(refused, json_pack("{sI, sI, ss?}", "job", (json_int_t)r->job, "sweep",
							 (json_int_t)r->sweep, "problem", r->problem));
	}
	print_json(json_pack("{sO?, sO?, so, so}", "key", s->key, "sender", sender_of(s), "sweeps", sweeps, "refused",
			     refused));
	return trouble;
}

static bool print_status(const struct status *s)
{
	printf("server  %s\n", server_of(s));
	print_key(s);
	print_sender(s);
	if (!s->wandb.n_sweeps) {
		puts("\nno sweep has use_wandb: nothing is to be sent");
		return false;
	}
	print_sweeps(s);
	return print_troubles(s);
}

int wandb_status(struct ctl *ctl, const struct wandb_input *input)
{
	struct status s = {.ctl = ctl};
	struct reader *r = NULL;
	struct err err;
	int e = reader_open(&r, &ctl->paths, &err);

	e = e ? e : reader_wandb(r, 0, &s.wandb, &err);
	reader_close(r);
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &s.daemon, NULL);
	s.key = ask_key(ctl, &s.wandb);
	bool trouble = ctl->json ? print_status_json(&s) : print_status(&s);
	json_decref(s.key);
	json_decref(s.daemon);
	wandb_state_fini(&s.wandb);
	return trouble ? EXIT_BAD_OUTCOME : EXIT_OK;
}
