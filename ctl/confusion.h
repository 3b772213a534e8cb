/* What the test images of a run were taken for, as its worker left it in JOB_DIR/confusion.json (worker/confusion.h),
 * and what a person asks of it: classes by accuracy, the most frequent confusions. */
#pragma once

#include "ctl/format.h"
#include "common/paths.h"

#define CONFUSION_CLASSES_MAX 1000
#define CONFUSION_NAME_MAX    40 /* columns of a class's name; a longer one is cut */

struct confusion {
	size_t n;           /* classes */
	char **names;       /* harmless on a terminal */
	int epoch;          /* whose test it is */
	uint32_t *images;   /* (n, n): true class, class they were taken for */
	uint64_t *of_class; /* (n): images of the class */
	double *accuracy;   /* (n): per cent; NaN: no image is of it */
};

struct confused { /* one cell off the diagonal */
	size_t class, taken_for;
	uint32_t images;
	double percent; /* of the class's images */
};

/* The last test of a job.  1; 0 where there is no such file; an error says what is wrong with it: it is not trusted. */
int confusion_read(struct confusion *ret, const struct paths *paths, int64_t job, struct err *err);
void confusion_fini(struct confusion *c); /* accepts one of zeros */
/* Classes that have images, worst first, by number where alike; n: how many.  Allocated. */
size_t *confusion_ranked(const struct confusion *c, size_t *ret_n);
/* At most `limit` of the most frequent confusions, those of no image left out; allocated. */
struct confused *confusion_most(const struct confusion *c, size_t limit, size_t *ret_n);
/* {"epoch", "worst" and "best": [{"class", "accuracy"}], "confused": [{"class", "taken_for", "images", "percent"}]},
 * each of at most `limit`.  New reference. */
json_t *confusion_json(const struct confusion *c, size_t limit);
