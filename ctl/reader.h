/* The store as sweepctl sees it: read-only, with or without a daemon.  All SQL of sweepctl is in reader*.c.
 *
 * No statement stays open between two calls, so a reader that waits holds nothing up.  A store that does not exist yet
 * reads as an empty one. */
#pragma once

#include "common/base.h"
#include "common/jobstate.h"
#include "common/paths.h"

#include <jansson.h>

struct sweep_row {
	int64_t id, n_jobs, submitted_ms;
	char *name, *metric, *note; /* note: NULL when there is none */
	bool maximize;
	double time_limit_s; /* of each attempt; NaN: none */
	json_t *swept; /* list of names, in the order in which they vary */
};

struct job_row {
	int64_t id, sweep, position;
	json_t *config, *swept;
	enum job_state state;
	char *reason; /* or NULL */
	int64_t not_before_ms, started_ms /* first attempt; 0: never */, ended_ms /* 0: not yet */;
	int attempts;
	double busy_seconds; /* of its attempts that are over, from start to end */
	char *device; /* of the latest attempt, or NULL */
	int epochs;   /* asked for */

	/* Of the epochs that count; NaN where there are none. */
	int epoch;                                       /* finished */
	double seconds, last_seconds, last_test_seconds; /* training + testing; the last epoch's */
	double images_per_second, ram_mib, vram_mib;
	double test_accuracy, test_loss; /* the last epoch's */
	double value;                    /* the sweep's metric, the last epoch's */
	double best_value;               /* the sweep's metric, the best of any epoch */
	double best_test_accuracy;
	int best_epoch;
};

struct job_part { /* jobs of one complete sweep: those from `first` to `last`, which are of it; both 0: all */
	int64_t sweep, first, last;
};

#define JOB_ANY (-1)
struct job_page {
	struct job_part of;
	int state;	     /* only jobs in that state, or JOB_ANY; by their numbers */
	bool ranked;	     /* only finished jobs that have epochs, best first by the sweep's metric */
	int64_t after;	     /* the last job of the page before, or 0 */
	int64_t limit;	     /* 0: to the end */
};

struct extremes { /* of finished jobs; job 0: there is none */
	int64_t top, fastest;
	double accuracy, minutes; /* theirs: test accuracy of the last epoch, or the best */
	double best_accuracy;	  /* of any epoch of any of them; NaN: none is known */
};
#define EXTREMES_NONE {.best_accuracy = NAN}

struct attempt_row {
	int64_t id, number, worker_pid /* 0: unknown */, started_ms, ended_ms, checkpoint_ms /* 0: none */;
	int64_t start_epoch, start_step, last_epoch;
	double seconds; /* it took, awake; NaN: not known */
	char *state, *device, *class, *reason;
	json_t *details; /* the worker's `started`, or NULL */
};

struct device_row {
	char *id, *name, *state, *reason;
	/* What its running jobs used in their newest stretch; NaN: not known. */
	double cpu_percent, gpu_percent, vram_mib, watts, temperature_c;
};

struct epoch_row { /* one that counts; NaN: not known or not finite */
	int epoch;
	double lr, train_loss, train_accuracy, test_loss, test_accuracy;
	double seconds /* training + testing */, images_per_second, watts, joules;
	double other; /* the metric that reader_epochs() was asked for */
};

struct sweep_source { /* what was submitted */
	char *text, *project, *data_dir; /* data_dir: NULL unless --data said one */
	json_t *overrides;               /* list of [key, value] */
};

struct event_row {
	int64_t id, at_ms, sweep, job; /* 0: concerns none */
	bool is_state;		       /* a job's state changed */
};

struct log_row { /* an event with all it says */
	int64_t id, at_ms, sweep, job, attempt; /* 0: concerns none */
	char *kind;
	json_t *detail; /* or NULL */
};

struct brief_row { /* a job in a few words */
	int64_t id;
	json_t *swept;
	enum job_state state;
};

struct resources_row { /* what a job has used; NaN: not known */
	double ram_mib, vram_mib; /* most */
	double watt_hours, watts, watts_max;
	double cpu_percent, cpu_percent_max, gpu_percent, gpu_percent_max, temperature_c;
};

struct metric_row { /* a metric of a job over its epochs that count; NaN: there is none, or it was not finite */
	char *name;
	double last, best; /* best: the largest of an accuracy, the smallest of any other */
	int best_epoch;    /* 0: there is none */
};

struct sample_row { /* a stretch of a job, first seconds, then half minutes; NaN: not known */
	int64_t at_ms;	       /* its end */
	double seconds, watts; /* watts: mean */
};

struct run_row { /* of a job at Weights & Biases */
	char *url, *phase; /* NULL: it is not there yet */
	char *problem;	   /* why nothing of it is sent, or NULL */
	int64_t last_epoch; /* that W&B has */
};

struct reader;

int reader_open(struct reader **ret, const struct paths *paths, struct err *err);
void reader_close(struct reader *r);
/* Between these every query sees the same instant. */
int reader_begin(struct reader *r, struct err *err);
void reader_end(struct reader *r);

