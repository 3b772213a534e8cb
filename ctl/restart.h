/* sweepctl daemon restart: another sweepd in the place of this one, while workers train on. */
#pragma once

#include "ctl/ctl.h"

/* Asks the daemon to end so that systemd starts it again, and waits until the new one answers.  Exit code; where nobody
 * would start it again it is not asked to end, and that is said. */
int restart_daemon(struct ctl *ctl);
