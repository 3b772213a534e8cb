/* One place on the device: at most one job at a time, trained in a thread of its own (its OpenMP team belongs to that
 * thread).  Each place has a handle of its own on the device; what the backend can share between them (a GPU's context,
 * its data sets and plans) it shares.  All verbs are for the main thread. */
#pragma once

#include "backend.h"
#include "events.h"
#include "train.h"

struct slot;

struct slot_device {
	const struct backend *backend;
	struct device *device; /* of the slot */
	int threads;	       /* likewise */
};

struct slot *slot_new(const struct slot_device *device, void (*wake)(void *arg), void *arg);
void slot_free(struct slot *slot); /* waits for its job to end */

/* Starts a job from a `run` message (docs/protocol.md).  A configuration that cannot be trained is the attempt's
 * `failed` event, not an error here; an error means that not even its event file could be made. */
int slot_start(struct slot *slot, const json_t *run, struct err *err);

/* The attempt in the slot, running or ended but not yet forgotten; NULL: none. */
struct event_log *slot_events(struct slot *slot);
bool slot_training(const struct slot *slot); /* its thread is alive */
/* A job here has found that this process cannot use the device any more: it must end. */
bool slot_has_lost_device(const struct slot *slot);
/* Its last event is stored by the daemon (or nobody wants it): the slot is free again. */
void slot_forget(struct slot *slot);

struct train_control *slot_control(struct slot *slot);
/* The newest progress, if there was one since the last call. */
bool slot_progress(struct slot *slot, struct train_progress *ret);
