/* Bytes of a file that nobody vouches for, read one piece at a time. */
#pragma once

#include "common/base.h"

/* The little-endian number of n bytes, at most 8. */
static inline uint64_t little_endian(const uint8_t *at, size_t n)
{
	uint64_t v = 0;
	for (size_t i = n; i-- > 0;)
		v = v << 8 | at[i];
	return v;
}

/* As they may stand in a message: printable ASCII, the rest '?', shortened to fit.  Returns buf. */
static inline const char *printable_bytes(const void *bytes, size_t n, char *buf, size_t size)
{
	size_t used = MIN(n, size - 1);
	for (size_t i = 0; i < used; i++) {
		char c = ((const char *)bytes)[i];
		buf[i] = (char)(c >= ' ' && c <= '~' ? c : '?');
	}
	buf[used] = '\0';
	return buf;
}
