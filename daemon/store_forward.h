/* The part of the store that sweep-forward reports; rules as in store.h.  Written is how far W&B is, nothing else. */
#pragma once

#include "store.h"

/* Whether a job of any sweep is to be sent to W&B; 1 or 0. */
int store_forward_wanted(struct store *s, struct err *err);
/* A run's position, absolute: the same or an older one again changes nothing.  -EINVAL: a member is missing or of another
 * type, or there is no such job. */
int store_forward_run(struct store *s, const json_t *run, struct err *err);
/* The job's run is to be sent anew from its first row on where it was refused, or where its sweep was `offline` (which then
 * is online); the event that says so wakes sweep-forward.  1; 0: the job has no use_wandb. */
int store_forward_again(struct store *s, int64_t job, struct err *err);
/* What is known of a sweep at W&B; what is absent stays as it was, but for `problem`. */
int store_forward_sweep(struct store *s, const json_t *sweep, struct err *err);
