/* Lengths of time as people write them.  Seconds everywhere else. */
#pragma once

#include "base.h"

#define DURATION_MAX_S (365.0 * 24 * 3600)

/* "90m", "8h", "1d12h", "45s", "1.5h", or as Slurm has it "HH:MM:SS", "D-HH", "D-HH:MM", "D-HH:MM:SS".  More than
 * nothing, at most a year.  -EINVAL.  Not "90" or "8:00": Slurm reads minutes there, others seconds and hours. */
int duration_parse(const char *text, double *ret_s, struct err *err);
/* The same rule as a regular expression, for the JSON schema. */
#define DURATION_PATTERN                                                                                                   \
	"^((([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?)|[0-9]+:[0-9]{1,2}:[0-9]{1,2}|[0-9]+-[0-9]{1,2}(:[0-9]{1,2}){0," \
	"2})$"
#define DURATION_RULE "seconds as a number, or text like \"90m\", \"8h\", \"1d12h\", \"08:00:00\" or \"1-12:00:00\" (days-hours)"

/* "1 d 12 h", "8 h", "1 h 30 min", "90 s", "0.5 s": the two largest units; buf holds 48 bytes.  Returns buf. */
#define DURATION_TEXT_MAX 48
const char *duration_text(double seconds, char *buf);
