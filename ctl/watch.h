/* sweepctl watch and wait: watch.c follows the daemon and the store, watch_draw.c paints the terminal,
 * watch_lines.c writes plain lines or JSON, watch_store.c reads what they say. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/survey.h"
#include "ctl/target.h"

struct live {        /* what only the daemon's stream says of a running job; a stored epoch outdates it */
	int64_t job;
	int epoch;   /* under way, 1-based */
	double part; /* of that epoch, 0..1 */
	double images_per_second;
};

struct seen { /* a job that is not over, as it was when a line last might have been said of it */
	int64_t job;
	enum job_state state;
	int epoch;
	int64_t said_ms; /* monotonic time of its last epoch line */
};

struct watch {
	struct ctl *ctl;
	struct reader *reader;
	struct selection sel;
	struct survey survey; /* of what is selected; `wait`: its counts alone */
	struct job_row *page; /* where the survey is a sample: the jobs that need eyes first, for the picture */
	size_t n_page;
	int64_t best_job; /* of one sweep: the leader; 0: none */
	double best_value;
	int64_t first_ms, last_ms; /* the first attempt began, the last job ended; 0: not yet */
	struct live *live;
	size_t n_live;
	struct seen *seen; /* lines only */
	size_t n_seen;
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

/* The rest of it all; shares of epochs under way count.  e->left is per row of the survey. */
void watch_estimate(const struct watch *w, struct estimate *e);
/* What the stream last said of a job, or NULL where a stored epoch has outdated it. */
const struct live *watch_live(const struct watch *w, const struct job_row *job);
/* All parts are of one sweep: it; else NULL. */
const struct sweep_row *watch_sweep(const struct watch *w);

/* watch_store.c: what is known of the store.  Reads the survey again and, for a picture, the jobs that it shows. */
int watch_refresh(struct watch *w, struct err *err);
/* Reads the events since the last time and says what changed. */
int watch_catch_up(struct watch *w, struct err *err);
void watch_remember(struct watch *w, const struct job_row *job);

/* Paints over the last picture. */
void watch_draw(struct watch *w);
/* One line for each sweep: how many jobs are in which state. */
int watch_say_sweeps(struct watch *w, struct err *err);
/* A job's row: before it was as `before` says, which is NULL where that is not known, then state_changed tells. */
void watch_say_change(struct watch *w, const struct job_row *job, struct seen *before, bool state_changed);
