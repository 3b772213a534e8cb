/* Puts queued jobs on free slots: which, sched.h says; the attempts are committed before the workers hear of them. */
#pragma once

#include "daemon.h"

/* Called before the loop sleeps.  Returns when it wants to be called again (monotonic seconds, or INFINITY). */
double dispatch_tick(struct daemon *d, double now_s);
