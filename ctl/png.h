/* A small picture of at most 16 colours as a data URL, for charts whose marks would be too many.  Pure. */
#pragma once

#include "common/base.h"

#define PNG_COLOURS  16
#define PNG_SIDE_MAX 1000

struct png_colour {
	uint8_t r, g, b, a; /* a: 0 lets the page through */
};

/* "data:image/png;base64,...": pixels (height, width) are indices into the colours.  Half a byte a pixel, uncompressed,
 * and a third more for base64.  Allocated. */
char *png_data_url(const uint8_t *pixels, size_t width, size_t height, const struct png_colour colours[PNG_COLOURS]);
