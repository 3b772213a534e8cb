/* sweepctl events: the store's log: every state, epoch, checkpoint and request, in the order of the commits. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "common/json.h"

struct events_input {
	int64_t after, limit;
	bool newest;
};

static const struct argp_option options[] = {
	{"after", 'a', "ID", 0, "those after event ID; a script remembers the last one it saw"},
	{"lines", 'n', "N", 0, "at most N (20; with --after 1000)"},
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

static int run(struct ctl *ctl, void *data)
{
	struct events_input *input = data;
	struct event_row newest;
	struct log_row *rows = NULL;
	struct reader *r = NULL;
	struct err err;
	size_t n = 0;
	int64_t limit = input->limit ? input->limit : input->newest ? 20 : 1000;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0 && input->newest && (e = reader_newest_event(r, &newest, &err)) == 0)
		input->after = MAX(newest.id - limit, (int64_t)0);
	if (e == 0)
		e = reader_log(r, input->after, limit, &rows, &n, &err);
	for (size_t i = 0; i < n; i++) {
		if (ctl->json)
			print_json(event_json(&rows[i]));
		else
			print_row(ctl, &rows[i]);
	}
	if (e == 0 && n == 0 && input->newest)
		fputs("nothing has happened yet\n", stderr);
	log_rows_free(rows, n);
	reader_close(r);
	return e < 0 ? ctl_fail(ctl, e, &err) : EXIT_OK;
}

const struct verb verb_events = {
	.name = "events",
	.line = "what happened, in the order of the commits",
	.group = "Follow",
	.example = "sweepctl events --after 120 --json",
	.input_size = sizeof(struct events_input),
	.argp = &argp,
	.exits = EXITS(EXIT_PERMISSION),
	.run = run,
};
