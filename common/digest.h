/* Checksums of files, and of what a gzip file holds. */
#pragma once

#include "catalogue.h"

struct digest {
	int64_t bytes;
	char md5[33], sha256[65]; /* lower case; "": was not asked for */
};
enum { DIGEST_MD5 = 1, DIGEST_SHA256 = 2 };

/* What must be computed to compare with it: one where one says all. */
int digest_needed(const struct catalogue_sum *expected);

/* Reads the whole file; which: of the above; inflate: where it is gzip, what it holds.  -EFBIG above max_bytes (a bomb), -EBADMSG for damaged
 * gzip data. */
int digest_file(const char *path, bool inflate, int which, int64_t max_bytes, struct digest *ret, struct err *err);
/* -EBADMSG with "1,234 bytes, expected 5,678" or "sha256 ab12.., expected cd34.."; what is not known agrees. */
int digest_check(const struct digest *d, const struct catalogue_sum *expected, struct err *err);
