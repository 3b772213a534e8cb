/* The verb selftest: the options, and what a person sees of selftest.h. */
#include "key.h"
#include "selftest.h"
#include "verbs.h"

#include "common/json.h"
#include "common/protocol.h"
#include "common/wandb.h"

#include <argp.h>
#include <unistd.h>

struct options {
	const char *dir;
	struct selftest_options test;
	bool json;
};

enum { OPTION_PROJECT = 256, OPTION_ENTITY, OPTION_JSON };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->dir = arg;
		return 0;
	case 'u':
		o->test.base_url = arg;
		return 0;
	case OPTION_PROJECT:
		o->test.project = arg;
		return 0;
	case OPTION_ENTITY:
		o->test.entity = arg;
		return 0;
	case OPTION_JSON:
		o->json = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void say(void *arg, const char *step, const char *text)
{
	const struct options *o = arg;
	if (o->json)
		return;
	printf("[ok]  %-6s %s\n", step, text);
	fflush(stdout);
}

static int fail(int code, const struct err *err)
{
	fprintf(stderr, "error: %s\n", err->text);
	return code;
}

static int check_names(const struct options *o, struct err *err)
{
	autojson json_t *project = json_string(o->test.project),
			*entity = json_string(o->test.entity ? o->test.entity : "me");
	int r = wandb_setting_check("project", project, err);
	return r ? r : wandb_setting_check("entity", entity, err);
}

/* The key as of a sweep file in the current directory. */
static int find_key(const struct options *o, struct wandb_key *ret, struct err *err)
{
	autofree char *config = key_config_dir(o->dir), *here = getcwd(NULL, 0);
	const struct wandb_key_places places = {o->test.base_url, here, config, geteuid()};
	return wandb_key_find(&places, ret, err);
}

static int test(struct options *o)
{
	struct err err;
	struct wandb_key key;
	json_t *result = NULL;
	if (find_key(o, &key, &err) < 0)
		return fail(EXIT_PERMISSION, &err);
	if (key.warning)
		fprintf(stderr, "warning: %s\n", key.warning);
	o->test.key = key.key;
	int r = selftest_run(&o->test, &result, &err);
	wandb_key_fini(&key);
	if (r < 0)
		return fail(r == -EACCES ? EXIT_PERMISSION : EXIT_BAD_OUTCOME, &err);
	autofree char *line = json_line(result);
	if (o->json)
		puts(line);
	else
		printf("all well: %s\n", json_str_or(result, "url", ""));
	json_decref(result);
	return EXIT_OK;
}

int verb_selftest(int argc, char **argv)
{
	static const struct argp_option rows[] = {
		{"dir", 'd', "DIR", 0, "keys are stored in that directory"},
		{"base-url", 'u', "URL", 0, "the server; $WANDB_BASE_URL, else " WANDB_DEFAULT_BASE_URL},
		{"project", OPTION_PROJECT, "NAME", 0, "in which the sweep is made (sweepd-selftest)"},
		{"entity", OPTION_ENTITY, "NAME", 0, "W&B's user or team; else the key's own"},
		{"json", OPTION_JSON, NULL, 0, "answer in JSON"},
		{0},
	};
	static const struct argp argp = {rows, parse, NULL,
					 "Makes one sweep with two tiny runs on the server and reads them back."};
	struct err err;
	struct options o = {.test = {.project = "sweepd-selftest", .say = say}};
	o.test.arg = &o;
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	int r = o.test.base_url ? wandb_base_url_check(o.test.base_url, &err)
				: wandb_own_base_url(&o.test.base_url, &err);
	r = r ? r : check_names(&o, &err);
	if (r < 0)
		return fail(EXIT_REFUSED, &err);
	autofree char *url = wandb_base_url_plain(o.test.base_url);
	o.test.base_url = url;
	return test(&o);
}
