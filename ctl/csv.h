/* Comma-separated values on stdout, RFC 4180. */
#pragma once

#include "common/base.h"

/* A field, made harmless, quoted where its text needs it; after a comma unless it is the first of its line. */
void csv_field(const char *text, bool first);
/* A comma and a number, unrounded; of NaN the comma alone. */
void csv_number(double value);
