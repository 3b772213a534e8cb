/* Samples of training steps (parameter log_steps) on their way into durable events.  One event holds many samples: a fast
 * epoch costs one, and of a slow one something is seen every STEP_LOG_INTERVAL_S.  Steps are counted over the whole job,
 * from 1; sampled are those that log_steps divides, so a run that goes on from a checkpoint samples the same ones. */
#pragma once

#include "backend.h"
#include "events.h"

#include "common/params.h"
#include "common/protocol.h"

#define STEP_LOG_INTERVAL_S 5.0

struct step_sample {
	int64_t step;
	double lr, train_loss, grad_norm;
};

struct step_log {
	int64_t every; /* 0: no samples */
	bool norms;    /* gradients are clipped, so their norm is known */
	size_t n;      /* taken, not yet emitted; all of one epoch */
	struct step_sample samples[STEPS_EVENT_MAX];
	double emitted_s;
};

struct step_span { /* steps that run() was asked for, of the epoch under way */
	int epoch;	/* under way, 1-based */
	int64_t before; /* steps of the job before this epoch */
	uint32_t first, n;
	const struct step_values *values;   /* (steps), of the epoch */
	const struct step_record *records; /* likewise; not a finite loss: that step was not made, or the training ends with it */
};

void step_log_init(struct step_log *log, const struct train_config *cfg);
/* Takes those of the span that are to be sampled; emits when it is full, or time. */
int step_log_take(struct step_log *log, struct event_log *events, const struct step_span *span, struct err *err);
/* Emits what was taken: before a checkpoint, which may be gone on from, and before the epoch's own event. */
int step_log_flush(struct step_log *log, struct event_log *events, int epoch, struct err *err);
