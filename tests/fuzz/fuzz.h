/* What the targets share.  Each is one LLVMFuzzerTestOneInput(): clang links it with libFuzzer (run.sh), the tests with
 * replay.c, which runs the committed corpus through it. */
#pragma once

#include "common/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A directory of this process in memory, made at the first call, removed at exit. */
const char *fuzz_dir(void);
/* Writes fuzz_dir()/name. */
void fuzz_write(const char *name, const void *bytes, size_t size);
/* Removes everything in fuzz_dir(). */
void fuzz_clear(void);
