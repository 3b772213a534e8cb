/* What the parts of following share: follow.c (the loop), run.c (a run), wsweep.c (a sweep at W&B), upload.c (a run's
 * files).  One loop, one thread. */
#pragma once

#include "batch.h"
#include "link.h"
#include "net.h"

#include "common/paths.h"
#include "common/wandb.h"

struct follow_options {
	const char *dir, *control; /* NULL: found as sweepctl does */
	int orphan_ms;	  /* ends when sweepd is away for so long; 0: never */
	int rate;	  /* requests a second, of all runs together */
	int in_flight;	  /* requests at a time */
	int interval_ms;  /* between two requests of a run */
	int heartbeat_ms; /* of a run with nothing to say */
	int retry_ms;	  /* first wait after a failure */
	int person_ms;	  /* between two tries of what a person must mend */
	int poll_ms;	  /* between two looks at a sweep's buttons */
	int stop_ms;	  /* a stop sends what is there for so long */
};

struct run;
struct wsweep;
struct offlines;

struct follow {
	uv_loop_t loop;
	struct follow_options options;
	struct paths paths;
	char *config_dir; /* of stored keys */
	struct net *net;
	struct link *link;
	struct rows *rows; /* NULL: no store yet */
	struct line_machine machine;
	struct wsweep *sweeps; /* a list */
	struct run **runs;
	size_t n_runs, next_run; /* next_run: who is asked first */
	struct offlines *offlines; /* sweeps with mode `offline` */
	int64_t seen_event;
	json_t *asks; /* messages to sweepd that must arrive: buttons pressed in W&B */
	double ask_s;	 /* not before: sweepd's store took nothing */
	double report_s; /* not before: reports are gathered */
	int uploading; /* runs that upload files now */
	uv_timer_t timer;
	uv_signal_t signals[2];
	bool stopping, closed;
	double stop_at_s;
};

/* Something may be possible now: looked at before the loop sleeps again. */
void follow_poke(struct follow *f);
/* A request to sweepd that is repeated until it is answered: {"ask": verb, "jobs": [...]}.  Consumes jobs; nothing for an
 * empty list. */
void follow_ask(struct follow *f, const char *verb, json_t *jobs);
/* Whether a run of that sweep is not wholly sent yet. */
bool follow_owes(const struct follow *f, const struct wsweep *ws);
/* The sweep, made on first use.  NULL: the store does not know it; err says why. */
struct wsweep *follow_sweep(struct follow *f, int64_t sweep, struct err *err);
