/* Where a pixel of an augmented image comes from: crop, flip, enlargement, as bytes.  For the CPU's loader and the device's
 * kernels. */
#pragma once

#include "augment_resize.h"
#include "sample_draw.h"

/* --- size 32, moved only --- */

/* The image's row (column) that row y (column x) of the result shows; outside 0..31 it shows 0. */
HD int crop_source_row(const struct augment_draw *draw, int y)
{
	return y + draw->row - CROP_PADDING;
}

HD int crop_source_col(const struct augment_draw *draw, int x)
{
	return (draw->flip ? IMAGE_SIZE - 1 - x : x) + draw->col - CROP_PADDING;
}

/* Pixel (y, x) of the result.  plane: (32, 32) of the image. */
HD uint8_t cropped_byte(const uint8_t *plane, const struct augment_draw *draw, int y, int x)
{
	int row = crop_source_row(draw, y), col = crop_source_col(draw, x);
	bool inside = row >= 0 && row < IMAGE_SIZE && col >= 0 && col < IMAGE_SIZE;
	return inside ? plane[row * IMAGE_SIZE + col] : 0;
}

/* --- enlarged --- */

/* Between which rows (columns) of the image row y (column x) of the result lies: numbers of rows (columns) of it. */
HD struct resize_taps enlarged_row(const struct augment_settings *s, const struct augment_draw *draw, int y)
{
	bool part = s->crop == CROP_RESIZED;
	struct resize_taps taps = part ? resize_taps(y, draw->height, s->size) :
					 resize_taps(y + draw->row, IMAGE_SIZE, augment_resized_side(s->size));
	taps.first += draw->top;
	taps.second += draw->top;
	return taps;
}

HD struct resize_taps enlarged_col(const struct augment_settings *s, const struct augment_draw *draw, int x)
{
	bool part = s->crop == CROP_RESIZED;
	int at = draw->flip ? s->size - 1 - x : x;
	struct resize_taps taps = part ? resize_taps(at, draw->width, s->size) :
					 resize_taps(at + draw->col, IMAGE_SIZE, augment_resized_side(s->size));
	taps.first += draw->left;
	taps.second += draw->left;
	return taps;
}

/* A pixel of the result. */
HD uint8_t enlarged_byte(const uint8_t *plane, struct resize_taps row, struct resize_taps col)
{
	const uint8_t *upper = plane + row.first * IMAGE_SIZE, *lower = plane + row.second * IMAGE_SIZE;
	return resize_value(row, resize_value(col, upper[col.first], upper[col.second]),
			    resize_value(col, lower[col.first], lower[col.second]));
}

/* of a byte */
HD float normalize_value(float value, float mean, float std)
{
	return (value / 255.0f - mean) / std;
}
