/* A whole file mapped read-only, its pages shared with every process that maps it too, and watched: a file that is
 * cut short or rewritten under its readers must end their job with a sentence, not their process with SIGBUS.
 *
 * A read behind the end that a file lost raises SIGBUS in the reading thread.  The handler, installed with every
 * mapping, lays a page of zeros there, so that the reader goes on, and mapped_check() says at the next occasion what
 * happened: until it has been asked nothing that was computed from the bytes may be kept.  Replacing the file by
 * another one under its name is no harm: the mapping keeps the old one. */
#pragma once

#include "common/base.h"

struct mapped;

/* The file must not be empty.  The process may hold MAPPED_MAX of them. */
#define MAPPED_MAX 64
int mapped_open(struct mapped **ret, const char *path, struct err *err);
const uint8_t *mapped_bytes(const struct mapped *mapped);
size_t mapped_size(const struct mapped *mapped);
/* -ENODATA and which file it is, once its size or time of change differ from those at mapped_open(), or a read
 * failed. */
int mapped_check(const struct mapped *mapped, struct err *err);
void mapped_close(struct mapped *mapped); /* accepts NULL; nobody may be reading */
