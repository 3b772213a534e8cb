/* ZIP archives whose entries are stored, not compressed, as torch.save() writes them (PKWARE's APPNOTE.TXT 6.3.10,
 * sections 4.3 and 4.5.3).  Sizes come from the central directory: torch leaves them out of the local headers. */
#pragma once

#include "common/base.h"

struct zip_entry {
	const char *name; /* borrowed from the archive, not terminated */
	size_t name_size;
	const uint8_t *data;
	size_t size;
	uint32_t crc;
};

struct zip;

/* Checks all of it: one disk, the central directory right before its end record (ZIP64's too), every entry stored,
 * inside the archive, beside the others, named once, and of the CRC-32 it has (0: torch was told to compute none).  bytes
 * must stay.  -EBADMSG: damaged or of another kind; the sentence has no place in it. */
int zip_open(struct zip **ret, const uint8_t *bytes, size_t size, struct err *err);
size_t zip_count(const struct zip *z);
const struct zip_entry *zip_at(const struct zip *z, size_t i);	       /* in order of their places */
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* NULL: not there */
void zip_close(struct zip *z);
