/* What `sweepctl dataset` and `sweepctl weights` share: their options, and list, fetch and verify.
 *
 * A verb of this kind has a table of actions; to add one: a row there, its word in the verb's args. */
#pragma once

#include "ctl/ctl.h"
#include "common/catalogue.h"

struct stock_input;

struct stock_action {
	const char *name;
	int (*run)(struct ctl *ctl, const struct stock_input *input);
	bool fetches; /* takes the options that are fetch's alone */
	bool files;   /* its words are files, at least one */
};

struct stock_input {
	enum place_kind kind;
	const struct stock_action *actions, *action; /* actions: ended by a row without a name */
	const char *data, *catalogue;		     /* or NULL */
	struct words names;			     /* behind the action */
	struct {
		const char *name, *arg; /* --mirror URL, ...: for sweep-forward */
	} options[64];
	size_t n_options;
	const char *fetchs_own; /* name of an option given that is fetch's alone, or NULL */
};

extern const struct argp_option stock_options[];
/* The parser; input is a struct stock_input whose kind and actions were set at ARGP_KEY_INIT. */
error_t stock_parse(int key, char *arg, struct argp_state *state);

int stock_list(struct ctl *ctl, const struct stock_input *input);
int stock_fetch(struct ctl *ctl, const struct stock_input *input);
int stock_verify(struct ctl *ctl, const struct stock_input *input);
extern const int exits_of_stock[];
