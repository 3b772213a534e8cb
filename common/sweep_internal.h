/* What the parts of sweep.h share: sweep.c reads a file's keys into a plan, sweep_params.c those that hold parameters,
 * sweep_wandb.c the settings of W&B, sweep_metrics.c its metric, sweep_expand.c makes the plan's jobs. */
#pragma once

#include "sweep.h"

struct choice { /* a parameter and the values it takes, in order */
	const struct param *param;
	json_t **values; /* checked, and as config_get() gives them: 1e-1 is 0.1 */
	size_t n;
	uint32_t *numbers; /* of the values among all that the parameter has: sweep_jobs_number(); while jobs are made */
	struct mark mark; /* of the key */
};

struct choices {
	struct choice *items;
	size_t n;
};

struct rule { /* of `when`: where every condition's parameter has one of the condition's values, `set` holds */
	struct choices conditions, set;
	struct mark mark;
};

struct plan {
	struct choices parameters; /* the last varies fastest; `seeds` comes last */
	struct choices defaults;   /* one value each */
	struct choices overrides;  /* one value each; win over everything */
	struct rule *rules;
	size_t n_rules;
	int64_t run_cap; /* 0: none */
	struct mark parameters_mark;
};

const struct choice *choices_find(const struct choices *list, const struct param *param);
/* Fills ret->swept and ret->jobs.  Findings: too many jobs, two jobs alike, a job that config_check() refuses. */
int plan_expand(struct plan *plan, struct sweep *ret, struct findings *f);

struct reading {
	struct plan plan;
	struct sweep *sweep;
	bool has_goal;
	struct mark metric_mark; /* of its name */
	json_t *wandb; /* project and entity of the file itself: what its wandb map lacks */
	struct mark wandb_mark; /* of the map */
	const struct node *seeds;
	struct findings *f;
};

struct member { /* of the file's map, under the hands of its taker */
	struct mark key;
	const struct node *value;
};

/* "\n  do this:  write "NEAR"", or "".  Allocated. */
char *hint(const char *near);
/* Whether a value is of that kind, or a whole number in the range; if not, that is said. */
bool want_kind(struct reading *r, const struct node *node, enum node_kind kind, const char *key, const char *wanted);
bool want_int(struct reading *r, const struct node *node, const char *key, int64_t min, int64_t max, int64_t *ret);

/* Takers of a key's value, rows of the table in sweep.c. */
void take_parameters(struct reading *r, struct member m);
void take_defaults(struct reading *r, struct member m);
void take_when(struct reading *r, struct member m);
void take_seeds(struct reading *r, struct member m);
void take_repeat(struct reading *r, struct member m);
void take_entity(struct reading *r, struct member m);
void take_wandb(struct reading *r, struct member m);
/* Of the map `metric`. */
void take_metric_name(struct reading *r, const struct node *node);
/* Of the expanded sweep: whether every job reports the sweep's metric. */
void check_metric(struct reading *r);
/* After all keys. */
void check_rules(struct reading *r);
/* After those and the overrides: use_wandb where the map alone asks for it, project and entity. */
void finish_wandb(struct reading *r);
/* Of the expanded sweep: whether what would be forwarded can be. */
void check_wandb(struct reading *r);
/* The choice of a parameter anew at the end of a list. */
struct choice *choices_add(struct choices *list, const struct param *param, struct mark mark);
void take_override(struct reading *r, const struct sweep_override *o);
