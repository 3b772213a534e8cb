/* How long the rest takes, from what was measured.  Pure.
 *
 * A job's epoch takes what its own finished epochs took; a job without any takes what those of jobs of the same cost
 * (model, batch size, data, precision) took, else those of the same model; else nobody knows, and it says so (NaN).
 * A job that has not begun also takes what finished ones of one attempt took beside their epochs: start, model, checkpoint. */
#pragma once

#include "ctl/reader.h"

struct estimate {
	double *left;        /* seconds of work left, per job */
	double done_seconds; /* of training and testing, all jobs */
	double left_seconds; /* until all are over, on as many devices as run now; NaN: nothing is known */
	bool at_least;       /* left_seconds leaves out jobs of which nothing is known */
	double fraction;     /* of the work; NaN: not known */
	size_t counts[N_JOB_STATES];
};

/* underway: share of each running job's present epoch that is done, or NULL.  stand_for: of how many jobs each is one, where
 * the rows are a sample (survey.h), or NULL. */
void estimate_init(struct estimate *e, const struct job_row *jobs, size_t n, const double *underway, const double *stand_for);
void estimate_fini(struct estimate *e);
