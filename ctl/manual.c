/* sweepctl manual man|bash|zsh: the manual page and the completions, made from the tables that --help comes from.  The
 * build calls it; it is not listed among the verbs (it has no group).  To describe a new verb nothing is to be done
 * here; a new exit code or environment variable is a row below. */
#include "ctl/ctl.h"
#include "ctl/exits.h"
#include "common/params.h"

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
		argp_error(state, "man, bash, zsh, exits, targets or params?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {NULL, parse};

static const struct {
	const char *name, *meaning;
} environment[] = {
	{"SWEEPD_DIR", "the directory of a private sweepd: database, jobs, sockets (--dir wins)"},
	{"SWEEPD_DATA", "directories with data sets, separated by colons"},
	{"XDG_DATA_HOME, XDG_RUNTIME_DIR", "where a private sweepd lives without SWEEPD_DIR"},
	{"NO_COLOR, CLICOLOR_FORCE, TERM", "colour; --color wins"},
	{"COLUMNS", "width of tables where the terminal does not say"},
};

/* Text for roff: backslashes, leading dots and hyphens that must stay hyphens. */
static void roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\' || *text == '-')
			putchar('\\');
		if (*text == '\\')
			putchar('e');
		else
			putchar(*text);
	}
}

static void roff_line(const char *before, const char *text)
{
	fputs(before, stdout);
	roff(text);
	putchar('\n');
}

static void man_options(const struct argp_option *o)
{
	for (; o && (o->name || o->key); o++) {
		fputs(".TP\n.B ", stdout);
		if (o->key > 32 && o->key < 127)
			printf("\\-%c, ", o->key);
		fputs("\\-\\-", stdout);
		roff(o->name);
		if (o->arg) {
			fputs("=\\fI", stdout);
			roff(o->arg);
			fputs("\\fR", stdout);
		}
		putchar('\n');
		roff_line("", o->doc);
	}
}

static void man_verb(const struct verb *v)
{
	printf(".SS ");
	roff(v->name);
	if (v->args) {
		putchar(' ');
		roff(v->args);
	}
	putchar('\n');
	roff_line("", v->line);
	if (v->example)
		roff_line(".br\nExample: ", v->example);
	if (v->argp)
		man_options(v->argp->options);
}

/* Each code with the verbs that may end with it. */
static void man_exits(void)
{
	for (size_t i = 0; i < n_exit_rows; i++) {
		const char *comma = "";
		printf(".TP\n%d\n", exit_rows[i].code);
		roff_line("", exit_rows[i].meaning);
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
	const char *group = "";

	printf(".TH SWEEPCTL 1 \"\" \"sweepd %s\" \"User Commands\"\n", SWEEPD_VERSION);
	puts(".SH NAME\nsweepctl \\- submits hyper\\-parameter sweeps to sweepd, watches them and reads their results");
	puts(".SH SYNOPSIS\n.B sweepctl\n[\\fIOPTION\\fR...] [\\fIVERB\\fR [\\fIARGUMENT\\fR...]]");
	puts(".SH DESCRIPTION\nWithout a verb: list.  Verbs that read (list, show, watch, results, report, log, params, doctor) "
	     "work\nwithout the daemon; the others talk to it.  Answers go to standard output, everything else to\n"
	     "standard error; every verb takes\n.BR \\-\\-json .\n");
	puts(".SH TARGETS\nA TARGET is a job (5), several jobs (5\\-8 or 1,3) or a sweep (s1, or its name; of several with one "
	     "name\nthe newest).  All verbs take any mix.");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		if (strcmp(v->group, group) != 0)
			printf(".SH %s\n", group = v->group);
		man_verb(v);
	}
	puts(".SH OPTIONS COMMON TO ALL");
	man_options(common_options);
	puts(".SH EXIT STATUS");
	man_exits();
	puts(".SH ENVIRONMENT");
	for (size_t i = 0; i < ARRAY_LEN(environment); i++) {
		roff_line(".TP\n", environment[i].name);
		roff_line("", environment[i].meaning);
	}
	puts(".SH FILES\n.TP\n/var/lib/sweepd\nof the system's sweepd: results.db, jobs/\\fIN\\fR\n.TP\n"
	     "~/.local/share/sweepd\nof a private one\n.SH SEE ALSO\n.BR sweepd (8),\n.BR sweep\\-worker (1),\n"
	     ".BR sqlite3 (1)");
}

/* "--json --dir= ..." of a table; " " in front of each. */
static void option_words(const struct argp_option *o)
{
	for (; o && o->name; o++)
		printf(" --%s%s", o->name, o->arg ? "=" : "");
}

