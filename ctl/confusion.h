/* What a person asks of a run's confusion matrix: classes by accuracy, the most frequent confusions. */
#pragma once

#include "ctl/format.h"
#include "common/confusion_file.h"
#include "common/paths.h"

#define CONFUSION_NAME_MAX 40 /* columns of a class's name; a longer one is cut */

struct confused { /* one cell off the diagonal */
	size_t class, taken_for;
	uint32_t images;
	double percent; /* of the class's images */
};

/* The last test of a job, names harmless on a terminal; otherwise as confusion_matrix_read(). */
int confusion_read(struct confusion_matrix *ret, const struct paths *paths, int64_t job, struct err *err);
/* Per cent of the class's images that were taken for the other, its accuracy where both are one; NaN: it has no images. */
double confusion_percent(const struct confusion_matrix *c, size_t class, size_t taken_for);
/* Classes that have images, worst first, by number where alike; n: how many.  Allocated. */
size_t *confusion_ranked(const struct confusion_matrix *c, size_t *ret_n);
/* At most `limit` of the most frequent confusions, those of no image left out; allocated. */
struct confused *confusion_most(const struct confusion_matrix *c, size_t limit, size_t *ret_n);
/* {"epoch", "worst" and "best": [{"class", "accuracy"}], "confused": [{"class", "taken_for", "images", "percent"}]},
 * each of at most `limit`.  New reference. */
json_t *confusion_json(const struct confusion_matrix *c, size_t limit);
