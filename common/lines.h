/* Cuts a stream of bytes into lines, bounded: a line longer than the limit is an error of the sender. */
#pragma once

#include "base.h"

struct lines {
	char *buf;
	size_t used, size, limit, scanned;
};

void lines_init(struct lines *l, size_t limit);
void lines_fini(struct lines *l);
/* Takes bytes in.  -EMSGSIZE when the unfinished line is longer than the limit. */
int lines_feed(struct lines *l, const char *bytes, size_t size, struct err *err);
/* The next whole line without its newline (NUL-terminated, borrowed until the next call), or NULL. */
char *lines_next(struct lines *l, size_t *ret_size);
