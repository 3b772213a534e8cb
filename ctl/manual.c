/* sweepctl manual man|sweepfile|bash|zsh: manual pages and completions, made from the tables that --help comes from.
 * The build calls it; it is not listed among the verbs (it has no group).  To describe a new verb nothing is to be done
 * here; a new exit code or environment variable is a row below. */
#include "ctl/ctl.h"
#include "ctl/exits.h"
#include "ctl/manual.h"
#include "common/params.h"
#include "common/roff.h"

struct manual_input {
	struct words words;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct manual_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARGS:
		words_take(&input->words, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "man, sweepfile, bash, zsh, exits, targets or params?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {NULL, parse};

static const struct roff_entry output[] = {
	{"On a terminal", "Tables fit its width: free text and values are shortened, marked with \"..\", columns of "
			  "little weight are left out, "
			  "in this order; of a sweep of many parameters these become one column, so that the results keep "
			  "their room. --json and a pipe have everything."},
	{"In a pipe or a file",
	 "The same columns without colour, nothing shortened or left out, so that grep and awk see all; results is the "
	 "report's table, without the number of the job (--csv and --json have it)."},
	{"--json",
	 "One document, or one a line where it follows. Keys are only ever added. Unknown values are null, times "
	 "RFC 3339, accuracies percent. Text of the tables may change."},
	{"Names and reasons",
	 "Control characters and what is not UTF-8 are shown as \"?\"; --json has the text as it is, escaped."},
	{0},
};

static const struct roff_entry environment[] = {
	{"SWEEPD_DIR", "the directory of a private sweepd: database, jobs, sockets (--dir wins)"},
	{"SWEEPD_DATA", "directories with data sets, separated by colons; fetch puts new ones into the first"},
	{"SWEEPD_MIRROR", "base addresses that fetch tries first, separated by blanks"},
	{"https_proxy, SSL_CERT_FILE", "of fetch: a proxy; a file of certificate authorities in place of the system's"},
	{"XDG_DATA_HOME, XDG_RUNTIME_DIR", "where a private sweepd lives without SWEEPD_DIR"},
	{"WANDB_API_KEY", "the API key of W&B: of a private sweepd's sweep-forward as sweepd was started, and of selftest"},
	{"WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_BASE_URL",
	 "of submit: settings of W&B that a sweep file leaves open; a .env beside the file or above it may hold them, and "
	 "the key. WANDB_BASE_URL: of login and selftest too"},
	{"NO_COLOR, CLICOLOR_FORCE, TERM", "colour; --color wins"},
	{"COLUMNS", "width of tables where the terminal does not say"},
	{0},
};

static const struct roff_entry files[] = {
	{"/var/lib/sweepd", "of the system's sweepd: results.db, jobs/N"},
	{"~/.local/share/sweepd", "of a private one"},
	{"~/.config/sweepd/wandb.netrc", "keys that wandb login stores; in $SWEEPD_DIR where that is set"},
	{"/etc/credstore/wandb_api_key", "the key of the system's sweep-forward"},
	{"wandb/offline-run-*", "beside results.db, of the system's under /var/lib/sweepd-forward: runs for wandb sync"},
	{0},
};

static void man_verb(const struct verb *v)
{
	printf(".SS ");
	roff_inline(v->name);
	if (v->args) {
		putchar(' ');
		roff_inline(v->args);
	}
	putchar('\n');
	roff_text(v->line);
	if (v->example) {
		fputs(".br\nExample: ", stdout);
		roff_text(v->example);
	}
	if (v->argp)
		roff_options(v->argp->options);
}

/* Each code with the verbs that may end with it. */
static void man_exits(void)
{
	for (size_t i = 0; i < n_exit_rows; i++) {
		const char *comma = "";
		printf(".TP\n%d\n", exit_rows[i].code);
		roff_text(exit_rows[i].meaning);
		fputs(".br\nVerbs: ", stdout);
		for (size_t k = 0; !exit_rows[i].common && k < n_verbs; k++) {
			if (!verbs[k]->group || !exit_is_of(verbs[k], &exit_rows[i]))
				continue;
			printf("%s%s", comma, verbs[k]->name);
			comma = ", ";
		}
		puts(exit_rows[i].common ? "all" : "");
	}
}

static void print_man(void)
{
	static const char *const pages[] = {"sweepd(8)", "sweep-worker(1)", "sweepfile(5)", "sqlite3(1)", NULL};
	const char *group = "";

	roff_begin("sweepctl", 1, "submits hyper-parameter sweeps to sweepd, watches them and reads their results");
	roff_section("SYNOPSIS");
	puts(".B sweepctl\n[\\fIOPTION\\fR...] [\\fIVERB\\fR [\\fIARGUMENT\\fR...]]");
	roff_section("DESCRIPTION");
	roff_text("Without a verb: list. Verbs that read (list, show, results, leaderboard, compare, report, log, "
		  "events, params, "
		  "doctor) work without the daemon; the others talk to it. Answers go to standard output, everything "
		  "else to "
		  "standard error; every verb takes --json.");
	roff_section("TARGETS");
	roff_text("A TARGET is a job (5), several jobs (5-8 or 1,3) or a sweep (s1, or its name; of several with one "
		  "name the "
		  "newest). All verbs take any mix.");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		if (strcmp(v->group, group) != 0)
			roff_section(group = v->group);
		man_verb(v);
	}
	roff_section("OPTIONS COMMON TO ALL");
	roff_options(common_options);
	roff_section("OUTPUT");
	roff_entries(output);
	roff_section("EXIT STATUS");
	man_exits();
	roff_section("ENVIRONMENT");
	roff_entries(environment);
	roff_section("FILES");
	roff_entries(files);
	roff_see_also(pages);
}

/* "VERB CODE CODE ...", for the tests: no verb ends with another code. */
static void print_exits(void)
{
	for (size_t k = 0; k < n_verbs; k++) {
		fputs(verbs[k]->name, stdout);
		for (size_t i = 0; i < n_exit_rows; i++)
			if (exit_is_of(verbs[k], &exit_rows[i]))
				printf(" %d", exit_rows[i].code);
		putchar('\n');
	}
}

static int run(struct ctl *ctl, void *data)
{
	const struct manual_input *input = data;
	const char *what = input->words.n ? input->words.items[0] : "";

	if (str_eq(what, "man"))
		print_man();
	else if (str_eq(what, "sweepfile"))
		manual_sweepfile();
	else if (str_eq(what, "bash"))
		completion_bash();
	else if (str_eq(what, "zsh"))
		completion_zsh();
	else if (str_eq(what, "exits"))
		print_exits();
	else if (str_eq(what, "targets"))
		completion_targets(ctl, input->words.n > 1 ? input->words.items[1] : NULL);
	else if (str_eq(what, "params"))
		for (size_t i = 0; i < n_params; i++)
			printf("%s=\n", params[i].name);
	else
		return EXIT_USAGE;
	return EXIT_OK;
}

const struct verb verb_manual = {
	.name = "manual",
	.args = "man|sweepfile|bash|zsh",
	.line = "the manual page and completions",
	.input_size = sizeof(struct manual_input),
	.argp = &argp,
	.run = run,
};
