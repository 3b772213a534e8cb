/* The store as sweep-forward sees it: read-only, one statement at a time, nothing kept open between two calls.  All SQL
 * of following runs is in rows.c.  Rows come in the order of their event ids. */
#pragma once

#include "lines.h"

#include "common/base.h"
#include "common/paths.h"

#include <jansson.h>

struct rows;

enum run_phase {
	RUN_NEW,      /* not at W&B yet */
	RUN_OPEN,     /* runs there */
	RUN_LEFT,     /* has left its device and waits: "preempting" was said */
	RUN_FINISHED, /* "complete" was acknowledged; a retry opens it again */
	RUN_REFUSED,  /* the server will never take it */
};
extern const char *const run_phase_names[]; /* as in wandb_run.phase; RUN_NEW: NULL */

struct position { /* how far W&B has acknowledged a run */
	enum run_phase phase;
	int64_t last_event, last_epoch, last_step;
	int64_t history, events, output; /* lines */
	int64_t output_bytes;		  /* of log.txt */
	bool stopped;
};

struct run_row { /* a job that is to be sent, with its position */
	int64_t job, sweep, number; /* number: its place in the sweep */
	struct position at;
	char *problem; /* refused: why; owned */
};
void run_row_fini(struct run_row *row);

struct sweep_row {
	int64_t id, submitted_ms, owner;
	char *name, *metric, *hash, *submission, *file_dir; /* the last two may be NULL */
	char *project, *wandb;				    /* the sweep file's project; the settings' text, or NULL */
	bool maximize;
	json_t *swept; /* names, in the order in which they vary */
	/* what is known of it at W&B; NULL: not known */
	char *there_entity, *there_project, *there_name, *there_node, *there_url, *there_state, *problem;
};
void sweep_row_fini(struct sweep_row *row);

struct job_facts { /* what a run is made of */
	json_t *config, *swept;
	int64_t started_ms; /* of its first attempt; 0: none */
	int64_t epochs;	    /* asked for */
	json_t *started;    /* the worker's `started` of its newest attempt, or NULL */
};
void job_facts_fini(struct job_facts *facts);

struct row { /* an event of a job */
	int64_t id, at_ms, attempt;
	char kind[16];
	json_t *detail; /* or NULL; owned */
};

/* -ENOENT while there is no store yet. */
int rows_open(struct rows **ret, const struct paths *paths, struct err *err);
void rows_close(struct rows *rows); /* accepts NULL */

/* All of one instant. */
int rows_begin(struct rows *rows, struct err *err);
void rows_end(struct rows *rows);
int rows_last_event(struct rows *rows, int64_t *ret, struct err *err);
/* Runs with something to send, or that run: for the start.  take owns the row. */
int rows_pending(struct rows *rows, void (*take)(void *arg, struct run_row *row), void *arg, struct err *err);
enum urgency {
	TOUCH_ROWS,  /* it has new rows */
	TOUCH_STATE, /* its state has moved */
	TOUCH_ASKED, /* a person asked for it: sweepctl wandb sync */
};
/* Jobs, one entry each, that have events in (after, up to] and are to be sent, with the most urgent of them. */
int rows_touched(struct rows *rows, int64_t after, int64_t up_to, void (*take)(void *arg, int64_t job, enum urgency how),
		 void *arg, struct err *err);
/* 1; 0: no such job, or one that is not to be sent. */
int rows_run(struct rows *rows, int64_t job, struct run_row *ret, struct err *err);
int rows_sweep(struct rows *rows, int64_t sweep, struct sweep_row *ret, struct err *err);
int rows_facts(struct rows *rows, int64_t job, struct job_facts *ret, struct err *err);
/* Events of a job after that id, until take returns false.  take may keep row->detail by a reference of its own. */
int rows_events(struct rows *rows, int64_t job, int64_t after, bool (*take)(void *arg, const struct row *row), void *arg,
		struct err *err);
/* Metrics of an attempt that were said since its epoch before this one. */
int rows_metrics(struct rows *rows, const struct row *epoch, void (*take)(void *arg, const char *name, double value),
		 void *arg, struct err *err);
/* Samples of a `steps` event, of steps after that one, rising. */
int rows_steps(struct rows *rows, int64_t job, const struct row *event, int64_t after,
	       void (*take)(void *arg, const struct step_sample *sample), void *arg, struct err *err);
/* 1: the job came to an end between those two events; 0. */
int rows_ended_between(struct rows *rows, int64_t job, int64_t after, int64_t before, struct err *err);
/* `epoch` events of a job up to that id, one of each epoch (the first that was stored). */
int rows_epochs(struct rows *rows, int64_t job, int64_t up_to, void (*take)(void *arg, const struct row *row), void *arg,
		struct err *err);
/* The values of a swept parameter, in the order of the sweep.  New reference. */
int rows_values(struct rows *rows, int64_t sweep, const char *parameter, json_t **ret, struct err *err);
/* Jobs of a sweep in a state (and, for `paused`, by W&B); *ret is a JSON list.  New reference. */
int rows_jobs_in(struct rows *rows, int64_t sweep, const char *state, const char *reason, json_t **ret, struct err *err);
/* How many jobs of a sweep are to be sent, and how many of those are not final. */
int rows_open_jobs(struct rows *rows, int64_t sweep, int64_t *ret_open, struct err *err);

/* --- for offline files (offline_run.h): of any job, whatever its sweep's mode --- */

struct job_place {
	int64_t sweep, number; /* number: its place in the sweep */
	int64_t ended_ms;      /* 0: it is not over */
};
/* 1; 0: no such job. */
int rows_place(struct rows *rows, int64_t job, struct job_place *ret, struct err *err);
/* Jobs that are over, of sweeps with mode `offline`, whose end is not written yet. */
int rows_offline_due(struct rows *rows, void (*take)(void *arg, int64_t job), void *arg, struct err *err);
