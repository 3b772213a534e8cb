/* Checkpoints: one safetensors file each, whole or not there (invariant 7).  Tensor names are torchvision's; the JSON
 * state of the training (epoch, step, sums, schedule) travels as the metadata string "state" in the same file, so that
 * tensors and state cannot be of two moments.  Files in a job's directory:
 *
 *   last.safetensors   to go on from: model + the optimizer's slots (optimizer.momentum.*, or optimizer.exp_avg.* and
 *                      optimizer.exp_avg_sq.*) + average (ema.*) + state; while the job is unfinished
 *   best.safetensors   the model of the epoch with the best test accuracy
 *   final.safetensors  the model after the last epoch
 *   best-ema.safetensors, final-ema.safetensors
 *                      the same of the average of the weights (ema_decay), by its own test accuracy; under the model's
 *                      names, so that they load as the others do
 *
 * The snapshot is copied on the training thread; bytes are written by a thread of the checkpointer's own.  The event
 * file is fsynced before the rename, so no checkpoint is newer than the events that lead to it; once the attempt has
 * ended or is fenced, nothing gets its name any more. */
#pragma once

#include "backend.h"
#include "events.h"

#include <jansson.h>

enum checkpoint_kind { CHECKPOINT_LAST, CHECKPOINT_BEST, CHECKPOINT_FINAL, CHECKPOINT_BEST_EMA, CHECKPOINT_FINAL_EMA };

struct checkpointer;

/* net, backend, plan and events are borrowed for its life. */
int checkpointer_new(struct checkpointer **ret, const char *job_dir, const struct net *net,
		     const struct backend *backend, struct plan *plan, struct event_log *events, struct err *err);
/* Copies the plan's state and hands it to the writer, after checkpointer_flush().  state: consumed; for CHECKPOINT_LAST
 * the members epoch and step go into the `checkpoint` event. */
void checkpointer_write(struct checkpointer *c, enum checkpoint_kind kind, json_t *state);
/* From now on the state of another plan of the same net and recipe; NULL: of none as yet. */
void checkpointer_use(struct checkpointer *c, struct plan *plan);
/* Waits until nothing is being written; the error of the last write, told once. */
int checkpointer_flush(struct checkpointer *c, struct err *err);
void checkpointer_free(struct checkpointer *c); /* waits; accepts NULL */

/* Reads JOB_DIR/last.safetensors into `into` (allocated by this net's state_alloc).  -ENOENT: there is none.
 * ret_state: new reference. */
int checkpoint_load(const char *job_dir, const struct net *net, struct state *into, json_t **ret_state,
		    struct err *err);
/* Removes last.safetensors of a finished job. */
void checkpoint_remove_last(const char *job_dir);
