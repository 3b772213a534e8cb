/* One configuration trained by hand, without a daemon: events on stdout, a person's lines on stderr. */
#pragma once

#include "slot.h"

struct standalone_config {
	const char *config_file;       /* JSON or YAML: a map of training parameters, e.g. a job's config.json */
	const char *const *overrides;  /* "key=value" */
	size_t n_overrides;
	const char *job_dir;	       /* created; checkpoints, events and log go there; one run each */
	const char *data_dir;	       /* or NULL */
	bool resume;		       /* go on with the run in job_dir */
};

/* Exit code of the program: 0 done, 1 failed, 5 configuration refused, 6 job_dir holds a run already (with resume: a
 * finished one), 130 interrupted (checkpointed). */
int standalone_run(const struct standalone_config *config, const struct slot_device *device);
