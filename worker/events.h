/* The durable events of one attempt: numbered 1, 2, 3 ..., appended to JOB_DIR/events.ATTEMPT.jsonl before anybody is
 * told.  That file is the queue: the link to the daemon reads it from where the daemon's acknowledgements end, so a
 * worker that dies loses nothing it said.
 *
 * A full or broken disk does not end a training: what cannot be appended waits in memory (EVENTS_WAITING_MAX bytes),
 * unsaid, until event_log_retry() or the next event finds room.  No checkpoint is written meanwhile, so a worker that is
 * killed then goes on from before the events that it took along.
 *
 * Threads: emit, sync, retry and length may be called from any thread. */
#pragma once

#include "common/base.h"

#include <jansson.h>
#include <sys/types.h>

#define EVENTS_WAITING_MAX (1024 * 1024)

struct event_log;

/* Creates the attempt's file; it must not exist yet.  wake(arg) is called after each append; may be NULL. */
int event_log_new(struct event_log **ret, const char *job_dir, int64_t attempt, void (*wake)(void *arg), void *arg,
		  struct err *err);
void event_log_free(struct event_log *log);

/* Appends {"type", "attempt", "seq", "at_ms", ...body}.  Consumes body.  After `done`, `failed`, `cancelled` or
 * `released` (the terminal ones, which are also fsynced) and after event_log_fence() it does nothing. */
int event_emit(struct event_log *log, const char *type, json_t *body, struct err *err);
/* Appends what waits for room; false: it still waits. */
bool event_log_retry(struct event_log *log);
bool event_log_waits(struct event_log *log);
/* fsync: what was emitted survives a power cut.  -ENOSPC: some of it waits for room. */
int event_log_sync(struct event_log *log, struct err *err);
/* The attempt is no longer ours: not one more byte is written. */
void event_log_fence(struct event_log *log);

int64_t event_log_attempt(const struct event_log *log);
uint64_t event_log_last_seq(struct event_log *log);
bool event_log_ended(struct event_log *log); /* a terminal event is in the file, or it is fenced */
/* Reads whole lines from offset into buf of at least WORKER_LINE_MAX bytes: returns bytes (0: nothing new). */
ssize_t event_log_read(struct event_log *log, off_t offset, char *buf, size_t size);
/* Offset behind the line of event seq (0: the start). */
off_t event_log_seek(struct event_log *log, uint64_t seq);
