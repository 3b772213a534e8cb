/* Who holds a lock on a database: SQLite's are byte-range locks on DATABASE-shm, which the kernel lists. */
#pragma once

#include "base.h"

#include <sys/types.h>

enum db_lock { DB_LOCK_WRITE, DB_LOCK_READ }; /* a write transaction; a snapshot that a reader looks at */

/* " (pid 123, sqlite3)" of a process, neither this nor `except`, that holds such a lock; "" when there is none, or it
 * cannot be seen. */
void lock_holder(const char *db_path, enum db_lock lock, pid_t except, char *buf, size_t size);
