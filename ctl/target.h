/* What a verb is about: jobs by number (5, 5-8, 1,3), sweeps by id (s1) or name, in any mix.  Of several sweeps with
 * one name the newest is meant. */
#pragma once

#include "ctl/reader.h"

struct selection {
	struct sweep_row *sweeps; /* all of the store, for names and metrics */
	size_t n_sweeps;
	struct job_row *jobs; /* selected: in the order of the words, each once */
	size_t n_jobs;
	bool missing; /* a word named nothing; it was said on stderr */
};

/* Loads the sweeps and selects nothing yet. */
int selection_init(struct selection *sel, struct reader *r, struct err *err);
void selection_fini(struct selection *sel);
/* One word.  A word that names nothing is said on stderr, with what there is, and sets `missing`. */
int selection_add(struct selection *sel, struct reader *r, const char *word, struct err *err);
/* Every word; with no words the newest sweep or, where `unfinished`, all sweeps with something left to run. */
int selection_add_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished,
		      struct err *err);
/* The word has the shape of job numbers. */
bool target_is_jobs(const char *word);
const struct sweep_row *selection_sweep(const struct selection *sel, const struct job_row *job);
/* Names of the parameters that vary in the selected jobs, model, lr, scheduler first and present always; list of text.
 * New reference. */
json_t *selection_columns(const struct selection *sel, bool always_basic);
