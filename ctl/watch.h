/* sweepctl watch and wait: watch.c follows the daemon and the store, watch_draw.c paints the terminal,
 * watch_lines.c writes plain lines or JSON. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/estimate.h"
#include "ctl/target.h"

struct live {        /* what only the daemon's stream says of a running job; a stored epoch outdates it */
	int epoch;   /* under way, 1-based; 0: nothing heard */
	double part; /* of that epoch, 0..1 */
	double images_per_second;
};

struct watch {
	struct ctl *ctl;
	struct reader *reader;
	struct selection sel;
	struct live *live; /* per job */
	int64_t *said_ms;  /* per job: monotonic time of its last epoch line */
	struct device_row *devices;
	size_t n_devices;
	int64_t last_event;
	struct client client;
	bool lines; /* no picture: lines */
	bool quiet; /* not even those */
	bool said_paused; /* that only paused jobs are left */
	double deadline_s; /* monotonic; INFINITY: none */
	int interval_s;
	int64_t gone_ms; /* since when the daemon is away; 0: it is there */
	char *news;      /* the last thing that happened, or NULL */
};

struct watch_input {
	struct words targets;
	bool exit_status; /* a job that failed or was cancelled: exit code 1 */
	bool quiet;	  /* nothing on stdout: `wait` */
	int interval_s;
	double timeout_s; /* 0: none */
};

int watch_run(struct ctl *ctl, const struct watch_input *input);
/* As `sweepctl watch TARGET`. */
int watch_target(struct ctl *ctl, const char *target);

/* The rest of it all; shares of epochs under way count. */
void watch_estimate(const struct watch *w, struct estimate *e);
/* Paints over the last picture. */
void watch_draw(struct watch *w);
/* One line for each sweep: how many jobs are in which state. */
void watch_say_sweeps(struct watch *w);
/* A job's row changed: at most one line. */
void watch_say_change(struct watch *w, size_t index, const struct job_row *before);
