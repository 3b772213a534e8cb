/* sweepctl dataset list|fetch|verify; see stock.h. */
#include "ctl/stock.h"

static const struct stock_action actions[] = {
	{"list", stock_list},
	{"fetch", stock_fetch, .fetches = true},
	{"verify", stock_verify},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stock_input *input = state->input;

	if (key == ARGP_KEY_INIT) {
		input->kind = PLACE_DATASETS;
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

const struct verb verb_dataset = {
	.name = "dataset",
	.args = "list|fetch|verify [NAME...]",
	.line = "data sets: what is here, bring one, check one",
	.group = "Machine",
	.example = "sweepctl dataset fetch cifar100",
	.input_size = sizeof(struct stock_input),
	.argp = &argp,
	.exits = exits_of_stock,
	.run = run,
};
