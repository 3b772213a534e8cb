/* Learning rate schedules as PyTorch's, and the momentum that goes with them: torch.optim.lr_scheduler.StepLR and
 * MultiStepLR (in their chained form: lr is multiplied, so 0.1 becomes 0.010000000000000002), ReduceLROnPlateau,
 * CosineAnnealingLR (closed form), each stepped after an epoch; OneCycleLR, stepped after each training step; LinearLR in
 * front of any but the last, with SequentialLR's meaning: the schedule begins at its own epoch 0 when the warm-up is over.
 * Momentum is the configuration's, OneCycleLR's, or FSGDM's ramp: e / (e + c * epochs) in epoch e, 0 at first
 * (github.com/yinleung/FSGDM).  Where the batch grows, epochs count, not steps.  Pure: no clock, no I/O.
 *
 * To add one: a choice in params.def, its name in the enum at the same place, a case in main_step() or main_lr(). */
#pragma once

#include "optim.h"

#include "common/params.h"

enum scheduler { /* the order of params.def's choices */
	SCHEDULER_STEP,
	SCHEDULER_PLATEAU,
	SCHEDULER_MULTI_STEP,
	SCHEDULER_COSINE,
	SCHEDULER_ONE_CYCLE,
	SCHEDULER_NONE
};

/* What an epoch came to; in the order of params.def's plateau_metric. */
struct epoch_result {
	double test_loss, test_accuracy, train_loss, train_accuracy; /* accuracies in percent */
};

struct schedule {
	const struct train_config *cfg; /* borrowed */
	/* state: what a checkpoint keeps */
	double lr;	/* of the epoch to come, as if there were no warm-up */
	int64_t epoch;	/* schedule_step() calls so far */
	double best;	/* plateau: best value of its metric, +inf (mode max: -inf) before the first */
	int64_t bad_epochs, cooldown_left;
};

void schedule_init(struct schedule *s, const struct train_config *cfg);
/* Learning rate and momentum of each of the `steps` steps of the epoch to come. */
void schedule_values(const struct schedule *s, uint32_t steps, struct step_values *ret);
/* After an epoch; only the plateau looks at its result.  NaN is never better. */
void schedule_step(struct schedule *s, const struct epoch_result *result);
/* The rate that an epoch to come begins with. */
double schedule_lr(const struct schedule *s);

/* The state as a JSON object.  New reference. */
json_t *schedule_save(const struct schedule *s);
/* Into a schedule that schedule_init() made from the same configuration; on error s is unchanged. */
int schedule_load(struct schedule *s, const json_t *object, struct err *err);
