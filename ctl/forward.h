/* Hands over to sweep-forward, the one program that uses the network. */
#pragma once

#include "ctl/ctl.h"

/* Becomes `sweep-forward ARGV...` (argv ends with NULL, argv[0] is the verb).  Returns only when that cannot be: an exit
 * code, and what is wrong is said. */
int become_forward(char *const *argv);
