/* The parts of sweepctl wandb. */
#pragma once

#include "ctl/ctl.h"
#include "common/sweep.h"

enum wandb_action { WANDB_NONE, WANDB_LOGIN, WANDB_STATUS, WANDB_SYNC, WANDB_EXPORT, WANDB_SELFTEST };

struct wandb_input {
	enum wandb_action action;
	struct words targets;
	const char *base_url, *to, *project, *entity;
	bool remove, unchecked;
	double timeout_s; /* 0: none */
};

int wandb_status(struct ctl *ctl, const struct wandb_input *input);
int wandb_sync(struct ctl *ctl, const struct wandb_input *input);

/* The arguments of a call of sweep-forward, grown one by one; borrowed texts. */
struct forward_call {
	const char **argv;
	size_t n;
};
void forward_add(struct forward_call *call, const char *arg);
/* The same with its value, where there is one. */
void forward_add_option(struct forward_call *call, const char *option, const char *value);
/* "sweep-forward VERB --dir DIR". */
void forward_call_init(struct forward_call *call, const struct ctl *ctl, const char *verb);
void forward_call_fini(struct forward_call *call);
/* Becomes sweep-forward; comes back with an exit code only when it cannot. */
int forward_exec(struct forward_call *call);
/* What it prints, as JSON; NULL: it could not be asked.  New reference. */
json_t *forward_ask(struct forward_call *call);

/* Where a key for that server and sweep would be found from here: `sweep-forward key`.  NULL: sweep-forward is not
 * installed, or the system's has it.  New reference. */
json_t *wandb_key_ask(const struct ctl *ctl, const char *base_url, const char *file_dir);
/* Lines of submit: what is sent of a new sweep, and where to; that a sweep which was there keeps its settings. */
void wandb_print_new(const struct ctl *ctl, const struct sweep *sweep, const char *file_dir);
void wandb_print_existing(struct reader *r, int64_t id, const struct sweep *sweep);

/* How far the runs of one sweep are at W&B. */
struct wandb_progress {
	int64_t sweep, owner;
	char *name, *mode, *entity, *project, *base_url, *file_dir, *url,
		*problem;          /* base_url to problem: NULL: none */
	int64_t runs, begun, done; /* done: over, and all of it sent (mode offline: written) */
	int64_t refused, moving;   /* moving: begun, neither done nor refused */
	int64_t in_step;           /* of those, what runs and has nothing to send at the moment */
	int64_t rows_behind;       /* epochs that W&B does not have */
	int64_t oldest_ms;         /* of those, when it was stored; 0: none */
};
struct wandb_refusal {
	int64_t job, sweep;
	char *problem;
};
struct wandb_state {
	struct wandb_progress *sweeps;
	struct wandb_refusal *refusals;
	int64_t *unsent; /* jobs that have begun and are not done; of offline sweeps all that have begun */
	size_t n_sweeps, n_refusals, n_unsent;
};
/* Of the sweeps with a job that has use_wandb, but for mode `disabled`; sweep 0: all. */
int reader_wandb(struct reader *r, int64_t sweep, struct wandb_state *ret, struct err *err);
void wandb_state_fini(struct wandb_state *state);
