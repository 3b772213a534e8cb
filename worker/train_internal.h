/* One training under way, shared by train.c (its loop) and train_emit.c (what it says). */
#pragma once

#include "checkpoint.h"
#include "confusion.h"
#include "data.h"
#include "position.h"
#include "step_log.h"
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
	struct step_record *records; /* likewise; NULL: no step is logged */
	struct step_log step_log;
	int batch; /* images of the plan's steps */
	uint32_t steps; /* of an epoch */
	double last_checkpoint_s, last_progress_s;
	double step_s, test_step_s; /* measured; 0: not yet */
	char *resumed_note;
	json_t *pretrained; /* of the event `started`; NULL: fresh weights, or a checkpoint's */
	struct telemetry *telemetry;
	int64_t device_bytes; /* of the plan; 0: not known */
	struct confusion confusion;
};

struct test_sums { /* of no images where there was no such test */
	struct sums plain, mirror;
};

struct split_tested {
	struct test_sums weights, ema;
};

struct tested { /* the test after an epoch, by enum split */
	struct split_tested of[N_SPLITS];
	double seconds;
};

const struct backend *training_backend(const struct training *t);
uint32_t training_batches(const struct training *t, enum split split);
/* How many steps of step_s seconds (0: not yet known) to run before the next look at the wishes. */
uint32_t training_chunk(double step_s, uint32_t left);
/* Between two steps: what others want of this job, and the checkpoint that is due (never in a test: nothing moves). */
int training_heed_wishes(struct training *t, bool testing, enum outcome *ret, struct err *err);
/* Tests the weights and their average, where there is one, on the held-out images, where there are any, and the test set;
 * notes in t->confusion what the weights took the test images for.  A job that ends in it goes on with its beginning. */
int training_test(struct training *t, struct tested *ret_tested, enum outcome *ret, struct err *err);

double sums_loss(const struct sums *sums);    /* mean over the images; NaN of none */
double sums_percent(const struct sums *sums); /* of correct images; 0 of none */

/* From here on what it uses is recorded, until its outcome is. */
int training_emit_started(struct training *t, struct err *err);
/* A few times a second.  step: of steps, of the training or of its test. */
void training_progress(struct training *t, bool testing, uint32_t step, uint32_t steps);
int training_flush_steps(struct training *t, struct err *err);
/* What was logged of steps, then the metrics, then the epoch: who reads the epoch's event finds the others there. */
int training_emit_epoch(struct training *t, const struct epoch_result *result, const struct tested *tested, struct err *err);
int training_emit_outcome(struct training *t, enum outcome outcome, struct err *err);
/* code: of an error; class: what it is called unless the code says more. */
void training_emit_failed(struct training *t, int code, enum fail_class class, const struct err *err);
