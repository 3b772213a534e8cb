/* Parts of `sweepctl manual`: manual.c has the verb and sweepctl(1), the others what their names say. */
#pragma once

#include "ctl/ctl.h"

/* sweepfile(5), from the tables of keys and of parameters. */
void manual_sweepfile(void);
/* Scripts for the shells, from the table of verbs. */
void completion_bash(void);
void completion_zsh(void);
/* What a completion offers as a TARGET of the verb (NULL: any), one a line, "WORD<tab>HINT"; silent on any error. */
void completion_targets(struct ctl *ctl, const char *verb);
