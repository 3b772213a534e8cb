/* Vendor libraries are opened when they are first needed, never linked: one worker binary starts on every machine, and
 * says in a sentence what it did not find. */
#pragma once

#include "common/base.h"

struct library_symbol {
	const char *name;
	size_t offset; /* of its pointer in the table */
};

/* dlopen(name) where the loader looks; then DIR/name for each of dirs (NULL: none; ends with NULL).  -ENOENT: it is
 * nowhere ("libcuda.so.1 was not found ..."); -ELIBACC: a file is there and cannot be loaded.  Once open it stays. */
int library_open(void **ret, const char *name, char *const dirs[], struct err *err);
/* Fills table with the symbols.  -ENOSYS: one is missing: the library is another version than expected. */
int library_load(void *library, const char *name, const struct library_symbol symbols[], size_t n, void *table,
		 struct err *err);
/* The file it was loaded from; "" when unknown.  Borrowed. */
const char *library_path(const void *symbol);

/* Where CUDA's libraries lie outside the loader's path: $CUDA_HOME and /usr/local/cuda (lib64, lib), and nvidia/<any>/lib
 * in the site-packages of Python ($VIRTUAL_ENV, $CONDA_PREFIX, ~/.local, /usr/local, /usr), where pip puts them.  Ends
 * with NULL; library_dirs_free() frees it. */
char **library_cuda_dirs(void);
void library_dirs_free(char **dirs);