static void print_bash(void)
{
	puts("# bash completion for sweepctl: made by `sweepctl manual bash`.\n"
	     "_sweepctl() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb=\"\" i\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tcase ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n"
	     "\tdone\n"
	     "\tlocal words=\"\"\n"
	     "\tcase $verb in");
	printf("\t\"\") words=\"");
	for (size_t i = 0; i < n_verbs; i++)
		if (verbs[i]->group)
			printf("%s ", verbs[i]->name);
	puts("\" ;;");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		printf("\t%s) words=\"", v->name);
		if (v->argp)
			option_words(v->argp->options);
		option_words(common_options);
		puts("\" ;;");
	}
	puts("\tesac\n"
	     "\tcompopt +o nospace 2>/dev/null\n"
	     "\tcase $verb:$cur in\n"
	     "\t*:-*) ;;\n"
	     "\tsubmit:*)\n"
	     "\t\tif [[ ${COMP_WORDS[COMP_CWORD-1]} == --override || ${COMP_WORDS[COMP_CWORD-1]} == -o ]]; then\n"
	     "\t\t\twords=$(sweepctl manual params 2>/dev/null); compopt -o nospace 2>/dev/null\n"
	     "\t\telse\n"
	     "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\" | grep -E '\\.(json|ya?ml)$'; compgen -d -- \"$cur\")\n"
	     "\t\t\treturn\n"
	     "\t\tfi ;;\n"
	     "\tdaemon:*) words=\"start stop status\" ;;\n"
	     "\tparams:*) words=$(sweepctl manual params 2>/dev/null | tr -d =) ;;\n"
	     "\t:* | doctor:* | version:*) ;;\n"
	     "\t*) words=$(sweepctl manual targets 2>/dev/null) ;;\n"
	     "\tesac\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	     "}\n"
	     "complete -F _sweepctl sweepctl");
}

static void print_zsh(void)
{
	puts("#compdef sweepctl\n# zsh completion for sweepctl: made by `sweepctl manual zsh`.\n"
	     "_sweepctl() {\n\tlocal -a verbs\n\tverbs=(");
	for (size_t i = 0; i < n_verbs; i++)
		if (verbs[i]->group)
			printf("\t\t'%s:%s'\n", verbs[i]->name, verbs[i]->line);
	puts("\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n\tcase $words[2] in");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		printf("\t%s) _arguments", v->name);
		for (const struct argp_option *o = v->argp ? v->argp->options : NULL; o && o->name; o++)
			printf(" '--%s%s[%s]%s'", o->name, o->arg ? "=" : "", o->doc, o->arg ? ": :" : "");
		for (const struct argp_option *o = common_options; o->name; o++)
			printf(" '--%s%s[%s]%s'", o->name, o->arg ? "=" : "", o->doc, o->arg ? ": :" : "");
		if (str_eq(v->name, "submit"))
			printf(" '*:file:_files -g \"*.(json|yaml|yml)\"'");
		else if (str_eq(v->name, "daemon"))
			printf(" '1:action:(start stop status)'");
		else if (v->args)
			printf(" '*:target:(${(f)\"$(sweepctl manual targets 2>/dev/null)\"})'");
		puts(" ;;");
	}
	puts("\tesac\n}\n_sweepctl \"$@\"");
}

/* What a completion offers as TARGET: sweeps by id and name, the newest 200 jobs. */
static void print_targets(struct ctl *ctl)
{
	struct reader *r = NULL;
	struct sweep_row *sweeps = NULL;
	int64_t newest = 0, *ids = NULL;
	size_t n = 0, n_ids = 0;

	if (reader_open(&r, &ctl->paths, NULL) < 0)
		return;
	if (reader_sweeps(r, &sweeps, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			printf("s%lld\n%s\n", (long long)sweeps[i].id, strchr(sweeps[i].name, ' ') ? "" : sweeps[i].name);
	if (reader_newest_job(r, &newest, NULL) == 0 &&
	    reader_job_ids(r, newest - 200, newest, &ids, &n_ids, NULL) == 0)
		for (size_t i = 0; i < n_ids; i++)
			printf("%lld\n", (long long)ids[i]);
	free(ids);
	sweep_rows_free(sweeps, n);
	reader_close(r);
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
	const char *what = input->words.n == 1 ? input->words.items[0] : "";

	if (str_eq(what, "man"))
		print_man();
	else if (str_eq(what, "bash"))
		print_bash();
	else if (str_eq(what, "zsh"))
		print_zsh();
	else if (str_eq(what, "exits"))
		print_exits();
	else if (str_eq(what, "targets"))
		print_targets(ctl);
	else if (str_eq(what, "params"))
		for (size_t i = 0; i < n_params; i++)
			printf("%s=\n", params[i].name);
	else
		return EXIT_USAGE;
	return EXIT_OK;
}

const struct verb verb_manual = {
	.name = "manual",
	.args = "man|bash|zsh",
	.line = "the manual page and completions",
	.input_size = sizeof(struct manual_input),
	.argp = &argp,
	.run = run,
};
