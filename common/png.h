/* A picture of at most 256 colors as a PNG (ISO/IEC 15948).  Pure. */
#pragma once

#include "base.h"

struct png_color {
	uint8_t r, g, b;
};

/* pixels (height, width): indices into the colors; alpha: of each color, 0 is clear, or NULL: all are opaque.  Half a byte a
 * pixel where there are at most 16 colors, else one, deflated.  Allocated bytes. */
char *png_indexed(const uint8_t *pixels, size_t width, size_t height, const struct png_color *colors, const uint8_t *alpha,
		  size_t n_colors, size_t *ret_size);
