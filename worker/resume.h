/* What a checkpoint says of the run that made it, and whether a job may go on from it. */
#pragma once

#include "position.h"
#include "train.h"

/* Where and how a job computes: {backend, device, amp, threads, versions{the library that computes}}.  New reference. */
json_t *runtime_json(const struct train_job *job);

/* The JSON state of a checkpoint: position, configuration, runtime, version.  New reference. */
json_t *resume_save(const struct train_job *job, const struct position *at);

/* Reads JOB_DIR/last.safetensors into state (of the plan's state_alloc()) and at.  images: of an epoch.
 * ret_note: allocated; what differs from the run that made it, so that the bits will too; NULL: nothing.
 * -ENOENT: no checkpoint; -EBADMSG: it cannot be used by anybody; -EINVAL: it is another configuration's. */
int resume_load(const struct train_job *job, const struct net *net, size_t images, struct state *state,
		struct position *at, char **ret_note, struct err *err);
