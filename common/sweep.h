/* A sweep file: what it may hold, and what it expands to.  Pure: text in, jobs or findings out; no file, no clock.
 *
 * Keys are those of a W&B sweep configuration (name, project, description, entity, method, metric{name,goal},
 * parameters, run_cap) plus `when`, `defaults`, `seeds` or `repeat`, `resources` and `wandb`.  Expansion is ordered (parameters in the order of the file, the last one varies
 * fastest) and deterministic, so the same text always gives the same jobs. */
#pragma once

#include "doc.h"
#include "params.h"

struct sweep_override { /* --override key=value: wins over everything the file says about key */
	const char *key, *value;
};

struct sweep_jobs; /* sweep_jobs.h */

struct sweep {
	char *name, *project;
	char *metric;	 /* one of the metrics a job reports: sweep_metrics[] */
	bool maximize;
	int priority;	 /* resources.priority: higher first; 0 */
	int retries;	 /* resources.retries: 2 */
	double time_limit_s; /* resources.time_limit, of each attempt of a job; 0: none */
	char **swept;	 /* names of the swept parameters, in the order in which they vary (last fastest) */
	size_t n_swept;
	struct sweep_jobs *jobs; /* see sweep_job_config() */
	size_t n_jobs;
	json_t *wandb;	 /* what the file says of W&B, checked: wandb_settings_complete() adds the rest */
	bool has_wandb;	 /* its map is there */
	char hash[65];	 /* of everything above but name, resources and wandb: the same sweep again has the same hash;
			    JSON and YAML twins have one hash */
};

#define SWEEP_MAX_JOBS	  1000000
#define SWEEP_MAX_REPEATS 1000

/* Names of the metrics a training job can report each epoch, e.g. "test_accuracy". */
#define SWEEP_METRIC_RULE                                                                                              \
	"train_, test_ or val_ and loss or accuracy (test_, val_: top5_accuracy too); test_ and val_ with ema_, mirror_ or " \
	"ema_mirror_ in front"
extern const char *const sweep_metrics[];
extern const size_t n_sweep_metrics;

struct sweep_key { /* a row of sweep_keys.def, for those who describe sweep files */
	const char *map; /* the key whose map it stands in; NULL: the file's own */
	const char *key, *value, *otherwise, *help;
};
extern const struct sweep_key sweep_keys[];
extern const size_t n_sweep_keys;
/* Its help; the key must exist. */
const char *sweep_key_help(const char *map, const char *key);

/* Parses, validates and expands.  0, or -EINVAL with at least one error in f (warnings may be there either way).
 * default_name is used when the file has none: the file's base name; where that cannot be a name, "sweep". */
int sweep_parse(struct sweep **ret, const char *text, size_t size, const struct sweep_override *overrides,
		size_t n_overrides, const char *default_name, struct findings *f);
void sweep_free(struct sweep *sweep);
/* Job i: every parameter, in config_to_json()'s order; the swept parameters of this job alone, in swept order; that as
 * json_line() prints it.  New references, allocated text. */
json_t *sweep_job_config(const struct sweep *sweep, size_t i);
json_t *sweep_job_swept(const struct sweep *sweep, size_t i);
char *sweep_job_swept_text(const struct sweep *sweep, size_t i);
/* The same configuration in two JSON lines: what is common to all jobs, and the parameters of job i that replace those of
 * the same name there.  Allocated. */
char *sweep_base_text(const struct sweep *sweep);
char *sweep_job_own_text(const struct sweep *sweep, size_t i);
/* One parameter of job i; borrowed, NULL: no such parameter. */
const json_t *sweep_job_value(const struct sweep *sweep, size_t i, const char *name);
/* How many of its jobs have use_wandb true. */
size_t sweep_wandb_jobs(const struct sweep *sweep);
/* The rule of a sweep's name: it must never read as a job (5, 5-8) or a sweep's number (s1). */
bool sweep_name_is_good(const char *name);
#define SWEEP_NAME_RULE "at most 64 letters, digits, . _ - + and spaces; not a number, not s1"
