/* sweepctl doctor: doctor.c asks, sums up and prints; the others check: doctor_store.c the daemon, the store and who
 * may do what, doctor_devices.c what computes, doctor_limits.c what the system forbids or withholds, doctor_wandb.c the
 * key of W&B.
 *
 * To add a check: a function below that calls doctor_add() for what it found, called in doctor.c.  FAIL: nothing can be
 * trained; WARN: it can, but; NONE: not there and not needed. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/machine.h"
#include "common/json.h"

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_FAIL, HEALTH_NONE };

struct doctor {
	struct ctl *ctl;
	struct machine machine;
	pid_t daemon;         /* 0: none runs */
	char *worker;         /* path of sweep-worker, or NULL */
	char *worker_version; /* its --version; NULL: it does not start */
	json_t *found;        /* its --devices --json (worker/devices.h); NULL: it does not say */
	json_t *checks;       /* [{name, health, text, do_this?}] */
	int counts[4];
};

/* One line of the answer; do_this may be NULL. */
void doctor_add(struct doctor *d, enum health health, const char *name, const char *do_this, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The same from an error's sentence, whose "do this:" line becomes ours. */
void doctor_add_err(struct doctor *d, enum health health, const char *name, const char *do_this, const struct err *err);

void doctor_daemon(struct doctor *d); /* first: the others look at its process */
void doctor_store(struct doctor *d);
void doctor_rights(struct doctor *d);
void doctor_worker(struct doctor *d);
void doctor_cpu(struct doctor *d);
void doctor_gpus(struct doctor *d);
void doctor_libraries(struct doctor *d);
void doctor_sandbox(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_wandb(struct doctor *d);
