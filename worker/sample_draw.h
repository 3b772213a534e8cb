/* What is drawn for one training image and what that does to a pixel: RandomCrop(32, padding=4),
 * RandomHorizontalFlip(0.5), ToTensor, Normalize, bit for bit as torchvision computes them; and bilinear enlargement.
 * The same functions serve the CPU's loader and the device's kernels.  Whoever compiles them must forbid fused
 * multiply-add, so that every machine computes the same bits.
 *
 * To add a transform of bytes: its draw in struct augment_draw, its effect in augment_source_*(). */
#pragma once

#include "rng.h"

#include <stdbool.h>

#define IMAGE_SIZE   32
#define CROP_PADDING 4

struct augment_draw {
	int row, col; /* of the crop in the image padded by 4: 0..8; 4, 4 leaves the image where it is */
	bool flip;    /* after the crop */
};

/* The draw that changes nothing: test images. */
HD struct augment_draw augment_draw_none(void)
{
	struct augment_draw draw = {CROP_PADDING, CROP_PADDING, false};
	return draw;
}

/* philox4x32(seed, sample, epoch, RNG_AUGMENT, 0): v[0] -> row, v[1] -> col, v[2]'s top bit -> flip.  `sample` is the
 * image's index in its set.  crop or flip false: that part as in augment_draw_none(), the other part unchanged. */
HD struct augment_draw augment_draw(uint64_t seed, uint32_t sample, uint32_t epoch, bool crop, bool flip)
{
	struct philox r = philox4x32(seed, sample, epoch, RNG_AUGMENT, 0);
	struct augment_draw draw = augment_draw_none();
	if (crop) {
		draw.row = (int)rng_below(r.v[0], 2 * CROP_PADDING + 1);
		draw.col = (int)rng_below(r.v[1], 2 * CROP_PADDING + 1);
	}
	if (flip)
		draw.flip = r.v[2] >> 31;
	return draw;
}

/* The image's row (column) that row y (column x) of the result shows; outside 0..31 it shows 0. */
HD int augment_source_row(struct augment_draw draw, int y)
{
	return y + draw.row - CROP_PADDING;
}

HD int augment_source_col(struct augment_draw draw, int x)
{
	return (draw.flip ? IMAGE_SIZE - 1 - x : x) + draw.col - CROP_PADDING;
}

/* Pixel (y, x) of the result.  plane: (32, 32) of the image. */
HD uint8_t augment_byte(const uint8_t *plane, struct augment_draw draw, int y, int x)
{
	int row = augment_source_row(draw, y), col = augment_source_col(draw, x);
	bool inside = row >= 0 && row < IMAGE_SIZE && col >= 0 && col < IMAGE_SIZE;
	return inside ? plane[row * IMAGE_SIZE + col] : 0;
}

/* of a byte, or of a value between bytes */
HD float normalize_value(float value, float mean, float std)
{
	return (value / 255.0f - mean) / std;
}

/* Enlargement of one axis, in samples as torch's interpolate(mode="bilinear", align_corners=False):
 * result i = (1 - weight) * from[low] + weight * from[high]. */
struct bilinear {
	int low, high;
	float weight;
};
HD struct bilinear bilinear_at(int i, int from_size, int to_size)
{
	float at = ((float)i + 0.5f) * ((float)from_size / (float)to_size) - 0.5f;
	struct bilinear b;
	at = at < 0 ? 0 : at;
	b.low = (int)at;
	b.high = b.low + 1 < from_size ? b.low + 1 : b.low;
	b.weight = at - (float)b.low;
	return b;
}
