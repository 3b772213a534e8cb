/* sweepctl weights list|fetch|verify|inspect|import; see stock.h and weights_file.h. */
#include "ctl/weights_file.h"

static const struct stock_action actions[] = {
	{"list", stock_list},
	{"fetch", stock_fetch, .fetches = true},
	{"verify", stock_verify},
	{"inspect", weights_inspect, .files = true},
	{"import", weights_import, .files = true},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stock_input *input = state->input;

	if (key == ARGP_KEY_INIT) {
		input->kind = PLACE_WEIGHTS;
		input->actions = actions;
		return 0;
	}
	return stock_parse(key, arg, state);
}

static const struct argp argp = {stock_options, parse};

static int run(struct ctl *ctl, void *data)
{
	const struct stock_input *input = data;

	return input->action->run(ctl, input);
}

const struct verb verb_weights = {
	.name = "weights",
	.args = "list|fetch|verify|inspect|import [NAME|FILE...]",
	.line = "ImageNet weights: what is here, bring some, check them, look into a file, take one in",
	.group = "Machine",
	.example = "sweepctl weights fetch resnet50-v2",
	.input_size = sizeof(struct stock_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_SUCH, EXIT_STATE, EXIT_PERMISSION, EXIT_INTERRUPTED),
	.run = run,
};
