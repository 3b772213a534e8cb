/* The batch size of each epoch: batch_size at first, larger from epoch to epoch where use_batch_scheduler says so.  A change
 * comes at an epoch's start.  Policies (params.def's batch_policy):
 *
 *   none     it stays
 *   step     grows after every batch_every epochs
 *   plateau  grows after more than batch_patience epochs in a row without a smaller test loss, then counts anew
 *   memory   grows after each epoch whose training loss is not above the one before, while the larger batch would need at
 *            most batch_memory of the device's memory (a step's memory grows with the batch)
 *
 * A growth is by batch_factor, rounded down, at least by one, to at most batch_max.  Where memory is not known, memory never grows.  Learning rates are then multiplied by
 * size / batch_size, or its root (batch_lr_scaling).  Pure: no clock, no I/O. */
#pragma once

#include "backend.h"
#include "schedule.h"

enum batch_policy { BATCH_NONE, BATCH_STEP, BATCH_PLATEAU, BATCH_MEMORY }; /* the order of params.def's choices */

struct batch_schedule {
	const struct train_config *cfg; /* borrowed */
	/* state: what a checkpoint keeps */
	int size;	/* of the epoch to come, or under way */
	int most;	/* batch_max, or what there turned out to be room for */
	double best;	/* plateau: smallest test loss, +inf before the first */
	int64_t bad_epochs;
	double last_loss; /* memory: training loss of the last epoch, +inf before the first */
};

void batch_schedule_init(struct batch_schedule *b, const struct train_config *cfg);
/* After an epoch, the epochs-th: may raise b->size. */
void batch_schedule_step(struct batch_schedule *b, int64_t epochs, const struct epoch_result *result,
			 const struct memory_use *memory);
/* There is no room for b->size, or it cannot train: back to that size.  room: never again above it. */
void batch_schedule_refuse(struct batch_schedule *b, int size, bool room);
/* What learning rates are multiplied by. */
double batch_schedule_lr_scale(const struct batch_schedule *b);

json_t *batch_schedule_save(const struct batch_schedule *b); /* new reference */
/* On error b is unchanged: -EINVAL, also for sizes that no training with this configuration has. */
int batch_schedule_load(struct batch_schedule *b, const json_t *object, struct err *err);
