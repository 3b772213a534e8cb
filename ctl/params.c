/* sweepctl params: the training parameters, from their one table. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "common/json.h"
#include "common/params.h"

#include <strings.h>

struct params_input {
	struct words words;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct params_input *input = state->input;

	if (key != ARGP_KEY_ARGS)
		return ARGP_ERR_UNKNOWN;
	words_take(&input->words, state);
	return 0;
}

static const struct argp argp = {NULL, parse};

/* A word is in the name or in the meaning. */
static bool matches(const struct param *p, const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcasestr(p->name, words->items[i]) || strcasestr(p->help, words->items[i]))
			return true;
	return words->n == 0;
}

static void print_one(const struct param *p)
{
	autofree char *values = param_allowed(p);

	printf("%s\n  %s\n  type     %s\n  default  %s\n  allowed  %s\n", p->name, p->help, param_type(p),
	       p->default_text, values);
}

static json_t *one_json(const struct param *p)
{
	autofree char *values = param_allowed(p);

	return json_pack("{ss, ss, ss, ss, ss}", "name", p->name, "type", param_type(p), "default", p->default_text,
			 "allowed", values, "help", p->help);
}

static int no_match(const struct words *words)
{
	const char *near = param_nearest(words->items[0]);

	fprintf(stderr, "error: no parameter has \"%s\" in its name or meaning", words->items[0]);
	fprintf(stderr, near ? "; did you mean \"%s\"?\n" : "\n", near);
	return EXIT_NO_SUCH;
}

static int run(struct ctl *ctl, void *data)
{
	const struct words *words = &((struct params_input *)data)->words;
	const struct param *exact = words->n == 1 ? param_find(words->items[0]) : NULL;
	struct table *t = table_new();
	json_t *array = json_array();
	size_t shown = 0;

	table_column(t, "NAME", false, 0);
	table_column(t, "TYPE", false, 3);
	table_column(t, "DEFAULT", false, 0);
	table_column(t, "MEANING", false, 0);
	table_shrink_text(t, 24);
	for (size_t i = 0; i < n_params; i++) {
		if (exact ? exact != &params[i] : !matches(&params[i], words))
			continue;
		shown++;
		json_array_append_new(array, one_json(&params[i]));
		table_cell(t, params[i].name);
		table_cell(t, param_type(&params[i]));
		table_cell(t, params[i].default_text);
		table_cell(t, params[i].help);
	}
	int code = shown ? EXIT_OK : no_match(words);
	if (ctl->json)
		print_json(json_incref(array));
	else if (exact)
		print_one(exact);
	else if (shown)
		table_print(t, &ctl->out, stdout);
	if (shown && !exact && !ctl->json && ctl->out.terminal)
		puts("one in full: sweepctl params NAME");
	json_decref(array);
	table_free(t);
	return code;
}

const struct verb verb_params = {
	.name = "params",
	.args = "[WORD...]",
	.line = "the training parameters",
	.group = "Machine",
	.example = "sweepctl params sched lr",
	.input_size = sizeof(struct params_input),
	.argp = &argp,
	.exits = EXITS(EXIT_NO_SUCH),
	.run = run,
};
