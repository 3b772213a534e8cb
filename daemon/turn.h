/* A turn of the loop (invariant 2): what came in is applied to the store in one transaction; when that is committed,
 * memory changes and answers go out.  When the store is busy or full nothing has changed: the inputs stay, workers are
 * not read, and a timer tries again.  A client's input is refused with a sentence when that lasts too long for it.
 *
 *   input_add() --idle handle--> BEGIN; apply each; COMMIT --> done() each
 *                                  | busy, full, I/O error: ROLLBACK, keep all, pause, retry
 *                                  | another error: ROLLBACK, that input has failed, the others again
 */
#pragma once

#include "common/base.h"

#include <uv.h>

struct store;
struct turn;
struct input;

struct input_kind {
	const char *name;
	/* SQL only, may be called again after a rollback; results go into the input itself. */
	int (*apply)(struct input *input, struct store *store, struct err *err);
	/* After the commit (input->failed: 0), or when apply refused (failed < 0, input->why says why).  Frees what the
	 * input holds; the input itself is freed by the caller. */
	void (*done)(struct input *input);
};

struct input {
	const struct input_kind *kind;
	void *daemon;
	double refuse_at_s; /* monotonic: when the store still takes nothing then, it fails with -EBUSY; 0: it waits */
	bool alone; /* in its turn; set before apply() */
	int failed;
	char *why; /* it failed; NULL otherwise */
	struct input *next;
};

struct turn_events {
	void (*pause)(void *arg, bool pause); /* the store takes nothing (turn_trouble() says why); it works again.  The former again when
					       * the reason is another one. */
	void (*committed)(void *arg);	      /* after the inputs' done() */
	void *arg;
};

struct turn *turn_new(uv_loop_t *loop, struct store *store, const struct turn_events *events);
/* Takes a malloc'ed struct that begins with struct input.  After turn_close(): it has failed at once. */
void turn_add(struct turn *turn, struct input *input);
bool turn_idle(const struct turn *turn); /* no input waits */
/* Why the store takes nothing; 0: it does. */
int turn_trouble(const struct turn *turn, const char **ret_why);
/* Closes its handles; inputs that wait are dropped with failed = -ECANCELED. */
void turn_close(struct turn *turn);
void turn_free(struct turn *turn); /* after the loop has run the handles' close callbacks */
