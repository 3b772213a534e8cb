/* What can be fetched: the table of catalogue.def, and a lab's own file over it (--catalogue).
 *
 * Such a file is JSON; an entry replaces the table's of that name:
 *
 *   {"datasets": {"cifar100": {"archive": true,
 *      "sources":  [{"file": "cifar-100-binary.tar.gz", "urls": ["https://..."], "bytes": 1, "md5": "", "sha256": ""}],
 *      "contents": [{"file": "train.bin", "bytes": 1, "md5": "", "sha256": ""}, ...]}},
 *    "weights":  {"mine": {"about": "...", "sources": [{...}]}}}
 *
 * Data sets are those that the worker can read; weights may have new names.  Without "contents" a data set keeps the
 * table's, so that a mirror needs "sources" alone.  File names are plain names: they become paths. */
#pragma once

#include "places.h"

struct catalogue_sum {
	int64_t bytes;	 /* 0: not known */
	char md5[33];	 /* lower case; "": not known */
	char sha256[65]; /* the same; may be a prefix */
};

struct catalogue_source { /* a file to download */
	char *file;
	struct catalogue_sum sum;
	char **urls; /* ending with "/": the file's name comes behind */
	size_t n_urls;
};

struct catalogue_content { /* a file as it must lie installed, inflated; it may lie there as FILE.gz */
	char *file;
	struct catalogue_sum sum; /* bytes: known */
};

struct catalogue_item {
	enum place_kind kind;
	char *name;
	char *directory; /* below a place; weights: NULL, the file lies in the place itself */
	char *about;
	bool archive; /* sources[0] is a tar of the contents; else source i is kept, and holds content i */
	struct catalogue_source *sources;
	size_t n_sources;
	struct catalogue_content *contents; /* of data sets */
	size_t n_contents;
};

struct catalogue {
	struct catalogue_item *items;
	size_t n;
};

/* file: a lab's, or NULL. */
int catalogue_open(struct catalogue *ret, const char *file, struct err *err);
void catalogue_fini(struct catalogue *c);
#define auto_catalogue __attribute__((cleanup(catalogue_fini)))
/* By name, weights also by their file's name.  -ENOENT with what there is. */
int catalogue_find(const struct catalogue *c, enum place_kind kind, const char *name,
		   const struct catalogue_item **ret, struct err *err);
/* Bytes to download; 0 when one of them is not known. */
int64_t catalogue_download_bytes(const struct catalogue_item *item);
