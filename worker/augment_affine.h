/* Affine transforms of an image as Pillow 9.4 computes them with NEAREST and fill 0 (Geometry.c: 16.16 fixed point), for
 * TrivialAugmentWide's five geometric operations.  The coefficients are made once, on the host, so that no device's sin()
 * matters. */
#pragma once

#include "hd.h"

#include <stdbool.h>
#include <stdint.h>

/* Pixel (y, x) of the result is the image's pixel at column (xx * x + xy * y + x0) >> 16, row (yx * x + yy * y + y0) >> 16. */
struct affine {
	int32_t xx, xy, x0;
	int32_t yx, yy, y0;
};

/* Its place in the plane; -1: outside, where the result is 0. */
HD int affine_place(const struct affine *t, int size, int y, int x)
{
	int col = (t->xx * x + t->xy * y + t->x0) >> 16, row = (t->yx * x + t->yy * y + t->y0) >> 16;
	bool inside = (uint32_t)row < (uint32_t)size && (uint32_t)col < (uint32_t)size;
	return inside ? row * size + col : -1;
}

HD uint8_t affine_byte(const uint8_t *plane, int size, const struct affine *t, int y, int x)
{
	int place = affine_place(t, size, y, x);
	return place < 0 ? 0 : plane[place];
}

enum affine_kind { AFFINE_SHEAR_X, AFFINE_SHEAR_Y, AFFINE_TRANSLATE_X, AFFINE_TRANSLATE_Y, AFFINE_ROTATE };
#define AFFINE_KINDS 5

/* Of a square image.  magnitude, with its sign: shear: tangent; translation: pixels, cut to whole ones; rotation: degrees
 * counter-clockwise. */
struct affine affine_of(enum affine_kind kind, double magnitude, int size);
