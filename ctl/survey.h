/* What many jobs come to, without reading them all: how many are in which state, how long they took, and of more than
 * SURVEY_ALL jobs a sample for the estimate of what is left.
 *
 * A sample takes the same share of each state, at even distances and a place between them that jumps about, so that it does
 * not fall into step with a grid; the same store gives the same sample.  Jobs that run are all in it. */
#pragma once

#include "ctl/estimate.h"

#define SURVEY_ALL    500
#define SURVEY_SAMPLE 150 /* of each state */

struct survey {
	size_t counts[N_JOB_STATES];
	size_t n; /* jobs surveyed */
	double seconds; /* of training and testing, all of them */
	struct job_row *jobs; /* all, in their order, or the sample */
	double *stand_for; /* per row: of how many jobs it is one */
	size_t n_jobs;
};

int survey_take(struct survey *ret, struct reader *r, const struct job_part *parts, size_t n_parts, struct err *err);
void survey_fini(struct survey *s);
/* underway: of each row as estimate_init() takes it, or NULL.  estimate->left is per row. */
void survey_estimate(const struct survey *s, const double *underway, struct estimate *ret);
