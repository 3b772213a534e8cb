/* What a worker must know to be heard: 64 hexadecimal digits in STATE/worker.token, 0600, outside the database that
 * others may read.  Kept over restarts, so that workers of the last daemon are heard. */
#pragma once

#include "common/base.h"

/* Reads it, or makes it. */
int token_load(const char *path, char token[65], struct err *err);
