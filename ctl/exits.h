/* sweepctl's exit codes: what each means, and which verb may end with which.  --help and the manual print it, and the
 * tests check that no verb ends with another one. */
#pragma once

#include "ctl/ctl.h"

struct exit_row {
	int code;
	const char *brief;   /* for --help */
	const char *meaning; /* for the manual */
	bool common;         /* of every verb; the others are in verb.exits */
};
extern const struct exit_row exit_rows[];
extern const size_t n_exit_rows;

bool exit_is_of(const struct verb *verb, const struct exit_row *row);
/* "0 done, 1 ..., 2 wrong usage"; allocated. */
char *exits_brief(const struct verb *verb);
