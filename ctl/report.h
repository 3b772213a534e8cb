/* sweepctl report: one sweep's story as a document.  report.c reads it from the store and writes the file;
 * report_encode.c chooses colours and dashes; report_html.c lays the page out, report_tables.c, report_charts.c,
 * report_lanes.c, report_bars.c, report_confusion.c and report_power.c fill it; report_md.c is the short version. */
#pragma once

#include "ctl/confusion.h"
#include "ctl/ctl.h"
#include "ctl/target.h"

/* report.css has the colours --c0 to --c15: eight to tell values apart, in pairs of a strong and a light one, then
 * eight from dark to light for more values than that. */
#define REPORT_HUES   8
#define REPORT_DASHES 4
#define REPORT_FEW    12 /* up to so many runs each one is named in charts and legend */

struct report_run {
	const struct job_row *job;
	struct epoch_row *epochs; /* those that count */
	size_t n_epochs;
	char *label;       /* its swept values: "resnet18, 0.1, StepLR" */
	char *notes; /* "" when there is nothing to say */
	int hue, dash;
	struct resources_row used;
	bool only_fp32; /* its device has no mixed precision: use_amp changes nothing */
	double minutes, accuracy; /* training and testing; the last epoch's test accuracy; NaN: not done */
	int rank; /* 1: best by the sweep's metric; 0: not done */
};

/* What a colour and a dash pattern stand for; decided by report_encode(). */
struct report_code {
	json_t *hue_by, *dash_by;                            /* lists of parameters; empty: of nothing */
	char *hues[2 * REPORT_HUES], *dashes[REPORT_DASHES]; /* what they stand for; NULL: not in use */
};

struct report {
	const struct paths *paths;
	const struct sweep_row *sweep;
	struct sweep_source source;
	struct report_run *runs;  /* in expansion order */
	struct report_run **best; /* the same by rank, those without one last */
	size_t n_runs, n_ranked;
	const struct report_run *fastest; /* of those that are done, or NULL */
	size_t counts[N_JOB_STATES];
	json_t *columns;  /* parameters of the results table */
	json_t *axes;     /* swept parameters that differ between the runs */
	json_t *machines; /* what trained them, as text -> list of jobs */
	struct report_code code;

	/* Of the best run. */
	struct confusion_matrix confusion; /* zeroed: there is none */
	char *confusion_trouble; /* why it is not shown, or NULL */
	struct metric_row *metrics; /* without a column of their own */
	size_t n_metrics;
	struct sample_row *samples;
	size_t n_samples;

	int64_t made_ms;
	char *jobs; /* "jobs 1-8" */
	char *file; /* where the report goes */
};

/* Colours and dash patterns for the runs.  Pure. */
void report_encode(struct report *rep);
void report_code_fini(struct report_code *code);
/* The text of a run's parameter; allocated. */
char *report_value(const struct report_run *run, const char *name);
/* The runs' different values of a parameter, numbers ascending, others in order of appearance.  New reference. */
json_t *report_levels(const struct report *rep, const char *name);
/* "0, 1, 2 and 997 more": those values for a reader; allocated. */
char *report_levels_text(const struct report *rep, const char *name);
/* Seconds of training and testing of all runs together. */
double report_seconds(const struct report *rep);
/* The commands that make it again, one a line; allocated. */
char *report_commands(const struct report *rep);

void report_html(const struct report *rep, FILE *out);
void report_markdown(const struct report *rep, FILE *out);

/* Parts of the page. */
void report_swept(const struct report *rep, FILE *out);
void report_results(const struct report *rep, FILE *out);
void report_efficiency(const struct report *rep, FILE *out);
void report_curves(const struct report *rep, FILE *out);
void report_epoch_times(const struct report *rep, FILE *out);
void report_parallel(const struct report *rep, FILE *out);
void report_best_run(const struct report *rep, FILE *out);
/* Nothing where there is nothing to show. */
void report_amp_and_batch(const struct report *rep, FILE *out);
void report_classes(const struct report *rep, FILE *out);
void report_power(const struct report *rep, FILE *out);
void report_amp_and_batch_markdown(const struct report *rep, FILE *out);
void report_classes_markdown(const struct report *rep, FILE *out);

/* report.css and report.js, embedded at build by embed.py. */
extern const char report_style[], report_script[];
