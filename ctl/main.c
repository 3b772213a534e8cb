/* sweepctl: finds the verb, reads the options, runs it.  --help comes from the same table. */
#include "ctl/ctl.h"
#include "ctl/exits.h"
#include "ctl/format.h"
#include "common/json.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

const struct verb *const verbs[] = {
#define X(name) &verb_##name,
	VERBS(X)
#undef X
};
const size_t n_verbs = ARRAY_LEN(verbs);

const char *argp_program_version = "sweepctl " SWEEPD_VERSION;

void words_take(struct words *words, struct argp_state *state)
{
	words->items = state->argv + state->next;
	words->n = (size_t)(state->argc - state->next);
}

int number_take(const char *arg, struct argp_state *state, const char *option, const char *wanted, int min)
{
	char *end;

	errno = 0;
	long long n = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || n < min || n > INT_MAX)
		argp_error(state, "%s needs %s, not \"%s\"", option, wanted, arg);
	return (int)n;
}

int ctl_no_daemon(const struct ctl *ctl)
{
	if (ctl->paths.system)
		fputs("error: the system's sweepd is not running\n  do this:  sudo systemctl start sweepd\n", stderr);
	else
		fputs("error: no sweepd is running for you\n  do this:  sweepctl daemon start\n", stderr);
	return EXIT_NO_DAEMON;
}

void say_error(const char *text)
{
	autofree char *clean = text_clean_lines(text);
	autofree char *line = xasprintf("error: %s", clean);
	struct screen talk;

	screen_init(&talk, STDERR_FILENO, COLOR_NEVER);
	screen_wrap(&talk, stderr, line, 2);
}

int ctl_fail(const struct ctl *ctl, int e, const struct err *err)
{
	if (e == -ENOTCONN)
		return ctl_no_daemon(ctl);
	say_error(err->text);
	if (e == -EBADMSG)
		fprintf(stderr,
			"  do this:  stop sweepd and put the newest backup in the place of %s; without one\n"
			"            sweepctl daemon start says how to save what can be read\n",
			ctl->paths.db);
	else if (e == -EACCES && ctl->paths.system)
		fputs("  do this:  sudo adduser $USER sweepd, then log in again\n", stderr);
	else if (e == -EBUSY)
		fputs("  do this:  the same again: sweepd was writing, or another program holds the database\n",
		      stderr);
	return e == -ETIMEDOUT || e == -ECONNRESET || e == -EPIPE ? EXIT_NO_DAEMON : EXIT_PERMISSION;
}

int ctl_refused(const json_t *answer)
{
	say_error(json_str_or(answer, "error", "sweepd refused and did not say why"));
	return (int)json_int_or(answer, "code", EXIT_BAD_OUTCOME);
}

void print_json(json_t *value)
{
	autofree char *line = json_line(value);

	puts(line);
	json_decref(value);
}

void print_json_row(size_t *n, json_t *value)
{
	autofree char *line = json_line(value);

	fputs((*n)++ ? "," : "[", stdout);
	fputs(line, stdout);
	json_decref(value);
}

void print_json_end(size_t n)
{
	puts(n ? "]" : "[]");
}

