/* The parts of sweepctl submit. */
#pragma once

#include "ctl/ctl.h"
#include "common/sweep.h"

struct submit_input {
	const char *file, *data, *name, *note;
	char **overrides; /* "key=value" */
	size_t n_overrides;
	bool dry_run, again, all, quiet, watch;
};

/* A sweep file that was read and expanded. */
struct sweep_file {
	char *shown; /* as the user named it, "-" is "standard input" */
	char *base;  /* its base name, for the daemon */
	char *text;
	size_t size;
	struct sweep_override *overrides;
	char *data_dir; /* absolute, or NULL: only what --data or $SWEEPD_DATA said */
	char *file_dir; /* absolute directory of the file; of standard input the current one; NULL: it is gone */
	json_t *wandb;  /* settings of W&B from the environment and from .env; sweep->wandb has them too */
	struct sweep *sweep;
};

/* Reads, checks and expands; checks that the data sets are there.  0 or an exit code; all findings are on stderr. */
int sweep_file_load(struct sweep_file *f, const struct submit_input *input);
void sweep_file_fini(struct sweep_file *f);
/* Of a sweep over use_amp, on stderr: that no device of this machine has mixed precision. */
void submit_tell_precision(const struct sweep *sweep);
/* What would be submitted, on stdout. */
void dry_run_print(const struct ctl *ctl, const struct sweep_file *f, const struct submit_input *input);
