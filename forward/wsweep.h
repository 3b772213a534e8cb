/* A sweep at Weights & Biases: whose key, which entity and project, the sweep object itself, and its buttons.
 *
 *   NEW --key found--> VIEWER --key is good--> LOOKUP --not there--> CREATE --> READY <--poll--> buttons act on jobs
 *    ^                    |                       |  '---- there (its nonce) ------^
 *    '---- PARKED <-------+-----------------------+---- what a person must mend: key, right, project; said once
 *
 * A sweep is looked for by the nonce in its description before it is made, so that a lost answer makes no second one.
 * A sweep file that varies nothing has no sweep there. */
#pragma once

#include "follow_internal.h"

struct wsweep *wsweep_new(struct follow *f, int64_t sweep, struct err *err);
/* Acts where something is due.  Returns when it wants to be asked again (monotonic seconds, or INFINITY). */
double wsweep_tick(struct wsweep *ws, double now_s);
bool wsweep_is_ready(const struct wsweep *ws);
/* A run's request met what a person must mend: everything of the sweep waits. */
void wsweep_park(struct wsweep *ws, const char *why);
/* A person may have mended it: what waits looks at once. */
void wsweep_hurry(struct wsweep *ws);
/* A run that had ended goes on. */
void wsweep_reopened(struct wsweep *ws);
/* What the server calls entity and project. */
void wsweep_place(struct wsweep *ws, const char *entity, const char *project);

/* For requests of its runs; borrowed. */
struct wsweep_facts {
	int64_t id;
	const char *base_url, *key, *entity, *project;
	const char *there; /* its short id at W&B, or NULL */
	const struct sweep_row *row;
	const struct wandb_settings *settings;
};
void wsweep_facts(const struct wsweep *ws, struct wsweep_facts *ret);
/* "https://wandb.ai/me/cifar/runs/ID"; allocated. */
char *wsweep_run_url(const struct wsweep *ws, const char *run_id);
/* For sweepd, where something is to be reported; NULL: nothing.  New reference.  After the answer: wsweep_reported(). */
json_t *wsweep_report(struct wsweep *ws);
void wsweep_reported(struct wsweep *ws, bool stored);
struct wsweep *wsweep_next(const struct wsweep *ws); /* in follow's list */
void wsweep_free(struct wsweep *ws);
