/* A data set or weights as they lie on this machine: what the record beside them says, and whether it is true.
 *
 * The record is written by `fetch`: DIRECTORY/fetched.json of a data set, FILE.json of weights:
 *   {"name", "source": URL, "fetched": RFC 3339, "files": {FILE: {"bytes", "sha256", "mtime_ns"}}}
 * bytes and sha256 are of what lies there (of a .gz, its own). */
#pragma once

#include "catalogue.h"

#include <jansson.h>

enum installed_state {
	INSTALLED_NONE,	     /* not there */
	INSTALLED_UNCHECKED, /* there; nobody checked it here */
	INSTALLED_CHANGED,   /* sizes or times differ from the record */
	INSTALLED_CHECKED,   /* as it was when it was fetched and checked */
};
extern const char *const installed_state_names[]; /* "absent", "not checked", "changed", "checked" */

struct installed {
	enum installed_state state;
	char *path; /* the data set's directory, the weights' file; NULL: not there */
	int64_t bytes;
	char *source, *fetched; /* of the record, or NULL */
};

/* Where item lies: the first place that has it (places.h).  Looks at names, sizes and times alone. */
void installed_find(struct installed *ret, const struct catalogue_item *item, const char *data_dir);
/* The same of that directory or file. */
void installed_look(struct installed *ret, const struct catalogue_item *item, const char *path);
void installed_fini(struct installed *i);
#define auto_installed __attribute__((cleanup(installed_fini)))

/* Reads every byte and compares it with the catalogue's checksums, and with the record where the catalogue knows none.
 * path: as in struct installed.  -EBADMSG with a line for each file that differs.  ret_known: false when only sizes could be
 * compared.  ret_files (may be NULL): the record's "files", new reference. */
int installed_check(const struct catalogue_item *item, const char *path, bool *ret_known, json_t **ret_files,
		    struct err *err);
/* Writes the record.  files: of installed_check(). */
int installed_record(const struct catalogue_item *item, const char *path, const char *source, json_t *files,
		     struct err *err);
