/* sweep-forward(8), for the hidden option --manual. */
#pragma once

#include "common/roff.h"

/* verbs: all of them; options: of follow. */
void manual_print(const struct roff_entry *verbs, const struct argp_option *options);
/* The same with follow's own options; in follow_verb.c. */
void follow_manual(const struct roff_entry *verbs);
