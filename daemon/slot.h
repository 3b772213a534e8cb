/* A device's place for one worker process: the live handle (pid, descriptors, timers, the attempt it trains), never the
 * record (those are rows).  Whether the process was started by this daemon or adopted from the last one makes no
 * difference: it is watched by a pidfd and by its connection.
 *
 *   EMPTY --slot_tick--> ADDING --row committed, spawned--> STARTING --hello--> READY
 *     ^                                                       ^  |                |
 *     |                              adopted by slot_adopt() -'  |   exit and end of stream
 *     '------- row and attempt committed as ended (slot_end.c) --'-- GONE <-------'
 */
#pragma once

#include "daemon.h"

enum slot_state { SLOT_EMPTY, SLOT_ADDING, SLOT_STARTING, SLOT_READY, SLOT_GONE };

enum kill_step { KILL_NONE, KILL_ASKED, KILL_TERM, KILL_KILL };

struct slot {
	struct daemon *daemon;
	char device[32];
	int threads;
	enum slot_state state;
	/* the process */
	int64_t worker; /* its row */
	pid_t pid;
	int pidfd;
	uv_poll_t *poll;       /* of pidfd; freed by its close callback */
	uv_process_t *process; /* of a child that has not been reaped, likewise */
	bool exited;
	char how[96]; /* it ended: "killed by signal 9" */
	struct peer *peer; /* its connection, after a good hello */
	double heard_s;	   /* when it last said something */
	double gone_by_s;  /* exited, but its connection is still open: waited for until then */
	/* its job */
	int64_t attempt, job; /* 0: none; as committed */
	bool cancelled;	      /* somebody wants that job cancelled */
	uid_t cancelled_by;
	int64_t acked; /* highest seq told */
	int64_t stored; /* highest seq committed */
	/* its end */
	enum kill_step kill_step;
	double kill_at_s; /* the next step */
	const char *kill_reason;
	double restart_at_s; /* EMPTY: not before */
	int quick_ends;	     /* in a row, without having said hello */
};

int slots_new(struct daemon *d, struct err *err);
/* Takes over the workers that the store knows as alive; those that are not end with their attempts. */
int slots_adopt(struct daemon *d, struct err *err);
/* Starts workers that are missing, heeds deadlines.  Returns the next deadline (monotonic seconds, or INFINITY). */
double slot_tick(struct slot *slot, double now_s);
/* Free for a job. */
bool slot_is_free(const struct slot *slot);
struct slot *slot_of_worker(struct daemon *d, int64_t worker);
struct slot *slot_of_job(struct daemon *d, int64_t job);
bool slots_empty(const struct daemon *d);

/* Sends the job that has just been committed as this slot's attempt. */
void slot_send_run(struct slot *slot, const char *config, const char *data_dir, bool resume);
/* Asks, then TERM, then KILL of the process group. */
void slot_cancel_job(struct slot *slot, uid_t by);
void slot_begin_stop(struct slot *slot);
void slot_kill(struct slot *slot, const char *reason);
/* The attempt has ended (committed): the slot may take another job. */
void slot_forget_attempt(struct slot *slot);
/* Its connection has come or gone. */
void slot_attach(struct slot *slot, struct peer *peer);
void slot_detach(struct slot *slot);
/* Process and connection both ended (invariant 4): replay, then end the rows.  In slot_end.c. */
void slot_end(struct slot *slot);
/* The rows have ended: the place is empty again. */
void slot_vacate(struct slot *slot);
/* Closes its handles; at the end of the daemon, or of the process. */
void slot_close(struct slot *slot);
