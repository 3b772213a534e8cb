/* Learning rate schedules, stepped once after each epoch as PyTorch's are: torch.optim.lr_scheduler.StepLR (in its
 * chained form: lr is multiplied, so 0.1 becomes 0.010000000000000002) and ReduceLROnPlateau (mode min, threshold_mode
 * rel, eps 1e-8).  Pure: no clock, no I/O.
 *
 * To add one: a choice in params.def, its name in the enum at the same place, a case in schedule_step(). */
#pragma once

#include "common/params.h"

enum scheduler { SCHEDULER_STEP, SCHEDULER_PLATEAU }; /* the order of params.def's choices */

struct schedule {
	enum scheduler kind;
	/* settings */
	int step_size;
	double gamma;
	double factor, threshold, min_lr;
	int patience, cooldown;
	/* state: what a checkpoint keeps */
	double lr;
	int64_t epoch;	/* schedule_step() calls so far */
	double best;	/* plateau: smallest test loss, +inf before the first */
	int64_t bad_epochs, cooldown_left;
};

void schedule_init(struct schedule *s, const struct train_config *cfg);
/* The rate of the epoch to come. */
double schedule_lr(const struct schedule *s);
/* After an epoch; only the plateau looks at its test loss.  NaN is never better. */
void schedule_step(struct schedule *s, double test_loss);

/* The state as a JSON object.  New reference. */
json_t *schedule_save(const struct schedule *s);
/* Into a schedule that schedule_init() made from the same configuration; on error s is unchanged. */
int schedule_load(struct schedule *s, const json_t *object, struct err *err);
