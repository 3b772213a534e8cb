/* See augment.h.  Compiled without fused multiply-add, so that every machine computes the same bits. */
#include "augment.h"

#include "rng.h"

struct augment_draw augment_draw(uint64_t seed, uint32_t sample, uint32_t epoch, bool crop, bool flip)
{
	struct philox r = philox4x32(seed, sample, epoch, RNG_AUGMENT, 0);
	struct augment_draw draw = AUGMENT_NONE;
	if (crop) {
		draw.row = (int)rng_below(r.v[0], 2 * CROP_PADDING + 1);
		draw.col = (int)rng_below(r.v[1], 2 * CROP_PADDING + 1);
	}
	if (flip)
		draw.flip = r.v[2] >> 31;
	return draw;
}

/* plane: (32, 32) of the image.  Output row y, column x shows the image's row y + dy, column x + dx, or 0. */
static void crop_plane(uint8_t *out, const uint8_t *plane, struct augment_draw draw)
{
	int dy = draw.row - CROP_PADDING, dx = draw.col - CROP_PADDING;
	int from = MAX(0, -dx), to = MIN(IMAGE_SIZE, IMAGE_SIZE - dx);
	memset(out, 0, IMAGE_PLANE);
	for (int y = 0; y < IMAGE_SIZE; y++)
		if (y + dy >= 0 && y + dy < IMAGE_SIZE)
			memcpy(out + y * IMAGE_SIZE + from, plane + (y + dy) * IMAGE_SIZE + from + dx,
			       (size_t)(to - from));
}

static void flip_plane(uint8_t *plane)
{
	for (int y = 0; y < IMAGE_SIZE; y++) {
		uint8_t *row = plane + y * IMAGE_SIZE;
		for (int x = 0; x < IMAGE_SIZE / 2; x++) {
			uint8_t left = row[x];
			row[x] = row[IMAGE_SIZE - 1 - x];
			row[IMAGE_SIZE - 1 - x] = left;
		}
	}
}

void augment_bytes(uint8_t *out, const struct image_set *set, size_t index, struct augment_draw draw)
{
	for (int c = 0; c < 3; c++) {
		uint8_t *plane = out + c * IMAGE_PLANE;
		if (c > 0 && set->plane_pitch == 0) {
			memcpy(plane, out, IMAGE_PLANE);
			continue;
		}
		crop_plane(plane, set->pixels + index * set->pitch + (size_t)c * set->plane_pitch, draw);
		if (draw.flip)
			flip_plane(plane);
	}
}

void normalizer_init(struct normalizer *n, const float mean[3], const float std[3])
{
	for (int c = 0; c < 3; c++)
		for (int b = 0; b < 256; b++)
			n->value[c][b] = ((float)b / 255.0f - mean[c]) / std[c];
}

void augment_sample(float *out, const struct image_set *set, size_t index, struct augment_draw draw,
		    const struct normalizer *normalizer)
{
	uint8_t bytes[IMAGE_VALUES];
	augment_bytes(bytes, set, index, draw);
	for (int c = 0; c < 3; c++)
		for (int i = 0; i < IMAGE_PLANE; i++)
			out[c * IMAGE_PLANE + i] = normalizer->value[c][bytes[c * IMAGE_PLANE + i]];
}

void epoch_order(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch)
{
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n; i > 1; i--) {
		struct philox r = philox4x32(seed, (uint32_t)i, epoch, RNG_ORDER, 0);
		uint32_t j = rng_below(r.v[0], (uint32_t)i);
		uint32_t last = order[i - 1];
		order[i - 1] = order[j];
		order[j] = last;
	}
}
