/* Puts queued jobs on free slots: which, sched.h says; the attempts are committed before the workers hear of them. */
#pragma once

#include "daemon.h"

/* Called before the loop sleeps.  Returns when it wants to be called again (monotonic seconds, or INFINITY). */
double dispatch_tick(struct daemon *d, double now_s);
/* In this turn, behind the inputs that are already in it: a job whose end is among them is followed by the next one in the
 * same transaction, so a device waits for one commit and not for two. */
void dispatch_now(struct daemon *d);
