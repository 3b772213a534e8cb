/* The verb follow: the options, and nothing else. */
#include "verbs.h"

#include "common/log.h"
#include "common/paths.h"
#include "common/protocol.h"

#include <argp.h>

struct options {
	const char *dir;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	if (key != 'd')
		return ARGP_ERR_UNKNOWN;
	o->dir = arg;
	return 0;
}

int verb_follow(int argc, char **argv)
{
	static const struct argp_option rows[] = {{"dir", 'd', "DIR", 0, "of the sweepd whose runs are sent"}, {0}};
	static const struct argp argp = {rows, parse, NULL, "Sends runs to Weights & Biases as they are committed."};
	struct options o = {0};
	struct paths paths;
	struct err err;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (paths_client(&paths, o.dir, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_BAD_OUTCOME;
	}
	paths_fini(&paths);
	return EXIT_OK;
}
