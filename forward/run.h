/* A run: what is sent of a job, one request at a time, from its position in the store on.
 *
 *   its rows --batch.h--> OPEN: UpsertBucket; LINES: file_stream; CLOSE: files (upload.h), then file_stream with complete
 *   acknowledged: the position moves, sweepd stores it; refused for good: the run is given up, its problem is stored
 *
 * Nothing of its rows stays in memory between two requests: after a failure the request is built again, from the same
 * rows at the same offsets. */
#pragma once

#include "wsweep.h"

/* Takes what row holds. */
struct run *run_new(struct follow *f, struct wsweep *ws, struct run_row *row);
void run_free(struct run *run);
int64_t run_job(const struct run *run);
bool run_is_of(const struct run *run, const struct wsweep *ws);
/* Rows were committed for it; urgent: its state has moved. */
void run_touch(struct run *run, bool urgent);
/* Acts where something is due.  Returns when it wants to be asked again. */
double run_tick(struct run *run, double now_s);
/* Nothing is under way, to be sent or to be stored: it may be freed, and comes again with its next row. */
bool run_is_settled(const struct run *run);
/* Something is to be sent. */
bool run_is_behind(const struct run *run);
/* For sweepd; NULL: nothing new.  New reference. */
json_t *run_report(struct run *run);
void run_reported(struct run *run, bool stored);
