/* sweepctl compare: compare.c decides what is compared, compare_jobs.c sets two to six jobs side by side,
 * compare_sweep.c shows what each parameter of a sweep does. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/target.h"
#include "ctl/text.h"

#define COMPARE_MAX 6 /* jobs side by side: so many columns are still readable on 80 */

struct compare_input {
	struct words targets;
	const char *metric; /* NULL: the sweep's */
	bool all;           /* parameters that are equal, too */
	int limit;          /* values of each parameter of a sweep; 0: all; < 0: as it fits */
};

/* The jobs of sel, 2 to COMPARE_MAX. */
int compare_jobs(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct compare_input *input,
		 struct err *err);
/* One sweep, which sel names.  Appends to array where the answer is JSON, else prints. */
int compare_sweep(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct sweep_row *sweep,
		  const struct compare_input *input, json_t *array, struct err *err);
