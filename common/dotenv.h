/* `.env` files: lines NAME=VALUE beside a project, as python-dotenv reads them (the way hosted notebooks keep keys),
 * but without ${...} and without values of several lines. */
#pragma once

#include "base.h"

#include <sys/types.h>

/* The value of name in a file's text, or NULL; the last one wins.  `export NAME=...`, 'single' and "double" quotes,
 * blanks around =, and comments after a blank and # are understood.  Allocated. */
char *dotenv_value(const char *text, const char *name);

struct dotenv {
	char *value, *path;
	bool open; /* others than its owner can read the file */
};
/* The nearest .env that sets name: in dir, else in the nearest directory above it.  Only files of that owner, of root
 * or of this process count: one that somebody planted in /tmp does not. 0; -ENOENT: none; -EACCES or another error: one
 * is there that cannot be read, and none that can. */
int dotenv_find(const char *dir, const char *name, uid_t owner, struct dotenv *ret, struct err *err);
/* Wipes the value. */
void dotenv_fini(struct dotenv *d);
