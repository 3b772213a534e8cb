/* The cases that need bf16 are a run of their own, "PROGRAM bf16", so that a processor without it skips them for all to
 * see. */
#pragma once

#include <stdbool.h>

/* Whether this is that run; on such a processor it says so in TAP and ends the program. */
bool bf16_run(int argc, char **argv);
