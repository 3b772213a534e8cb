/* One worker a GPU: a flock on LOCK_DIR/sweepd-UUID.lock, held for the worker's life.  Two workers on one GPU would share
 * its memory and slow each other down, each without a word; this makes it a sentence.
 *
 * LOCK_DIR is $SWEEPD_LOCK_DIR, else /run/lock: where FHS puts locks of devices, empty after a boot, and writable for
 * everybody, so that a user's private sweepd and the system's see the same file.  /tmp is not that place (systemd gives the
 * unit one of its own, PrivateTmp), nor are the state and runtime directories (each sweepd has its own) or abstract sockets
 * (PrivateNetwork).  The kernel frees the lock of a process that is killed; the file stays and means nothing.  Containers
 * with a /run/lock of their own do not see each other: give them one directory by $SWEEPD_LOCK_DIR. */
#pragma once

#include "common/base.h"

/* uuid: "GPU-..." or "MIG-..."; what is behind the prefix counts.  A descriptor to keep open; -EBUSY: another process holds
 * it, err says which; otherwise the directory cannot be used, err says why: two workers would not notice each other. */
int gpu_lock(const char *uuid, struct err *err);
/* " (pid 123, sweep-worker)" of the holder; "" where there is none or it cannot be seen; takes nothing. */
void gpu_lock_holder(const char *uuid, char *buf, size_t size);
