/* How far a download is, for a person: on a terminal one line that is redrawn (bar, rate, time left), else a plain line
 * at each tenth, at most one in two seconds.  On stderr. */
#pragma once

#include "common/base.h"

struct progress {
	bool terminal;
	const char *name; /* borrowed */
	int64_t total;	  /* bytes; 0: not known */
	int64_t begun_at; /* bytes that were there at the begin: they do not count for the rate */
	double begun_s, drawn_s; /* monotonic */
	int tenth;  /* told last */
	bool drawn; /* a line stands there without its newline */
};

void progress_init(struct progress *p);
void progress_begin(struct progress *p, const char *name, int64_t total, int64_t done);
void progress_update(struct progress *p, int64_t done);
/* A line of talk, above the bar where there is one. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Leaves the last picture standing. */
void progress_end(struct progress *p, int64_t done);
/* "160.7 MiB"; buf holds 32 bytes.  Returns buf. */
const char *bytes_text(int64_t bytes, char *buf);
