/* The GraphQL documents sweep-forward sends, and what it takes from the answers.  Pure. */
#pragma once

#include "common/base.h"

#include <jansson.h>

/* Bodies of POST BASE/graphql; allocated. */
char *graphql_viewer(void);
/* variables: of UpsertBucket, as W&B calls them (name, project, entity, config, ...).  Borrowed, like those below. */
char *graphql_upsert_run(const json_t *variables);
/* {entity, project, run, files} */
char *graphql_create_files(const json_t *variables);
/* {config, entityName, projectName, displayName, description, state}, or {id, entityName, projectName, state} */
char *graphql_upsert_sweep(const json_t *variables);
/* A page of the project's sweeps, in which one of ours is looked for by its description; after: NULL or a cursor. */
char *graphql_list_sweeps(const char *entity, const char *project, const char *after);
/* What the server has of a sweep's first runs: name, state, historyLineCount, summaryMetrics of each. */
char *graphql_sweep_runs(const char *entity, const char *project, const char *name);
/* id and state of one sweep. */
char *graphql_sweep(const char *entity, const char *project, const char *name);

struct graphql_answer {
	json_t *data;	/* object, or NULL: the answer makes no sense or holds errors alone; owned */
	bool errors;	/* it holds errors */
	bool permission; /* one of them says that this key may not */
	char *message;	/* of the first error, also of {"error": "text"}; owned, NULL: none */
};
void graphql_read(struct graphql_answer *ret, const char *body, size_t size);
void graphql_fini(struct graphql_answer *a);
/* A string at a path in an answer's data ("upsertBucket", "bucket", "id", NULL), or NULL.  Borrowed. */
const char *graphql_text(const struct graphql_answer *a, const char *const *path);
json_t *graphql_at(const struct graphql_answer *a, const char *const *path);
#define GRAPHQL_PATH(...) ((const char *const[]){__VA_ARGS__, NULL})
