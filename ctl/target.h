/* What a verb is about: jobs by number (5, 5-8, 1,3), sweeps by id (s1) or name, in any mix.  Of several sweeps with
 * one name the newest is meant. */
#pragma once

#include "ctl/reader.h"

struct selection {
	struct sweep_row *sweeps; /* all of the store, for names and metrics */
	size_t n_sweeps;
	struct job_part *parts; /* what the words name, in their order, no job twice */
	size_t n_parts;
	struct job_row *jobs; /* selection_load(): those jobs, in that order */
	size_t n_jobs;
	bool missing; /* a word named nothing; it was said on stderr */
};

/* Loads the sweeps and selects nothing yet. */
int selection_init(struct selection *sel, struct reader *r, struct err *err);
void selection_fini(struct selection *sel);
/* One word, without its jobs' rows.  A word that names nothing is said on stderr, with what there is, and sets
 * `missing`. */
int selection_name(struct selection *sel, struct reader *r, const char *word, struct err *err);
/* Every word; with no words the newest sweep or, where `unfinished`, all sweeps with something left to run. */
int selection_name_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished, struct err *err);
/* Every sweep. */
void selection_name_sweeps(struct selection *sel);
/* Of what is named only the best n finished jobs, in the order of their numbers. */
int selection_keep_best(struct selection *sel, struct reader *r, int64_t n, struct err *err);
/* Reads the rows of all that is named, which may be many: for verbs that set jobs beside each other. */
int selection_load(struct selection *sel, struct reader *r, struct err *err);
/* The same with the rows, for a few jobs. */
int selection_add(struct selection *sel, struct reader *r, const char *word, struct err *err);
int selection_add_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished, struct err *err);

enum job_order {
	ORDER_NAMED, /* as the words say, each sweep as it was expanded */
	ORDER_EYES,  /* what needs eyes first: running, failed, queued, paused, done, the rest; then as named */
	ORDER_RANK,  /* finished jobs, sweep by sweep the best first */
};
struct job_listing {
	enum job_order order;
	int state;     /* ORDER_NAMED: only jobs in that state, or JOB_ANY */
	int64_t limit; /* 0: all */
};
typedef int job_visitor(void *data, const struct job_row *job, struct err *err);
/* Hands the named jobs to visit() one after the other; ends early where it returns < 0.  They are read in pages, and no
 * statement is open while visit() runs: what it prints may wait for a pipe.  So pages after the first may be newer. */
int selection_each(const struct selection *sel, struct reader *r, const struct job_listing *how, job_visitor *visit, void *data,
		   struct err *err);
/* How many named jobs are in which state; returns how many there are, or < 0. */
int64_t selection_count(const struct selection *sel, struct reader *r, size_t counts[N_JOB_STATES], struct err *err);
/* How many sweeps have named jobs. */
size_t selection_n_named(const struct selection *sel);
/* Of what is named the jobs of one sweep, in *ret, which borrows sel's sweeps: its end is free(ret->parts).  false: none. */
bool selection_narrow(const struct selection *sel, int64_t sweep, struct selection *ret);
/* The job, which is of that sweep, is among them. */
bool selection_has(const struct selection *sel, int64_t sweep, int64_t job);
/* What needs eyes first. */
extern const enum job_state eyes_order[N_JOB_STATES];

/* The word has the shape of job numbers. */
bool target_is_jobs(const char *word);
const struct sweep_row *selection_sweep(const struct selection *sel, const struct job_row *job);
/* Names of the parameters that vary in the named sweeps, model, lr, scheduler first and present always; list of text.
 * New reference. */
json_t *selection_columns(const struct selection *sel, bool always_basic);
