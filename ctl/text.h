/* Sentences and cells that several verbs show alike. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/screen.h"
#include "ctl/estimate.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "common/params.h"

struct metric_column { /* a metric that every epoch has */
	const char *name;
	bool maximize;
	size_t offset; /* in struct epoch_row */
};
extern const struct metric_column metric_columns[];
extern const size_t n_metric_columns;
/* The row of that name, or NULL. */
const struct metric_column *metric_find(const char *name);
/* The same, or for any other metric a row for reader_epochs() with that name, which is borrowed. */
struct metric_column metric_named(const char *name);
static inline double metric_of(const struct metric_column *m, const struct epoch_row *e)
{
	return *(const double *)((const char *)e + m->offset);
}

/* Colour of a state's word. */
enum tone state_tone(const char *state);
/* Value of a sweep's metric: two decimals where it is a percentage, else three; FORMAT_MAX bytes. */
const char *metric_text(const char *metric, double value, char *buf);
/* model -> Model, lr -> LR: the report's headings; other parameters keep their names. */
const char *param_heading(const char *name);
/* Why a job is where it is: the stored reason, else what follows from its row; allocated, "" when nothing is to say. */
char *job_reason(const struct job_row *job, int64_t now_ms);
/* The finished job with the best last value of the sweep's metric, or NULL. */
const struct job_row *job_leader(const struct sweep_row *sweep, const struct job_row *jobs, size_t n);
/* "1 h 59 m", "> 43 m 2 s" where some jobs are not known, "-" where nothing is known or left; FORMAT_MAX bytes. */
const char *left_text(const struct estimate *e, char *buf);
/* The same for JSON: a number only where all is known.  New reference. */
json_t *left_json(const struct estimate *e, double unit_seconds);
/* A job as the JSON that list, show, results and leaderboard give: their keys only grow.  value: of the sweep's metric in
 * the last epoch, best: in the best.  New reference. */
json_t *job_json(const struct selection *sel, const struct job_row *job);
/* A page of rows, where nobody asked for a number (< 0): what a person reads on a terminal; everything in a pipe and as
 * JSON.  0: everything. */
int64_t page_limit(const struct ctl *ctl, int asked);
/* The line under a page that is not all: "... 99,900 more: sweepctl list --limit 0 s1"; talk, so on stderr in a pipe.
 * words: the targets, or NULL. */
void say_more(const struct ctl *ctl, int64_t n, const char *what, const char *verb, const struct words *words);
/* Under a table of jobs whose reasons were shortened: where they are in full. */
void say_cut(const struct ctl *ctl, const struct table *t);
/* "int", "number", "bool" or "choice". */
const char *param_type(const struct param *p);
/* What a parameter takes: "StepLR, ReduceLROnPlateau"; "1 to 65536"; "> 0, <= 1"; allocated. */
char *param_allowed(const struct param *p);
