/* sweep-worker(1), for the hidden option --manual. */
#pragma once

#include <argp.h>

/* options: those of --help. */
void manual_print(const struct argp_option *options);
