/* Brings a data set or weights to this machine: one address after another, resumed, checked as a whole, and put in place
 * in one step (invariant 7).  Two at once do not meet: the second waits, then finds it there. */
#pragma once

#include "common/catalogue.h"
#include "download.h"

struct fetch_options {
	const char *place;    /* directory it is put below */
	bool only_place;      /* what lies elsewhere does not count as there */
	const char *from;     /* a file, a directory, an address; NULL: the catalogue's addresses */
	char *const *mirrors; /* base addresses, tried before the catalogue's */
	size_t n_mirrors;
	bool again; /* also when it is there */
	struct download_options download;
};

struct fetched {
	bool was_there;
	char *path, *source; /* source: for people; of one that was there NULL or what its record says */
	int64_t bytes;
};
void fetched_fini(struct fetched *f);

/* -EINTR: interrupted (the partial file stays), -ENOSPC, -EACCES: of the place; others: no source gave the right file.
 * Errors have their "do this:" line. */
int fetch_item(const struct catalogue_item *item, const struct fetch_options *o, struct fetched *ret, struct err *err);
