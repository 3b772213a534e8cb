/* Between fetch.c (the order of things), fetch_source.c (one file from the network) and fetch_install.c (into place). */
#pragma once

#include "fetch.h"

#include <jansson.h>

struct fetch {
	const struct catalogue_item *item;
	const struct fetch_options *o;
	char *work;   /* PLACE/.fetch: partial files, locks, what is being put together */
	char *target; /* where it will lie: a directory, or the weights' file */
	char *source; /* address of the first file, for the record */
	bool told;    /* that what lies there is damaged */
};

/* PLACE/.fetch/NAME.FILE.part of source i; allocated. */
char *fetch_part(const struct fetch *f, size_t i);
/* Source i is there as fetch_part(), in full, and is the file it should be. */
int fetch_source(struct fetch *f, size_t i, struct err *err);
/* Puts the parts together and in place; they are gone then, also when they are of no use (-EBADMSG). */
int fetch_install(struct fetch *f, struct err *err);
/* Partial files of this or an earlier fetch: are there any; remove them. */
bool fetch_has_parts(const struct fetch *f);
void fetch_clean(const struct fetch *f);
