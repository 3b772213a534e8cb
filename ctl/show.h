/* Parts of `sweepctl show`: how a job does in its tests. */
#pragma once

#include "ctl/confusion.h"
#include "ctl/reader.h"
#include "ctl/screen.h"

struct job_tests {                  /* what is read for it; zeroed: nothing */
	struct metric_row *metrics; /* without a column of their own */
	size_t n_metrics;
	struct confusion_matrix confusion;
	bool has_confusion;
	char *trouble; /* why its confusion matrix is not shown, or NULL */
};

int job_tests_read(struct job_tests *ret, struct reader *r, const struct paths *paths, int64_t job, struct err *err);
void job_tests_fini(struct job_tests *t);
/* Every metric with its last and best value, then the classes. */
int job_tests_print(const struct job_tests *t, const struct screen *out, struct reader *r, const struct job_row *job,
		    struct err *err);
/* {"metrics": {NAME: {"last", "best", "best_epoch"}}, "classes": see confusion_json(), or null}.  New reference. */
int job_tests_json(const struct job_tests *t, struct reader *r, const struct job_row *job, json_t **ret,
		   struct err *err);
