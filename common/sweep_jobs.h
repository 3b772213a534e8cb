/* The jobs of a sweep, kept small: what all have in common once, and of each which of the values it takes.  A hundred
 * thousand of them are a few megabytes.  For common/sweep*.c; others read them by sweep_job_*() of sweep.h. */
#pragma once

#include "sweep_internal.h"

struct varying { /* a parameter that the file gives values for, each once */
	const struct param *param;
	json_t **values;
	char **texts; /* of the values, as json_line() */
	size_t n;
	json_t *index; /* text -> its number; while jobs are added */
	uint32_t base;	/* the number of base's own value, from 1; 0: it is none of them */
};

struct sweep_jobs {
	json_t *base; /* every parameter, as it is where nothing is chosen */
	struct varying *varying; /* in the order of the table of parameters */
	size_t n_varying;
	uint32_t *picks; /* n_varying of each job: number of its value from 1, 0: base's */
	size_t room;	 /* jobs */
};

/* Of a plan's parameters and rules; those in overrides do not vary.  base: consumed. */
struct sweep_jobs *sweep_jobs_new(const struct plan *plan, json_t *base);
void sweep_jobs_free(struct sweep_jobs *jobs);
/* The place of a parameter in `varying`; it must be there. */
size_t sweep_jobs_place(const struct sweep_jobs *jobs, const struct param *param);
/* The number of one of its values; it must be there. */
uint32_t sweep_jobs_number(const struct sweep_jobs *jobs, size_t place, const json_t *value);
/* Job `i`, the one behind the last. */
void sweep_jobs_add(struct sweep_jobs *jobs, size_t i, const uint32_t *picks);
/* Two jobs of the n with one configuration: the smaller pair of places, true; or false. */
bool sweep_jobs_twins(const struct sweep_jobs *jobs, size_t n, size_t *ret_a, size_t *ret_b);
/* What two sweeps with the same jobs have in common, however their files say it: hex SHA-256 of head, the first job, and
 * of each other what differs from it. */
void sweep_jobs_hash(const struct sweep *sweep, const char *head, char hash[65]);
