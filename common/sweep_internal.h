/* What the two halves of sweep.h share: sweep.c reads a file into a plan, sweep_expand.c makes the plan's jobs. */
#pragma once

#include "sweep.h"

struct choice { /* a parameter and the values it takes, in order */
	const struct param *param;
	json_t **values; /* checked, and as config_get() gives them: 1e-1 is 0.1 */
	size_t n;
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
int plan_expand(const struct plan *plan, struct sweep *ret, struct findings *f);
