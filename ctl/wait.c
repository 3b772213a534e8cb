/* sweepctl wait: returns when the jobs are over; the exit code is their outcome.  For scripts.  A paused job is not
 * over: it is waited for, and that it waits for a person is said. */
#include "ctl/watch.h"

static const struct argp_option options[] = {
	{"timeout", 't', "SECONDS", 0, "give up after that time: exit code 124"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watch_input *input = state->input;
	char *end;

	switch (key) {
	case 't':
		input->timeout_s = strtod(arg, &end);
		if (end == arg || *end || !(input->timeout_s > 0))
			argp_error(state, "--timeout needs seconds, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

static int run(struct ctl *ctl, void *data)
{
	struct watch_input *input = data;

	input->exit_status = input->quiet = true;
	return watch_run(ctl, input);
}

const struct verb verb_wait = {
	.name = "wait",
	.args = "[TARGET...]",
	.line = "until jobs are over; exit code 1 if one failed",
	.group = "Follow",
	.example = "sweepctl wait s1 && mail -s 'sweep done' me < /dev/null",
	.input_size = sizeof(struct watch_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_DAEMON, EXIT_NO_SUCH, EXIT_PERMISSION, EXIT_TIMEOUT, EXIT_INTERRUPTED),
	.run = run,
};