json_t *json_known(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

enum { OPTION_DIR = 256, OPTION_JSON, OPTION_COLOR };

const struct argp_option common_options[] = {
	{"dir", OPTION_DIR, "DIR", 0, "the sweepd of that directory ($SWEEPD_DIR)", 100},
	{"json", OPTION_JSON, NULL, 0, "answer in JSON", 100},
	{"color", OPTION_COLOR, "WHEN", 0, "auto, always or never", 100},
	{0},
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct ctl *ctl = state->input;

	switch (key) {
	case OPTION_DIR:
		if (!*arg)
			argp_error(state, "--dir needs a directory");
		ctl->dir = arg;
		return 0;
	case OPTION_JSON:
		ctl->json = true;
		return 0;
	case OPTION_COLOR:
		if (str_eq(arg, "auto"))
			ctl->color = COLOR_AUTO;
		else if (str_eq(arg, "always"))
			ctl->color = COLOR_ALWAYS;
		else if (str_eq(arg, "never"))
			ctl->color = COLOR_NEVER;
		else
			argp_error(state, "--color is auto, always or never, not \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp common_argp = {common_options, parse_common};

struct verb_call {
	struct ctl *ctl;
	const struct verb *verb;
	void *input;
};

/* Hands the two parsers below it their inputs; refuses arguments that nobody took. */
static error_t parse_verb(int key, char *arg, struct argp_state *state)
{
	struct verb_call *call = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = call->ctl;
		if (call->verb->argp)
			state->child_inputs[1] = call->input;
		return 0;
	}
	if (key == ARGP_KEY_ARG && !call->verb->args)
		argp_error(state, "takes no arguments; \"%s\" is one", arg);
	return ARGP_ERR_UNKNOWN;
}

static int run_verb(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
	autofree void *input = xcalloc(1, verb->input_size + 1);
	autofree char *name = xasprintf("sweepctl %s", verb->name);
	autofree char *exits = exits_brief(verb);
	autofree char *doc = xasprintf("%s.%s%s\vExit codes: %s.", verb->line, verb->example ? "\n\nExample: " : "",
				       verb->example ? verb->example : "", exits);
	struct verb_call call = {.ctl = ctl, .verb = verb, .input = input};
	struct argp_child children[] = {{&common_argp, 0, "Common to all:", 100}, {verb->argp, 0, NULL, 0}, {0}};
	struct argp argp = {NULL, parse_verb, verb->args, doc, children};
	struct err err;

	doc[0] = (char)(doc[0] >= 'a' && doc[0] <= 'z' ? doc[0] - 'a' + 'A' : doc[0]);
	argv[0] = name;
	int e = argp_parse(&argp, argc, argv, 0, NULL, &call);
	if (e)
		return EXIT_USAGE;
	if (paths_client(&ctl->paths, ctl->dir, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_USAGE;
	}
	screen_init(&ctl->out, STDOUT_FILENO, ctl->color);
	int code = verb->run(ctl, input);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "error: the answer cannot be written: %s\n", strerror(errno));
		code = code ? code : EXIT_BAD_OUTCOME;
	}
	paths_fini(&ctl->paths);
	return code;
}

struct main_call {
	struct ctl *ctl;
	int verb_at; /* index of the verb in argv, 0: none */
};

/* Stops at the verb: what follows is the verb's. */
static error_t parse_main(int key, char *arg, struct argp_state *state)
{
	struct main_call *call = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = call->ctl;
		return 0;
	case ARGP_KEY_ARG:
		call->verb_at = state->next - 1;
		state->next = state->argc;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

#define HELP_WIDTH 78 /* argp breaks longer lines itself, to the first column */
#define CALL_WIDTH 25 /* of "results [TARGET...]"; a longer one stands on a line of its own */

/* What a verb does, in lines that leave the calls their column. */
static void append_wrapped(char **text, const char *line)
{
	bool first = true;

	while (*line) {
		size_t size = strlen(line);
		if (size > HELP_WIDTH - CALL_WIDTH - 3)
			for (size = HELP_WIDTH - CALL_WIDTH - 3; size && line[size] != ' ';)
				size--;
		text_append(text, "%*s%.*s\n", first ? 1 : CALL_WIDTH + 3, "", (int)size, line);
		line += size + (line[size] == ' ');
		first = false;
	}
}

/* The table of verbs, group by group. */
static char *verbs_help(void)
{
	char *text = NULL;
	const char *group = "";

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		autofree char *call = xasprintf("%s %s", v->name, v->args ? v->args : "");
		if (!str_eq(v->group, group))
			text_append(&text, "%s%s:\n", *group ? "\n" : "", v->group);
		group = v->group;
		bool beside = strlen(call) <= CALL_WIDTH;
		text_append(&text, beside ? "  %-*s" : "  %-*s\n%27s", CALL_WIDTH, call, "");
		append_wrapped(&text, v->line);
	}
	text_append(&text,
		    "\nA TARGET is a job (5, 5-8, 1,3) or a sweep (s1 or its name). `sweepctl VERB --help` says more.");
	return text;
}

static const struct verb *find_verb(const char *name)
{
	const char *names[ARRAY_LEN(verbs)];

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (str_eq(verbs[i]->name, name))
			return verbs[i];
		names[i] = verbs[i]->name;
	}
	const char *near = nearest_name(name, names, ARRAY_LEN(names));
	fprintf(stderr, "error: no verb \"%s\"", name);
	if (near)
		fprintf(stderr, "; did you mean \"%s\"?\n", near);
	else
		fputs("\n  do this:  sweepctl --help\n", stderr);
	return NULL;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	struct main_call call = {.ctl = &ctl};
	struct argp_child children[] = {{&common_argp}, {0}};
	autofree char *help = verbs_help();
	autofree char *doc = xasprintf("Submits hyper-parameter sweeps to sweepd, watches them and reads their "
				       "results; without a verb: list.\v%s",
				       help);
	struct argp argp = {NULL, parse_main, "[VERB [ARG...]]", doc, children};
	char *list_argv[] = {argv[0], NULL};

	columns_init();
	signal(SIGPIPE, SIG_DFL);
	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &call))
		return EXIT_USAGE;
	if (!call.verb_at)
		return run_verb(&ctl, &verb_list, 1, list_argv);
	const struct verb *verb = find_verb(argv[call.verb_at]);
	if (!verb)
		return EXIT_USAGE;
	return run_verb(&ctl, verb, argc - call.verb_at, argv + call.verb_at);
}
