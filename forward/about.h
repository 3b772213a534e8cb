/* What W&B is told about a run beside its lines: the variables of UpsertBucket, and the files it ends with; and about its
 * sweep. */
#pragma once

#include "upload.h"

/* This machine; its texts are static. */
void about_machine(struct line_machine *ret);
/* For batch.h and lines.h; borrows from both. */
struct line_job about_line_job(const struct wsweep_facts *ws, const struct job_facts *facts);
/* Of UpsertBucket.  New reference; NULL: err says why. */
json_t *about_run(struct follow *f, const struct wsweep_facts *ws, int64_t job, const char *run_id, struct err *err);
/* Of UpsertSweep, for one that is not there yet; nonce: by which it is found again.  New reference; NULL: err says why. */
json_t *about_sweep(struct follow *f, const struct wsweep_facts *ws, const char *nonce, struct err *err);
/* config.yaml, wandb-metadata.json, and with an epoch wandb-summary.json, learning curves and
 * the best test's confusion matrix.  lines: of its history. */
int about_files(struct upload_files *ret, struct follow *f, const struct wsweep_facts *ws, int64_t job, int64_t lines,
		struct err *err);
/* A run's configuration as config.yaml; allocated. */
char *about_yaml(const json_t *config);
