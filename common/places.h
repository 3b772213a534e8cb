/* The directories where data sets and weights are looked for and put.  One list, so that what is fetched is found. */
#pragma once

#include "base.h"

enum place_kind { PLACE_DATASETS, PLACE_WEIGHTS };

struct places {
	char *items[32];
	size_t n;
};

/* In the order in which they are searched (the kind's own directory at the end, "datasets" or "weights"):
 *
 *   data_dir (may be NULL), each of $SWEEPD_DATA    data sets: the directory itself; weights: DIR/weights
 *   $XDG_DATA_HOME or ~/.local/share                + /sweepd/KIND
 *   /var/lib/sweepd/KIND
 *   /usr/share/datasets                             data sets alone: Debian's */
void places_list(struct places *ret, enum place_kind kind, const char *data_dir);
void places_fini(struct places *p);
#define auto_places __attribute__((cleanup(places_fini)))
/* Where a new one is put: below data_dir, the first of $SWEEPD_DATA, /var/lib/sweepd (system: for the service), or the
 * user's own directory.  Allocated. */
char *places_install(enum place_kind kind, const char *data_dir, bool system);
