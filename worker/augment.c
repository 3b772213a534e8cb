/* See augment.h.  Compiled without fused multiply-add, so that every machine computes the same bits. */
#include "augment.h"

/* plane: (32, 32) of the image */
static void augment_plane(uint8_t *out, const uint8_t *plane, struct augment_draw draw)
{
	for (int y = 0; y < IMAGE_SIZE; y++)
		for (int x = 0; x < IMAGE_SIZE; x++)
			out[y * IMAGE_SIZE + x] = augment_byte(plane, draw, y, x);
}

void augment_bytes(uint8_t *out, const struct image_set *set, size_t index, struct augment_draw draw)
{
	for (int c = 0; c < 3; c++) {
		uint8_t *plane = out + c * IMAGE_PLANE;
		if (c > 0 && set->plane_pitch == 0) {
			memcpy(plane, out, IMAGE_PLANE);
			continue;
		}
		augment_plane(plane, set->pixels + index * set->pitch + (size_t)c * set->plane_pitch, draw);
	}
}

void normalizer_init(struct normalizer *n, const float mean[3], const float std[3])
{
	for (int c = 0; c < 3; c++)
		for (int b = 0; b < 256; b++)
			n->value[c][b] = normalize_value((float)b, mean[c], std[c]);
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
