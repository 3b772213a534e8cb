/* Where a training stands: everything a resume needs beside the tensors, as a struct and as the checkpoint's JSON. */
#pragma once

#include "backend.h"
#include "schedule.h"

struct position {
	int epoch;     /* epochs finished */
	uint32_t step; /* steps done in the epoch under way */
	struct sums sums; /* of those steps */
	double train_seconds; /* of those steps */
	struct schedule schedule;
	double best_loss; /* early stopping: smallest test loss, +inf before the first */
	int bad_epochs;	  /* epochs since */
	double best_accuracy; /* percent; -1 before the first epoch */
};

void position_init(struct position *p, const struct train_config *cfg);
json_t *position_save(const struct position *p); /* new reference */
/* Into a position that position_init() made.  steps: of an epoch; on error p is unchanged. */
int position_load(struct position *p, const json_t *object, uint32_t steps, struct err *err);

/* After an epoch: steps the schedule, counts bad epochs, starts the next epoch.  True: the epoch's test accuracy is
 * the best so far. */
bool position_end_epoch(struct position *p, double test_loss, double test_accuracy);
/* torch's usual early stopping: patience > 0 and so many epochs without a smaller test loss. */
bool position_stops_early(const struct position *p, const struct train_config *cfg);
