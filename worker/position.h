/* Where a training stands: everything a resume needs beside the tensors, as a struct and as the checkpoint's JSON. */
#pragma once

#include "backend.h"
#include "batch_schedule.h"

struct position {
	int epoch;     /* epochs finished */
	int64_t steps_before; /* of them */
	uint32_t step; /* steps done in the epoch under way */
	struct sums sums; /* of those steps */
	double train_seconds; /* of those steps */
	struct schedule schedule;
	struct batch_schedule batch;
	double best_loss; /* early stopping: test loss of the last better epoch, +inf before the first */
	int bad_epochs;	  /* epochs since */
	double best_accuracy, best_ema_accuracy; /* percent; -1 before the first epoch */
};

void position_init(struct position *p, const struct train_config *cfg); /* cfg is borrowed */
json_t *position_save(const struct position *p); /* new reference */
/* Into a position that position_init() made.  images: of an epoch; on error p is unchanged. */
int position_load(struct position *p, const json_t *object, size_t images, struct err *err);
/* Steps of the epoch under way. */
uint32_t position_steps(const struct position *p, size_t images);

struct position_best { /* whether an epoch's test accuracy is the best so far */
	bool weights, ema; /* of the weights, of their average */
};
/* After an epoch: steps the schedules, counts bad epochs, starts the next epoch.  ema_accuracy: NAN without an average;
 * memory: of the plan that trained. */
struct position_best position_end_epoch(struct position *p, const struct epoch_result *result, double ema_accuracy,
					const struct memory_use *memory);
/* The usual early stopping: patience > 0 and so many epochs in a row whose test loss was not smaller by more than
 * min_delta. */
bool position_stops_early(const struct position *p, const struct train_config *cfg);
