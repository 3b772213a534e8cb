/* One run as a directory that `wandb sync` takes:
 *
 *   DIR/offline-run-YYYYMMDD_HHMMSS-ID/   (UTC, when the job's first attempt began: the same run has one name)
 *     run-ID.wandb                        records (wlog.h, proto.h) of the run, its history, ... its exit
 *     files/                              wandb-metadata.json, pictures
 *
 * It takes the very lines that go online, as text (batch.h), and `wandb sync` brings them to the same state.
 *
 * Whole or not at all (invariant 7): everything is written under ".offline-run-...", which `wandb sync` passes over,
 * flushed to the disk and renamed at the end; one of the same name that was there is replaced in the same instant.
 * Appending while the run trains would save nothing: the rows are in the store, and a file that was cut off is of use
 * to nobody before its job's end.
 *
 * Record numbers: wandb/proto/wandb_internal.proto of W&B's client 0.28. */
#pragma once

#include "common/base.h"

#include <jansson.h>

struct offline_run {
	const char *id, *project, *name, *host;                   /* name: as shown */
	const char *entity, *group, *job_type, *notes, *sweep_id; /* may be NULL */
	const json_t *tags;                                       /* list of texts, or NULL */
	const json_t *config;                                     /* the job's */
	int64_t started_ms;
};

struct offline;

/* Errors of all: one sentence with the path; -ENOSPC: the disk is full.  After any error only offline_abandon(). */
int offline_begin(struct offline **ret, const char *dir, const struct offline_run *run, struct err *err);
int offline_history(struct offline *o, const char *line, struct err *err);
int offline_stats(struct offline *o, const char *line, struct err *err); /* of wandb-events.jsonl */
int offline_console(struct offline *o, const char *line, struct err *err);
int offline_summary(struct offline *o, const char *line, struct err *err);
/* A file of the run beside its records; name may have directories ("media/images/x.png"). */
int offline_file(struct offline *o, const char *name, const void *bytes, size_t size, struct err *err);
/* Ends the run and gives the directory its name.  exit_code < 0: the job is not over, and the file says nothing of its
 * end.  Frees o, on failure too (what was written is removed).  ret_path: the directory; allocated. */
int offline_commit(struct offline *o, int exit_code, int64_t ended_ms, char **ret_path, struct err *err);
void offline_abandon(struct offline *o); /* accepts NULL */
