/* See stock.h: options, list, fetch. */
#include "ctl/stock.h"
#include "ctl/format.h"
#include "ctl/forward.h"
#include "ctl/table.h"
#include "common/fetch_options.h"
#include "common/installed.h"
#include "common/json.h"

#include <unistd.h>

const int exits_of_stock[] = {EXIT_BAD_OUTCOME, EXIT_NO_SUCH, EXIT_PERMISSION, EXIT_INTERRUPTED, 0};

const struct argp_option stock_options[] = {
#define FETCH_OPTION(id, name, arg, help) {name, FETCH_OPTION_##id, arg, 0, help},
#include "common/fetch_options.def"
#undef FETCH_OPTION
	{0},
};

/* --- options --- */

static void keep_option(struct stock_input *in, const struct argp_option *o, const char *arg, struct argp_state *state)
{
	if (in->n_options == ARRAY_LEN(in->options))
		argp_error(state, "too many options");
	in->options[in->n_options].name = o->name;
	in->options[in->n_options++].arg = arg;
	if (o->key > FETCH_OPTION_CATALOGUE)
		in->fetchs_own = o->name;
}

static char *action_names(const struct stock_input *in)
{
	char *text = NULL;

	for (size_t i = 0; in->actions[i].name; i++)
		text_append(&text, "%s%s", !i ? "" : in->actions[i + 1].name ? ", " : " or ", in->actions[i].name);
	return text;
}

static void take_words(struct stock_input *in, struct argp_state *state)
{
	autofree char *names = action_names(in);
	struct words words = {0};

	words_take(&words, state);
	if (!words.n)
		argp_error(state, "%s?", names);
	for (size_t i = 0; in->actions[i].name; i++)
		if (str_eq(in->actions[i].name, words.items[0]))
			in->action = &in->actions[i];
	if (!in->action)
		argp_error(state, "%s, not \"%s\"", names, words.items[0]);
	in->names = (struct words){words.items + 1, words.n - 1};
}

