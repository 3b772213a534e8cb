/* Starting a sweep-worker: in a session of its own (so that its whole group can be killed), stdout and stderr appended
 * to STATE/workers/ID.log (a file, never a pipe that dies with sweepd). */
#pragma once

#include "slot.h"

/* What every process that this worker starts inherits: "SWEEPD_WORKER=STATE:ID"; allocated. */
char *spawn_mark(const struct slot *slot);
/* Its log; allocated. */
char *spawn_log_path(const struct slot *slot);
/* Into slot->process, which the caller closes even when this fails. */
int spawn_worker(struct slot *slot, uv_exit_cb on_exit, struct err *err);
/* A program of ours: the option's, else beside this one, in the build tree (DIRECTORY), or installed; allocated.
 * -ENOENT. */
int spawn_find_program(const char *name, const char *directory, const char *option, char **ret, struct err *err);
