/* A sweep's settings for Weights & Biases: the sweep file's `wandb` map, under W&B's own names.  Checked at submit,
 * kept as one JSON object in sweep.wandb, read by those who forward.  Pure.
 *
 * Whether a job is forwarded at all is its parameter use_wandb; mode `disabled` switches all of a sweep's jobs off. */
#pragma once

#include "base.h"

#include <jansson.h>

#define WANDB_DEFAULT_BASE_URL "https://api.wandb.ai"

enum wandb_mode {
	WANDB_ONLINE,   /* sent while they train */
	WANDB_OFFLINE,  /* a file for `wandb sync` as each run ends */
	WANDB_DISABLED, /* nothing */
};
extern const char *const wandb_mode_names[]; /* by enum */
#define N_WANDB_MODES 3

struct wandb_settings {
	enum wandb_mode mode;
	const char *project;
	const char *entity, *group, *notes; /* NULL: not given; entity: the key's own then */
	const char *base_url;               /* NULL: $WANDB_BASE_URL of who forwards, else WANDB_DEFAULT_BASE_URL */
	const json_t *tags;                 /* list of texts, maybe empty */
	int64_t log_every;                  /* an epoch in so many becomes a row of the history, the last one always */
	json_t *json;                       /* owns all of the above */
};

/* Limits of the texts in characters, of W&B where it has one, and the rules as regular expressions for the JSON schema.
 */
#define WANDB_NAME_MAX        128
#define WANDB_TAG_MAX         64
#define WANDB_TAGS_MAX        64
#define WANDB_NOTES_MAX       16384
#define WANDB_URL_MAX         512
#define WANDB_LOG_EVERY_MAX   1000000
#define WANDB_PROJECT_PATTERN "^[^/\\\\#?%:]+$"
#define WANDB_ENTITY_PATTERN  "^[A-Za-z0-9_-]+$"
#define WANDB_URL_PATTERN     "^https?://([^/?#@\\s:\\[]+|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?(/[^?#\\s]*)?$"

/* Whether value fits key (mode, project, entity, group, notes, tags, log_every, base_url); if not, -EINVAL and
 * "SENTENCE\n  expected: ...".  An unknown key too. */
int wandb_setting_check(const char *key, const json_t *value, struct err *err);
bool wandb_setting_is_known(const char *key);
/* The rule of base_url alone: http or https, a host, no password in it; W&B's own servers only by https. */
int wandb_base_url_check(const char *url, struct err *err);
/* The same without slashes at its end.  Allocated. */
char *wandb_base_url_plain(const char *url);
/* Where a project's page is: https://api.wandb.ai has its pages at https://wandb.ai, other servers in one place with
 * the rest.  Allocated. */
char *wandb_page_url(const char *base_url, const char *entity, const char *project);
/* Adds to settings what it lacks: first of `environment` (an object of settings, may be NULL), then the defaults, with
 * project.  -EINVAL: a value of environment does not fit. */
int wandb_settings_complete(json_t *settings, const json_t *environment, const char *project, struct err *err);
/* The settings of an object of the environment variables that are set: {"WANDB_MODE": "offline"} -> {"mode": ...}.
 * get(arg, NAME) gives a variable's value or NULL.  New reference, maybe {}. */
json_t *wandb_environment(const char *(*get)(void *arg, const char *name), void *arg);

/* Reads sweep.wandb; NULL text: the defaults with that project. */
int wandb_settings_read(struct wandb_settings *ret, const char *text, const char *project, struct err *err);
void wandb_settings_fini(struct wandb_settings *s);
