/* Completion for bash and zsh, from the table of verbs; see manual.h.  A new verb needs nothing here: its options are
 * those of its table, and what it takes is read from its usage: TARGET or JOB, FILE, "start|stop". */
#include "ctl/manual.h"
#include "ctl/format.h"
#include "common/catalogue.h"

#include <ctype.h>

#define NEWEST_JOBS 200

/* The verb takes one of these words first: "start|stop|status", "check|backup [FILE]". */
static bool takes_words(const struct verb *v)
{
	const char *c = v->args;

	while (c && (islower((unsigned char)*c) || *c == '|' || *c == '-'))
		c++;
	return c && (!*c || *c == ' ') && memchr(v->args, '|', (size_t)(c - v->args));
}

static bool takes_targets(const struct verb *v)
{
	return v->args && (strstr(v->args, "TARGET") || strstr(v->args, "JOB"));
}

static void put_words(const struct verb *v)
{
	for (const char *c = v->args; *c && *c != ' '; c++)
		putchar(*c == '|' ? ' ' : *c);
}

/* "--json --dir= ..." of a table; " " in front of each. */
static void option_words(const struct argp_option *o)
{
	for (; o && o->name; o++)
		if (!(o->flags & OPTION_HIDDEN))
			printf(" --%s%s", o->name, o->arg ? "=" : "");
}

/* Names that can be fetched, for a verb that has an action before them; NULL: it has none. */
static char *item_names(const struct verb *v)
{
	struct catalogue c = {0};
	char *text = NULL;

	if (!v->args || !strstr(v->args, "[NAME") || catalogue_open(&c, NULL, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < c.n; i++)
		if (c.items[i].kind == (str_eq(v->name, "weights") ? PLACE_WEIGHTS : PLACE_DATASETS))
			text_append(&text, "%s%s", text ? " " : "", c.items[i].name);
	catalogue_fini(&c);
	return text;
}

/* Its names may be files. */
static bool takes_files(const struct verb *v)
{
	return strstr(v->args, "|FILE...]");
}

/* What a verb takes, as shell. */
static void bash_arguments(const struct verb *v)
{
	if (takes_words(v)) {
		autofree char *names = item_names(v);
		fputs("words=\"", stdout);
		put_words(v);
		fputs("\"", stdout);
		if (names)
			printf("; ((COMP_CWORD > 2)) && words=\"%s\"%s", names,
			       takes_files(v) ? " && compopt -o default 2>/dev/null" : "");
		puts(" ;;");
	} else if (takes_targets(v)) {
		printf("words=$(sweepctl manual targets %s 2>/dev/null | cut -f1) ;;\n", v->name);
	} else if (str_eq(v->name, "params")) {
		puts("words=$(sweepctl manual params 2>/dev/null | tr -d =) ;;");
	} else if (str_eq(v->name, "submit")) {
		puts("if [[ ${COMP_WORDS[COMP_CWORD-1]} == @(--override|-o) ]]; then\n"
		     "\t\t\twords=$(sweepctl manual params 2>/dev/null); compopt -o nospace 2>/dev/null\n"
		     "\t\telse\n"
		     "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\" | grep -E '\\.(json|ya?ml)$'; compgen -d "
		     "-- \"$cur\")\n"
		     "\t\t\treturn\n"
		     "\t\tfi ;;");
	} else {
		puts(";;");
	}
}

void completion_bash(void)
{
	puts("# bash completion for sweepctl: made by `sweepctl manual bash`.\n"
	     "_sweepctl() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb=\"\" i words=\"\"\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tcase ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n"
	     "\tdone\n"
	     "\tcompopt +o nospace 2>/dev/null\n"
	     "\tcase $verb:$cur in");
	fputs("\t:-*) words=\"", stdout);
	option_words(common_options);
	fputs("\" ;;\n\t:*) words=\"", stdout);
	for (size_t i = 0; i < n_verbs; i++)
		if (verbs[i]->group)
			printf("%s ", verbs[i]->name);
	puts("\" ;;");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		printf("\t%s:-*) words=\"", v->name);
		option_words(v->argp ? v->argp->options : NULL);
		option_words(common_options);
		printf("\" ;;\n\t%s:*) ", v->name);
		bash_arguments(v);
	}
	puts("\tesac\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	     "}\n"
	     "complete -F _sweepctl sweepctl");
}

/* --- zsh --- */

/* Text inside [...] inside '...'. */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_options(const struct argp_option *o)
{
	for (; o && o->name; o++) {
		if (o->flags & OPTION_HIDDEN)
			continue;
		printf(" \\\n\t\t'--%s%s[", o->name, o->arg ? "=" : "");
		zsh_text(o->doc);
		fputs(o->arg ? "]: :'" : "]'", stdout);
	}
}

