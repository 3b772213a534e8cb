/* Training parameters: the rows of params.def as a table, and a training configuration as a struct.
 *
 * A configuration exists in two forms that say the same: `struct train_config` (what the worker computes with) and a
 * JSON object with every parameter, in the table's order (what is stored, sent and shown). */
#pragma once

#include "base.h"

#include <jansson.h>

enum param_type { PARAM_INT, PARAM_NUM, PARAM_BOOL, PARAM_CHOICE, PARAM_TEXT, PARAM_LIST };

#define PARAM_TEXT_MAX 511
#define PARAM_LIST_MAX 16
struct param_list { /* whole numbers, ascending */
	int n, at[PARAM_LIST_MAX];
};

struct train_config { /* choices hold the index into the row's choices */
#define P_INT(name, ...) int name;
#define P_NUM(name, ...) double name;
#define P_BOOL(name, ...) bool name;
#define P_CHOICE(name, ...) int name;
#define P_TEXT(name, ...) char name[PARAM_TEXT_MAX + 1];
#define P_LIST(name, ...) struct param_list name;
#include "params.def"
};

struct param {
	const char *name;
	enum param_type type;
	const char *help;
	double min, max; /* int, num and each of a list: inclusive, but min is excluded when `open` */
	bool open;
	const char *choices;	   /* choice: "a|b|c" */
	const char *default_text;  /* as a user would write it */
	size_t offset;		   /* in struct train_config */
};

extern const struct param params[];
extern const size_t n_params;

/* The row of that name, or NULL. */
const struct param *param_find(const char *name);
/* The known name nearest to a misspelt one, or NULL. */
const char *param_nearest(const char *name);
/* Splits choices: copies choice i into buf; false past the end. */
bool param_choice(const struct param *p, int i, char *buf, size_t size);
/* The number of a choice, or -1. */
int param_choice_index(const struct param *p, const char *text);
/* The name of the choice a configuration holds, e.g. config_choice(cfg, "model"); static storage. */
const char *config_choice(const struct train_config *cfg, const char *name);

/* Checks a JSON value for p: type, range, choice, that an int is whole, and that text can be printed.  Fills err with three lines, the first
 * without the place ("\"lr\" needs a number; \"0,05\" is text"), then "  expected: ..." and, where one is known,
 * "  do this:  ...". */
int param_check(const struct param *p, const json_t *value, struct err *err);

/* Defaults of every row. */
void config_defaults(struct train_config *cfg);
/* Sets one parameter from a checked JSON value. */
void config_set(struct train_config *cfg, const struct param *p, const json_t *value);
/* From a JSON object that holds any subset of the parameters; unknown keys and bad values are errors, absent ones take
 * their default.  Also checks what only a whole configuration shows (nesterov needs momentum). */
int config_from_json(struct train_config *cfg, const json_t *object, struct err *err);
/* Every parameter in the table's order.  New reference. */
json_t *config_to_json(const struct train_config *cfg);
/* Rules between parameters: what would be meaningless. */
int config_check(const struct train_config *cfg, struct err *err);
/* What is merely unusual, or set and not used: a list of sentences, shown where a job is submitted and where it is looked
 * at.  New reference. */
json_t *config_warnings(const struct train_config *cfg);
/* The same in two parts: what is unusual, a list; and, by parameter, what is set and not used. */
void config_warnings_of(const struct train_config *cfg, json_t **ret_unusual, json_t **ret_unused);
/* Whether two configurations have the same value of a parameter. */
bool config_same(const struct train_config *a, const struct train_config *b, const struct param *p);
/* Value of one parameter as JSON.  New reference. */
json_t *config_get(const struct train_config *cfg, const struct param *p);
