/* The running daemon: what its parts share.  One libuv loop, one thread; nothing here waits (invariant 8).
 *
 *   clients --control.c, submit.c, change.c--> inputs --turn.c--> store --committed--> answers, acknowledgements
 *   workers --link.c--> inputs        (a slot, slot.c, is a device's place for one worker process and its job)
 *   gone workers --slot_end.c--> inputs        (the rest of an event file, before the attempt ends)
 *   queued rows + free slots --dispatch.c--> input --committed--> {"type":"run"} */
#pragma once

#include "peer.h"
#include "store.h"
#include "turn.h"

#include "common/paths.h"

#include <uv.h>

struct slot;
struct place; /* discover.h */
struct wal;
struct page_check; /* of a large database; NULL: none is under way */
struct forwarder;
struct changing; /* change.c: requests that wait for their outcome */

struct daemon_options {
	const char *dir;	    /* NULL: from the environment */
	const char *worker_program; /* NULL: beside this program, or installed */
	const char *forward_program; /* sweep-forward; NULL: beside this program, or installed */
	const char *backend;	    /* of the workers; NULL: theirs to choose */
	const char *device;	    /* ids, separated by commas; NULL: every GPU that trains, else the CPU */
	int n_slots;		    /* jobs that a worker trains at a time, sharing its device */
	int n_devices, threads;	    /* workers on the CPU (0: not said); threads of each (0: the cores, shared out) */
	int ready_fd;		    /* a byte is written there when requests are served; -1: none */
	int retry_ms;		    /* back-off of the first retry */
	int ask_ms;		    /* between asking a worker, TERM and KILL */
	int drain_ms;		    /* a stop waits so long for checkpoints */
	int heartbeat_lost_ms;	    /* a worker silent for so long is killed */
	int busy_ms;		    /* a client waits so long for a store that takes nothing */
	int adopt_ms;		    /* a worker that starts, or one of the last daemon, must have said hello within */
	int stall_ms, stall_factor; /* a job without a step for so long, or so many times its longest step: it stalls */
	int device_faults, aside_ms; /* so many faults in a row set a device aside, for so long at first */
	int breaker_jobs, breaker_ms; /* so many jobs in a row that fail within that time stop their sweep; 0: never */
};

struct daemon {
	uv_loop_t loop;
	struct daemon_options options;
	struct paths paths;
	struct store *store;
	struct turn *turn;
	struct wal *wal;
	struct page_check *page_check;
	char token[65];
	struct place *places; /* a slot each; the slots behind them end with their jobs */
	int n_places;
	struct slot *slots;
	int n_slots;
	uv_pipe_t worker_listener, control_listener;
	struct peer_list workers, clients;
	struct changing *changing;
	struct forwarder *forwarder;
	uv_signal_t signals[3];
	int n_signals;	  /* that asked for a stop */
	uv_timer_t timer; /* the next deadline of anything */
	int64_t event_published, started_ms;
	bool dispatch_wanted, dispatching;
	double dispatch_at_s; /* a job that waits for its time may start; INFINITY: none */
	bool stopping;	      /* draining */
	bool restarting;      /* at the end of this turn */
	bool closed;	      /* the loop only runs out */
	double give_up_at_s;  /* while stopping */
};

/* Opens the store, listens, adopts what the last daemon left, serves until stopped.  Exit code. */
int daemon_run(const struct daemon_options *options);
/* Begins a clean stop: workers checkpoint and end, their jobs go back to the queue.  Safe to call twice. */
void daemon_stop(struct daemon *d);
/* Ends at once, with EXIT_RESTART; workers train on, and the next daemon adopts them. */
void daemon_restart(struct daemon *d);
/* Something may be startable now, or a deadline has moved: looked at before the loop sleeps again. */
void daemon_poke(struct daemon *d);

/* When a client's request, that the store takes nothing of, is refused (struct input). */
double daemon_refuse_at_s(const struct daemon *d);
/* A new input of so many bytes that begins with struct input. */
void *input_new(struct daemon *d, const struct input_kind *kind, size_t size);