static void zsh_arguments(const struct verb *v)
{
	if (takes_words(v)) {
		autofree char *names = item_names(v);
		fputs(" \\\n\t\t'1:action:(", stdout);
		put_words(v);
		fputs(")'", stdout);
		if (names && takes_files(v))
			printf(" \\\n\t\t'*:name:{_alternative \"names:name:(%s)\" \"files:file:_files\"}'", names);
		else if (names)
			printf(" \\\n\t\t'*:name:(%s)'", names);
	} else if (takes_targets(v)) {
		printf(" \\\n\t\t'*:target:{_sweepctl_targets %s}'", v->name);
	} else if (str_eq(v->name, "params")) {
		fputs(" \\\n\t\t'*:parameter:(${(f)\"$(sweepctl manual params 2>/dev/null | tr -d =)\"})'", stdout);
	} else if (str_eq(v->name, "submit")) {
		fputs(" \\\n\t\t'*:file:_files -g \"*.(json|yaml|yml)\"'", stdout);
	}
}

void completion_zsh(void)
{
	puts("#compdef sweepctl\n# zsh completion for sweepctl: made by `sweepctl manual zsh`.\n"
	     "_sweepctl_targets() {\n"
	     "\tlocal -a targets\n"
	     "\ttargets=(${(f)\"$(sweepctl manual targets $1 2>/dev/null)\"})\n"
	     "\ttargets=(\"${(@)targets//:/\\\\:}\")\n"
	     "\ttargets=(\"${(@)targets/$'\\t'/:}\")\n"
	     "\t_describe -V target targets\n"
	     "}\n"
	     "_sweepctl() {\n\tlocal -a verbs\n\tverbs=(");
	for (size_t i = 0; i < n_verbs; i++) {
		if (!verbs[i]->group)
			continue;
		printf("\t\t'%s:", verbs[i]->name);
		zsh_text(verbs[i]->line);
		puts("'");
	}
	puts("\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n\tlocal verb=$words[2]\n"
	     "\tshift words\n\t(( CURRENT-- ))\n\tcase $verb in");
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = verbs[i];
		if (!v->group)
			continue;
		printf("\t%s) _arguments", v->name);
		zsh_options(v->argp ? v->argp->options : NULL);
		zsh_options(common_options);
		zsh_arguments(v);
		puts(" ;;");
	}
	puts("\tesac\n}\n_sweepctl \"$@\"");
}

/* --- what a TARGET may be --- */

static unsigned states_of(const char *verb)
{
	for (size_t i = 0; verb && i < n_verbs; i++)
		if (str_eq(verbs[i]->name, verb) && verbs[i]->target_states)
			return verbs[i]->target_states;
	return ~0u;
}

/* A tab-separated line of one word without blanks; a name that is none is left out. */
static void put_target(const char *word, const char *hint)
{
	autofree char *clean_word = text_clean(word);
	autofree char *clean_hint = text_clean(hint);

	if (*clean_word && !clean_word[strcspn(clean_word, " '\"\\$`;&|<>()*?[]#~")])
		printf("%s\t%s\n", clean_word, clean_hint);
}

static void put_job(const struct brief_row *job)
{
	autofree char *word = xasprintf("%lld", (long long)job->id);
	autofree char *hint = xstrdup("");
	const char *name;
	json_t *value;

	json_object_foreach(job->swept, name, value)
	{
		autofree char *text = format_value(value);
		text_append(&hint, "%s ", text);
	}
	text_append(&hint, "%s", job_state_names[job->state]);
	put_target(word, hint);
}

void completion_targets(struct ctl *ctl, const char *verb)
{
	struct reader *r = NULL;
	struct sweep_row *sweeps = NULL;
	struct brief_row *jobs = NULL;
	size_t n = 0, n_jobs = 0;

	if (reader_open(&r, &ctl->paths, NULL) < 0)
		return;
	if (reader_sweeps(r, &sweeps, &n, NULL) == 0) {
		for (size_t i = n; i-- > 0;) {
			autofree char *id = xasprintf("s%lld", (long long)sweeps[i].id);
			autofree char *size = xasprintf("%lld jobs", (long long)sweeps[i].n_jobs);
			put_target(id, sweeps[i].name);
			put_target(sweeps[i].name, size);
		}
	}
	if (reader_briefs(r, sweeps, n, states_of(verb), NEWEST_JOBS, &jobs, &n_jobs, NULL) == 0)
		for (size_t i = 0; i < n_jobs; i++)
			put_job(&jobs[i]);
	brief_rows_free(jobs, n_jobs);
	sweep_rows_free(sweeps, n);
	reader_close(r);
}
