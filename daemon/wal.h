/* Moves what is committed from the write-ahead log into the database now and then, so that the log stays short: in the
 * thread pool, on a connection of its own, because it takes long and the loop never waits (invariant 8).
 *
 * A reader that looks at one instant for long (BEGIN; SELECT in the sqlite3 shell) keeps the log growing: who it is is
 * said once the log is long, and it is tried again until the reader is gone. */
#pragma once

#include "common/base.h"

#include <uv.h>

struct wal;

int wal_new(struct wal **ret, uv_loop_t *loop, const char *path, struct err *err);
/* After each commit, with the length of the log. */
void wal_committed(struct wal *wal, int pages);
/* Saves what this connection still sees of a database that somebody deleted: results.db.rescued-TIME beside it, and a
 * sentence in the log. */
void wal_rescue(struct wal *wal);
/* Closes its handles. */
void wal_close(struct wal *wal);
/* After the loop has ended: no work is under way.  Accepts NULL. */
void wal_free(struct wal *wal);
