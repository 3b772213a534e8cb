/* cmocka and the headers it wants before it. */
#pragma once

#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A fresh directory under $TMPDIR or /tmp; removed with everything in it by temp_dir_remove(). */
char *temp_dir(void);
void temp_dir_remove(char *dir); /* frees dir */
