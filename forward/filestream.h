/* The body of a file_stream request: lines of a run's files at their offsets, and how the run goes on.  Pure.  The same
 * chunk always gives the same bytes. */
#pragma once

#include "common/base.h"

struct stream_file { /* consecutive lines */
	int64_t offset; /* of the first, counted in lines of that file */
	char **lines;	/* owned */
	size_t n;
};
struct stream_chunk {
	struct stream_file history, events, output;
	char *summary;	/* whole, owned; NULL: not sent */
	char **uploaded; /* names of run files, owned */
	size_t n_uploaded;
	bool preempting; /* it leaves its machine and will go on */
	bool complete;
	int exit_code; /* of complete */
	size_t bytes;  /* of all lines together */
};

/* Takes line over. */
void stream_add(struct stream_chunk *chunk, struct stream_file *file, char *line);
void stream_set_summary(struct stream_chunk *chunk, char *summary);
void stream_add_uploaded(struct stream_chunk *chunk, const char *name);
/* Nothing in it: a heartbeat. */
bool stream_is_empty(const struct stream_chunk *chunk);
/* "{}" for a heartbeat; allocated, strict JSON. */
char *stream_body(const struct stream_chunk *chunk);
void stream_fini(struct stream_chunk *chunk); /* leaves it empty */

/* URL of a run's file_stream; every part percent-encoded.  Allocated. */
char *stream_url(const char *base_url, const char *entity, const char *project, const char *run);
/* Whether the answer asks to stop the run; an answer that makes no sense does not. */
bool stream_says_stopped(const char *answer, size_t size);
