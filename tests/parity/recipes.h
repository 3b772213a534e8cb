/* Every optimizer and what stands around it (weight decay that spares, groups of learning rates, clipping, averages),
 * stepped by a backend and by ref: what both come to, and that a state carried to another plan goes on with the same bits.
 *
 * An activation within rounding of 0 may pass a ReLU on one side only (net_test.c); a wrong computation is wrong on all
 * data, so that numbers within their limits on one of four data sets are enough. */
#pragma once

#include "parity.h"

/* backend: a name that backend_find() knows.  Fails the test. */
void recipes_check(const char *backend);