/* Complete sweeps, oldest first. */
int reader_sweeps(struct reader *r, struct sweep_row **ret, size_t *ret_n, struct err *err);
/* At most `limit` jobs of a part, appended to *ret.  Reads no more than it answers, whatever the store holds. */
int reader_page(struct reader *r, const struct job_page *page, struct job_row **ret, size_t *ret_n, struct err *err);
/* All jobs of one sweep, in expansion order, appended to *ret. */
int reader_jobs(struct reader *r, int64_t sweep, struct job_row **ret, size_t *ret_n, struct err *err);
/* How many jobs of a part are in which state, added to counts. */
int reader_count(struct reader *r, const struct job_part *part, size_t counts[N_JOB_STATES], struct err *err);
/* Moves the part's ends to the first and the last of its jobs in that state; 0: there is none. */
int reader_span_of(struct reader *r, struct job_part *part, int state, struct err *err);
/* When the first job of a part that was started was started; 0: none was. */
int reader_began(struct reader *r, const struct job_part *part, int64_t *ret_ms, struct err *err);
/* When the last of a part's jobs ended; 0: none did.  Reads them all. */
int reader_ended(struct reader *r, const struct job_part *part, int64_t *ret_ms, struct err *err);
/* 1: a job of the sweep runs or waits to; 0: none does. */
int reader_is_unfinished(struct reader *r, int64_t sweep, struct err *err);
/* Finished jobs of a part: the highest accuracy, the shortest time; see there.  Adds to *ret, which starts as
 * EXTREMES_NONE. */
int reader_extremes(struct reader *r, const struct job_part *part, bool best_epoch, struct extremes *ret, struct err *err);
/* Seconds of training and testing of a part's jobs, added to *ret. */
int reader_seconds(struct reader *r, const struct job_part *part, double *ret, struct err *err);
/* The jobs that exist in [first, last], a part for each sweep, appended to *ret; ret_jobs: how many they are. */
int reader_parts(struct reader *r, int64_t first, int64_t last, struct job_part **ret, size_t *ret_n, int64_t *ret_jobs,
		 struct err *err);
/* Moves the part's ends to the first and the last job of its sweep within them; 0: there is none. */
int reader_tighten(struct reader *r, struct job_part *part, struct err *err);
/* 1, or 0 when there is no such job. */
int reader_job(struct reader *r, int64_t id, struct job_row *ret, struct err *err);
/* 0 when there is none. */
int reader_newest_job(struct reader *r, int64_t *ret, struct err *err);
int reader_attempts(struct reader *r, int64_t job, struct attempt_row **ret, size_t *ret_n, struct err *err);
int reader_devices(struct reader *r, struct device_row **ret, size_t *ret_n, struct err *err);
/* "97 % 412 W"; of the GPU where there is one, else of the processor (100: a core).  Allocated. */
char *device_use_text(const struct device_row *d);
/* Column `name` of `curves`: last and best value of a job and the epoch of the best; maximize says what best means. */
int reader_metric(struct reader *r, int64_t job, const char *name, bool maximize, double *ret_last, double *ret_best,
		  int *ret_best_epoch, struct err *err);
/* The metrics of a job that have no column of their own, by name. */
int reader_metrics(struct reader *r, int64_t job, struct metric_row **ret, size_t *ret_n, struct err *err);
void metric_rows_free(struct metric_row *rows, size_t n);
/* `notes` of the view results; allocated, "" when there is no such job. */
int reader_notes(struct reader *r, int64_t job, char **ret, struct err *err);
/* 1; 0: nothing is known of it at W&B. */
int reader_run(struct reader *r, int64_t job, struct run_row *ret, struct err *err);
void run_row_fini(struct run_row *row);
/* The epochs of a job that count, in order; with that metric, if it has no column of its own. */
int reader_epochs(struct reader *r, int64_t job, const char *metric, struct epoch_row **ret, size_t *ret_n, struct err *err);
/* The stretches of a job, in order. */
int reader_samples(struct reader *r, int64_t job, struct sample_row **ret, size_t *ret_n, struct err *err);
/* 1, or 0 when there is no such sweep. */
int reader_sweep_source(struct reader *r, int64_t sweep, struct sweep_source *ret, struct err *err);
/* At most `limit` events after an id, oldest first. */
int reader_events(struct reader *r, int64_t after, int limit, struct event_row **ret, size_t *ret_n, struct err *err);
struct log_query {
	int64_t after, limit;
	bool newest;		      /* the last `limit` of them instead of the first */
	const struct job_part *parts; /* of these; NULL: of everything */
	size_t n_parts;
	const json_t *kinds; /* list of text */
	bool only_kinds;     /* of these kinds, else of all others */
};
/* The same with all they say; of complete sweeps; oldest first. */
int reader_log(struct reader *r, const struct log_query *q, struct log_row **ret, size_t *ret_n, struct err *err);
/* Of the view resources; 1, or 0 when it has no epoch. */
int reader_resources(struct reader *r, int64_t job, struct resources_row *ret, struct err *err);
/* At most `limit` jobs of the newest sweeps that are in one of the states (bit 1 << JOB_...), newest first. */
int reader_briefs(struct reader *r, const struct sweep_row *sweeps, size_t n_sweeps, unsigned states, size_t limit,
		  struct brief_row **ret, size_t *ret_n, struct err *err);
void brief_rows_free(struct brief_row *rows, size_t n);
void log_rows_free(struct log_row *rows, size_t n);
/* The newest event; id 0 when there is none. */
int reader_newest_event(struct reader *r, struct event_row *ret, struct err *err);

void sweep_rows_free(struct sweep_row *rows, size_t n);
void job_row_fini(struct job_row *row);
void job_rows_free(struct job_row *rows, size_t n);
void attempt_rows_free(struct attempt_row *rows, size_t n);
void sweep_source_fini(struct sweep_source *source);
void device_rows_free(struct device_row *rows, size_t n);

/* The row of that id, or NULL; rows by id, ascending. */
const struct sweep_row *sweep_row_find(const struct sweep_row *rows, size_t n, int64_t id);
