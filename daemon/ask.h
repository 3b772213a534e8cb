/* Runs a program to its end and takes what it printed: for a question asked before the daemon's loop runs. */
#pragma once

#include "common/base.h"

#define ASK_BYTES_MAX (1u << 20)

/* args: the program first, NULL last.  Its stderr is ours.  Allocated, NUL-terminated.  -ETIMEDOUT: it was killed, with
 * its process group; -EFBIG: it printed more than ASK_BYTES_MAX; -EIO: it failed, err says how. */
int ask_program(char **ret, char *const args[], int timeout_ms, struct err *err);
