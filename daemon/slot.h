/* A place for one job.  The places of a device lie side by side and share one worker process; the first of them, their
 * lead, has it: the live handle (pid, descriptors, timers), never the record (those are rows).  Whether the process was
 * started by this daemon or adopted from the last one makes no difference: it is watched by a pidfd and by its
 * connection.  The states are the worker's; the other places stay EMPTY.
 *
 *   EMPTY --slot_tick--> ADDING --row committed, spawned--> STARTING --hello--> READY
 *     ^                                                       ^  |                |
 *     |                              adopted by slot_adopt() -'  |   exit and end of stream
 *     '------- row and attempt committed as ended (slot_end.c) --'-- GONE <-------'
 */
#pragma once

#include "daemon.h"
#include "discover.h"
#include "health.h"
#include "oom.h"
#include "watchdog.h"

enum slot_state { SLOT_EMPTY, SLOT_ADDING, SLOT_STARTING, SLOT_READY, SLOT_GONE };

/* What its job is asked for, the stronger later: to end for it stalls, for its time is over, to pause, to be cancelled. */
enum slot_wish { WISH_NONE, WISH_STALL, WISH_TIME, WISH_PAUSE, WISH_CANCEL };

enum kill_step { KILL_NONE, KILL_ASKED, KILL_TERM, KILL_KILL };

struct slot {
	struct daemon *daemon;
	struct slot *lead; /* who has the worker; itself where it is the first.  Below: "lead" is only of use in it */
	int lane;	   /* 0 is the lead's */
	int n_lanes;	   /* lead: places that share its worker */
	int capacity;	   /* lead: jobs at a time that the worker takes, as it said; 0: it has not */
	char device[DEVICE_ID_MAX];
	enum device_kind kind;
	char name[128]; /* of the device, as its worker found it */
	int threads;
	bool surplus; /* of a last daemon with more devices: ends with its job, and is not filled again */
	enum slot_state state;
	/* the process: lead */
	int64_t worker; /* its row */
	pid_t pid;
	int pidfd;
	uv_poll_t *poll;       /* of pidfd; freed by its close callback */
	uv_process_t *process; /* of a child that has not been reaped, likewise */
	bool exited;
	int signal;	/* that ended it; 0: an exit status; -1: not known */
	int exit_status;
	char how[384];	/* it ended: "killed by signal 9" */
	bool greeted;	/* it has said hello; also one that was adopted */
	struct cgroup group;	 /* its, when that process's first job started here */
	pid_t group_of;		 /* that process; 0: not looked up */
	struct oom_counters oom; /* the same */
	enum oom_verdict out_of_memory; /* of its end */
	struct peer *peer; /* its connection, after a good hello */
	struct watch watch;
	double gone_by_s;  /* exited, but its connection is still open: waited for until then */
	int bad_lines;	   /* that cost it its connection, since it was last understood */
	/* its job */
	int64_t attempt, job; /* 0: none; as committed */
	bool ending; /* within a turn: its attempt ends well in this transaction, so another may begin in it */
	enum slot_wish wish;  /* for that job */
	uid_t wished_by;
	int64_t acked; /* highest seq told */
	int64_t stored; /* highest seq committed */
	/* its end: ASKED is of the place's job (of the lead: or of the worker), TERM and KILL are the lead's */
	enum kill_step kill_step;
	double kill_at_s; /* the next step */
	char kill_reason[256];
	double started_s;
	bool useful;	     /* it has ended an attempt by its own word */
	double restart_at_s; /* EMPTY: not before */
	int quick_ends;	     /* in a row: soon after the start, without having been useful */
	struct health health; /* of the device */
};

/* For each place that shares its worker. */
#define for_lanes(place, each) \
	for (struct slot *each = (place)->lead; each < (place)->lead + (place)->lead->n_lanes; each++)

/* Makes the slots and takes over the workers that the store knows as alive; those that are not end with their
 * attempts. */
int slots_new(struct daemon *d, struct err *err);
void slots_free(struct daemon *d); /* after their handles are closed */
/* Starts workers that are missing, heeds deadlines.  Returns the next deadline (monotonic seconds, or INFINITY). */
double slot_tick(struct slot *slot, double now_s);
/* Free for a job, or about to be (slot->ending).  Holds from a turn's apply() to its done(): only events of the loop end
 * it. */
bool slot_is_free(const struct slot *slot);
/* Its device is well, whether it has a job or not. */
bool slot_is_usable(const struct slot *slot);
struct slot *slot_of_worker(struct daemon *d, int64_t worker);
struct slot *slot_of_job(struct daemon *d, int64_t job);
/* The lead of that connection. */
struct slot *slot_of_peer(struct daemon *d, const struct peer *peer);
/* The place, of those that share its worker, that trains the attempt; NULL. */
struct slot *slot_of_attempt(struct slot *slot, int64_t attempt);
/* Its attempt went with a worker that was killed for another one's. */
bool slot_is_bystander(const struct slot *slot);
bool slots_empty(const struct daemon *d);

/* Sends the job whose attempt here is committed, and makes its directory.  Nothing without a connection: hello will. */
void slot_send_run(struct slot *slot, const char *config, const char *data_dir);
/* Asks its worker to end the job (with a checkpoint, but for WISH_CANCEL), then TERM, then KILL of the process group.
 * why: of a worker that does not heed, for people. */
void slot_ask(struct slot *slot, enum slot_wish wish, uid_t by, const char *why);
void slot_begin_stop(struct slot *slot);
void slot_kill(struct slot *slot, const char *reason);
/* An attempt of that job is this slot's (committed): it began then (NAN: in another boot), and may take so long (0: no
 * limit).  attempt 0: none. */
void slot_take_attempt(struct slot *slot, int64_t attempt, int64_t job, double began_s, double limit_s);
/* It has ended (committed): the slot may take another job. */
void slot_forget_attempt(struct slot *slot);
/* The deadlines of its worker, in slot_watch.c.  Returns the next one. */
double slot_look(struct slot *slot, double now_s);
/* It was told to end because of something; not merely asked. */
bool slot_was_killed(const struct slot *slot);
/* The kernel has killed the worker of that slot: in the counters of its group that kill is no other's. */
void slots_claim_oom_kill(struct daemon *d, const struct slot *slot);
/* Nobody was read for a while: that was not their silence. */
void slots_forgive_silence(struct daemon *d);
/* A line of it could not be used; too many, and it is killed: nobody else would end what it goes on sending. */
void slot_distrust(struct slot *slot);
/* Watches its pid until it ends.  -ESRCH: it has. */
int slot_watch(struct slot *slot, struct err *err);
/* When the process and its stream have both ended, or the grace after the first is over: slot_end() (invariant 4). */
void slot_check_gone(struct slot *slot);
/* Its connection has come or gone. */
void slot_attach(struct slot *slot, struct peer *peer);
void slot_detach(struct slot *slot);
/* Process and connection both ended (invariant 4): replay, then end the rows.  In slot_end.c. */
void slot_end(struct slot *slot);
/* The rows have ended: the place is empty again. */
void slot_vacate(struct slot *slot);
/* Closes its handles; at the end of the daemon, or of the process. */
void slot_close(struct slot *slot);
