/* Moves what is committed from the write-ahead log into the database now and then, so that the log stays short: in the
 * thread pool, on a connection of its own, because it takes long and the loop never waits (invariant 8). */
#pragma once

#include "common/base.h"

#include <uv.h>

struct wal;

int wal_new(struct wal **ret, uv_loop_t *loop, const char *path, struct err *err);
/* After each commit. */
void wal_committed(struct wal *wal);
/* After the loop has ended: no work is under way.  Accepts NULL. */
void wal_free(struct wal *wal);
