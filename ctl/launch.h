/* Starts a private sweepd. */
#pragma once

#include "ctl/ctl.h"

/* The path of one of the project's programs: beside sweepctl, in DIR beside sweepctl's directory (a build tree), in
 * ../libexec/sweepd (installed), in $PATH; allocated, NULL when it is nowhere. */
char *find_program(const char *name, const char *dir);
/* Spawns sweepd in a session of its own and waits until it takes requests.  0 or an exit code; what went wrong is said
 * on stderr.  ret_pid: of the daemon. */
int launch_daemon(struct ctl *ctl, int *ret_pid);
