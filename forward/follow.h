/* Following a sweepd's store: every run that is to be sent goes to Weights & Biases as it is committed. */
#pragma once

#include "follow_internal.h"

/* Until it is told to stop.  Exit code: EXIT_STATE when another sweep-forward follows this store already. */
int follow_run(const struct follow_options *options);
