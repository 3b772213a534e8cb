/* Takes the files of a data set out of its archive (tar, plain or gzip). */
#pragma once

#include "common/catalogue.h"

/* Writes those of item->contents, found by their file name wherever they lie in the archive, into directory `into`; each
 * must be there once and have its size.  Everything else in it is passed over, so that no name of the archive ever
 * becomes a path.  Read to the end: gzip's own checksum is checked too.  -EBADMSG: damaged, or not that archive; -ENOSPC
 * and others: writing failed. */
int unpack(const struct catalogue_item *item, const char *archive, const char *into, struct err *err);
