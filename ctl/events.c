/* sweepctl events: the store's log: every state, epoch, checkpoint and request, in the order of the commits. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/target.h"
#include "common/json.h"

struct events_input {
	struct words targets;
	int64_t after, limit;
	bool newest, all;
	const char *kinds;
};

static const char *const kinds[] = {"state",	 "started",   "epoch",  "metric",   "telemetry", "steps", "checkpoint",
				    "done",	 "failed",    "cancelled", "released", "submitted", "priority", "device",
				    "breaker", "wandb"};
/* So many that a person sees nothing else. */
static const char *const masses[] = {"metric", "telemetry", "steps"};

static const struct argp_option options[] = {
	{"after", 'a', "ID", 0, "those after event ID; a script remembers the last one it saw"},
	{"lines", 'n', "N", 0, "at most N (20; with --after 1000)"},
	{"kind", 'k', "LIST", 0, "only these: state,epoch,..."},
	{"all", 'A', NULL, 0, "metric, telemetry and steps too, which a terminal does not show"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct events_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->newest = true;
		return 0;
	case 'a':
		input->after = number_take(arg, state, "--after", "the number of an event", 0);
		input->newest = false;
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "-n", "a number of lines", 1);
		return 0;
	case 'k':
		input->kinds = arg;
		return 0;
	case 'A':
		input->all = true;
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

static json_t *event_json(const struct log_row *row)
{
	char at[FORMAT_MAX];

	return json_pack("{sI, ss, so, so, so, ss, sO?}", "id", (json_int_t)row->id, "at",
			 format_rfc3339(row->at_ms, at), "sweep", row->sweep ? json_integer(row->sweep) : json_null(),
			 "job", row->job ? json_integer(row->job) : json_null(), "attempt",
			 row->attempt ? json_integer(row->attempt) : json_null(), "kind", row->kind, "detail",
			 row->detail);
}

static void print_row(const struct ctl *ctl, const struct log_row *row)
{
	char at[FORMAT_MAX], about[FORMAT_MAX] = "";
	autofree char *detail = row->detail ? json_line(row->detail) : xstrdup("");

	if (row->job)
		snprintf(about, sizeof(about), "job %lld", (long long)row->job);
	else if (row->sweep)
		snprintf(about, sizeof(about), "s%lld", (long long)row->sweep);
	autofree char *line = xasprintf(*detail ? "%6lld  %-8s  %-8s  %-10s  %s" : "%6lld  %-8s  %-8s  %s%s",
					(long long)row->id, format_clock(row->at_ms, at), about, row->kind, detail);
	screen_line(&ctl->out, stdout, line);
}

/* The kinds of "state,epoch"; NULL where one is none, which is said.  New reference. */
static json_t *listed_kinds(const char *list)
{
	autojson json_t *all = json_array();
	for (const char *at = list; *at; at += strspn(at, ",")) {
		size_t size = strcspn(at, ","), i = 0;
		autofree char *kind = xasprintf("%.*s", (int)size, at);
		while (i < ARRAY_LEN(kinds) && !str_eq(kinds[i], kind))
			i++;
		if (i == ARRAY_LEN(kinds)) {
			const char *near = nearest_name(kind, kinds, ARRAY_LEN(kinds));
			autofree char *said = xasprintf("no events are of the kind \"%.60s\"", kind);
			for (i = 0; !near && i < ARRAY_LEN(kinds); i++)
				text_append(&said, "%s%s", i ? ", " : "\n  expected: ", kinds[i]);
			if (near)
				text_append(&said, "; did you mean \"%s\"?", near);
			say_error(said);
			return NULL;
		}
		json_array_append_new(all, json_string(kind));
		at += size;
	}
	return json_incref(all);
}

/* What a terminal leaves out unless it is asked for. */
static json_t *left_out(const struct ctl *ctl, const struct events_input *input)
{
	bool some = ctl->out.terminal && !ctl->json && !input->all;
	json_t *out = json_array();
	for (size_t i = 0; some && i < ARRAY_LEN(masses); i++)
		json_array_append_new(out, json_string(masses[i]));
	return out;
}

static int print_log(struct ctl *ctl, struct reader *r, const struct log_query *q, struct err *err)
{
	struct log_row *rows = NULL;
	size_t n = 0;
	int e = reader_log(r, q, &rows, &n, err);

	for (size_t i = 0; i < n; i++) {
		if (ctl->json)
			print_json(event_json(&rows[i]));
		else
			print_row(ctl, &rows[i]);
	}
	if (e == 0 && n == 0 && q->newest)
		fputs(q->parts || q->only_kinds ? "nothing of that has happened yet\n" : "nothing has happened yet\n", stderr);
	log_rows_free(rows, n);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	struct events_input *input = data;
	struct log_query q = {.after = input->after, .newest = input->newest, .only_kinds = input->kinds};
	autojson json_t *of = input->kinds ? listed_kinds(input->kinds) : left_out(ctl, input);
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;

	if (!of)
		return EXIT_USAGE;
	q.kinds = of;
	q.limit = input->limit ? input->limit : input->newest ? 20 : 1000;
	int e = reader_open(&r, &ctl->paths, &err);
	if (e == 0 && input->targets.n) {
		e = selection_init(&sel, r, &err);
		if (e == 0)
			e = selection_name_all(&sel, r, input->targets.items, input->targets.n, false, &err);
		q.parts = sel.parts;
		q.n_parts = sel.n_parts;
	}
	if (e == 0 && (!input->targets.n || sel.n_parts))
		e = print_log(ctl, r, &q, &err);
	int code = e < 0 ? ctl_fail(ctl, e, &err) : sel.missing ? EXIT_NO_SUCH : EXIT_OK;
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_events = {
	.name = "events",
	.args = "[TARGET...]",
	.line = "what happened, in the order of the commits",
	.group = "Follow",
	.example = "sweepctl events s1 --kind state,epoch",
	.input_size = sizeof(struct events_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