error_t stock_parse(int key, char *arg, struct argp_state *state)
{
	struct stock_input *in = state->input;

	if (key == FETCH_OPTION_DATA)
		in->data = arg;
	else if (key == FETCH_OPTION_CATALOGUE)
		in->catalogue = arg;
	for (const struct argp_option *o = stock_options; o->name; o++)
		if (o->key == key) {
			keep_option(in, o, arg, state);
			return 0;
		}
	switch (key) {
	case ARGP_KEY_ARGS:
	case ARGP_KEY_NO_ARGS:
		take_words(in, state);
		return 0;
	case ARGP_KEY_SUCCESS:
		if (in->fetchs_own && !in->action->fetches)
			argp_error(state, "--%s is an option of fetch", in->fetchs_own);
		if (!in->names.n && in->action->fetches)
			argp_error(state, "which? `%s list` has the names", state->name);
		if (!in->names.n && in->action->files)
			argp_error(state, "%s which file?", in->action->name);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int open_catalogue(const struct stock_input *in, struct catalogue *ret)
{
	struct err err;

	if (catalogue_open(ret, in->catalogue, &err) == 0)
		return EXIT_OK;
	say_error(err.text);
	return EXIT_USAGE;
}

/* --- list --- */

static bool is_named(const struct stock_input *in, const struct catalogue *c, const struct catalogue_item *item)
{
	const struct catalogue_item *found = NULL;

	if (item->kind != in->kind)
		return false;
	for (size_t i = 0; i < in->names.n; i++)
		if (catalogue_find(c, in->kind, in->names.items[i], &found, NULL) == 0 && found == item)
			return true;
	return in->names.n == 0;
}

/* Of the names given, those that are none. */
static int say_unknown(const struct stock_input *in, const struct catalogue *c)
{
	const struct catalogue_item *item;
	struct err err;
	int code = EXIT_OK;

	for (size_t i = 0; i < in->names.n; i++)
		if (catalogue_find(c, in->kind, in->names.items[i], &item, &err) < 0) {
			say_error(err.text);
			code = EXIT_NO_SUCH;
		}
	return code;
}

static json_t *item_json(const struct catalogue_item *item, const struct installed *found)
{
	int64_t download = catalogue_download_bytes(item);
	json_t *urls = json_array();

	for (size_t i = 0; i < item->n_sources; i++)
		for (size_t k = 0; k < item->sources[i].n_urls; k++) {
			const char *url = item->sources[i].urls[k];
			bool base = *url && url[strlen(url) - 1] == '/';
			json_array_append_new(urls, json_sprintf("%s%s", url, base ? item->sources[i].file : ""));
		}
	return json_pack("{ss, ss, ss?, so, so, ss?, ss?, ss, so}", "name", item->name, "state",
			 installed_state_names[found->state], "path", found->path, "bytes",
			 found->path ? json_integer(found->bytes) : json_null(), "download_bytes",
			 download ? json_integer(download) : json_null(), "source", found->source, "fetched",
			 found->fetched, "about", item->about, "urls", urls);
}

static enum tone tone_of(enum installed_state state)
{
	switch (state) {
	case INSTALLED_CHECKED:
		return TONE_GOOD;
	case INSTALLED_CHANGED:
		return TONE_BAD;
	case INSTALLED_UNCHECKED:
		return TONE_PLAIN;
	case INSTALLED_NONE:
		return TONE_DIM;
	}
	BUG("no such state");
}

static void add_row(struct table *t, const struct catalogue_item *item, const struct installed *found)
{
	char size[FORMAT_MAX];
	int64_t bytes = found->path ? found->bytes : catalogue_download_bytes(item);
	autofree char *where = found->path ? format_path(found->path) : xstrdup("-");

	table_cell(t, item->name);
	table_cell_tone(t, installed_state_names[found->state], tone_of(found->state));
	table_cell(t, bytes ? format_bytes((double)bytes, size) : "-");
	table_cell(t, where);
	table_cell(t, item->about);
}

int stock_list(struct ctl *ctl, const struct stock_input *input)
{
	auto_catalogue struct catalogue c = {0};
	struct table *t;
	json_t *list;
	int code = open_catalogue(input, &c);

	if (code != EXIT_OK)
		return code;
	code = say_unknown(input, &c);
	t = table_new();
	list = json_array();
	table_column(t, "NAME", false, 0);
	table_column(t, "STATE", false, 0);
	table_column(t, "SIZE", true, 2);
	table_column(t, "WHERE", false, 0);
	table_shrink(t, 20);
	table_column(t, "WHAT", false, 3);
	table_shrink_text(t, 16);
	for (size_t i = 0; i < c.n; i++) {
		auto_installed struct installed found = {0};
		if (!is_named(input, &c, &c.items[i]))
			continue;
		installed_find(&found, &c.items[i], input->data);
		add_row(t, &c.items[i], &found);
		json_array_append_new(list, item_json(&c.items[i], &found));
	}
	if (ctl->json)
		print_json(json_incref(list));
	else if (json_array_size(list))
		table_print(t, &ctl->out, stdout);
	table_free(t);
	json_decref(list);
	return code;
}

/* --- fetch --- */

int stock_fetch(struct ctl *ctl, const struct stock_input *input)
{
	char **argv = xcalloc(input->n_options + input->names.n + 8, sizeof(*argv));
	bool system = ctl->paths.system && geteuid() == 0;
	size_t n = 0;

	argv[n++] = (char *)"fetch";
	if (input->kind == PLACE_WEIGHTS)
		argv[n++] = (char *)"--weights";
	if (system)
		argv[n++] = (char *)"--system";
	if (ctl->json)
		argv[n++] = (char *)"--json";
	size_t first = n;
	for (size_t i = 0; i < input->n_options; i++)
		argv[n++] = input->options[i].arg ? xasprintf("--%s=%s", input->options[i].name, input->options[i].arg)
						  : xasprintf("--%s", input->options[i].name);
	argv[n++] = (char *)"--";
	memcpy(argv + n, input->names.items, input->names.n * sizeof(*argv));
	if (ctl->paths.system && !system && !input->data && !getenv("SWEEPD_DATA"))
		fputs("note: this is for you alone; the system's sweepd looks in /var/lib/sweepd: sudo sweepctl\n",
		      stderr);
	int code = become_forward(argv);
	for (size_t i = first; i < first + input->n_options; i++)
		free(argv[i]);
	free(argv);
	return code;
}

/* --- verify --- */

/* "ok", "sizes only", "differs", "unreadable". */
static const char *verdict(int r, bool known)
{
	if (r == 0)
		return known ? "ok" : "sizes only";
	return r == -EBADMSG ? "differs" : "unreadable";
}

static int verify_one(struct ctl *ctl, const struct stock_input *in, const struct catalogue_item *item,
		      const struct installed *found, json_t *list)
{
	char size[FORMAT_MAX];
	struct err err = {""};
	bool known = false;
	autofree char *shown = format_path(found->path);
	int r = installed_check(item, found->path, &known, NULL, &err);
	const char *word = verdict(r, known), *verb = in->kind == PLACE_WEIGHTS ? "weights" : "dataset";

	json_array_append_new(list, json_pack("{ss, ss, ss, ss?}", "name", item->name, "verdict", word, "path",
					      found->path, "error", r < 0 ? err.text : NULL));
	if (!ctl->json)
		printf("%s: %s, %s, %s%s\n", item->name, word, shown, format_bytes((double)found->bytes, size),
		       r == 0 && !known ? " (no checksum of it is known)" : "");
	if (r == 0)
		return EXIT_OK;
	say_error(err.text);
	if (r == -EBADMSG)
		fprintf(stderr, "  do this:  sweepctl %s fetch %s\n", verb, item->name);
	return r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_BAD_OUTCOME;
}

static int say_absent(const struct stock_input *in, const struct catalogue_item *item)
{
	const char *verb = in->kind == PLACE_WEIGHTS ? "weights" : "dataset";

	fprintf(stderr, "error: %s is not on this machine\n  do this:  sweepctl %s fetch %s\n", item->name, verb,
		item->name);
	return EXIT_NO_SUCH;
}

int stock_verify(struct ctl *ctl, const struct stock_input *input)
{
	auto_catalogue struct catalogue c = {0};
	autojson json_t *list = json_array();
	int code = open_catalogue(input, &c);

	if (code != EXIT_OK)
		return code;
	code = say_unknown(input, &c);
	for (size_t i = 0; i < c.n; i++) {
		auto_installed struct installed found = {0};
		int one = EXIT_OK;
		if (!is_named(input, &c, &c.items[i]))
			continue;
		installed_find(&found, &c.items[i], input->data);
		if (found.path)
			one = verify_one(ctl, input, &c.items[i], &found, list);
		else if (input->names.n)
			one = say_absent(input, &c.items[i]);
		code = code == EXIT_OK ? one : code;
	}
	if (ctl->json)
		print_json(json_incref(list));
	else if (!json_array_size(list) && !input->names.n)
		fprintf(stderr, "none is on this machine (sweepctl %s fetch brings one)\n",
			input->kind == PLACE_WEIGHTS ? "weights" : "dataset");
	return code;
}
