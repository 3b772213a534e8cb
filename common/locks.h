/* Who holds a lock, as the kernel lists it: on a database (SQLite's are byte ranges of DATABASE-shm), or a flock. */
#pragma once

#include "base.h"

#include <sys/types.h>

enum db_lock { DB_LOCK_WRITE, DB_LOCK_READ }; /* a write transaction; a snapshot that a reader looks at */

/* " (pid 123, sqlite3)" of a process, neither this nor `except`, that holds such a lock; "" when there is none, or it
 * cannot be seen. */
void lock_holder(const char *db_path, enum db_lock lock, pid_t except, char *buf, size_t size);
/* The same of a process, other than this one, that holds a flock on the file. */
void flock_holder(const char *path, char *buf, size_t size);
