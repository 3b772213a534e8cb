/* What workers send are mostly flat objects of plain names and short numbers, tens of thousands a second.  Those are read
 * here in a fifth of the instructions that jansson needs, which reads byte by byte; to the same value
 * (tests/fuzz/json_fuzz.c compares). */
#pragma once

#include "json.h"

/* New reference.  NULL: it is something else - escapes, nesting, other bytes than ASCII's, blanks between, a key twice, a
 * long number, an error - and jansson's. */
json_t *json_flat(const char *bytes, size_t size);
