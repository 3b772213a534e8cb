/* One training under way, shared by train.c (its loop) and train_emit.c (what it says). */
#pragma once

#include "checkpoint.h"
#include "data.h"
#include "position.h"
#include "telemetry.h"
#include "train.h"

#include "common/protocol.h"

/* How a stretch of training ended, where it is not an error. */
enum outcome { GO_ON, FINISHED, CANCELLED, RELEASED, FENCED };

struct training {
	const struct train_job *job;
	struct dataset *data;
	struct net *net;
	struct plan *plan;
	struct checkpointer *checkpointer;
	struct position at;
	uint32_t *order;
	struct step_values *values; /* of the epoch's steps */
	struct mix *mixes;	    /* likewise; NULL: nothing is mixed */
	int batch; /* images of the plan's steps */
	uint32_t steps, test_steps; /* of an epoch, of its test */
	double last_checkpoint_s, last_progress_s;
	double step_s, test_step_s; /* measured; 0: not yet */
	char *resumed_note;
	json_t *pretrained; /* of the event `started`; NULL: fresh weights, or a checkpoint's */
	struct telemetry *telemetry;
	int64_t device_bytes; /* of the plan; 0: not known */
};

struct tested { /* the test after an epoch */
	struct sums weights, ema; /* ema: of no images where there is no average */
	double seconds;
};

double sums_loss(const struct sums *sums);    /* mean over the images; NaN of none */
double sums_percent(const struct sums *sums); /* of correct images; 0 of none */

/* From here on what it uses is recorded, until its outcome is. */
int training_emit_started(struct training *t, struct err *err);
/* A few times a second.  step: of steps, of the training or of its test. */
void training_progress(struct training *t, bool testing, uint32_t step, uint32_t steps);
int training_emit_epoch(struct training *t, const struct epoch_result *result, const struct tested *tested, struct err *err);
int training_emit_outcome(struct training *t, enum outcome outcome, struct err *err);
/* code: of an error; class: what it is called unless the code says more. */
void training_emit_failed(struct training *t, int code, enum fail_class class, const struct err *err);
