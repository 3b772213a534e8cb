/* What happens to an image on its way into a batch, on the host: sample_draw.h's transforms of a whole image, planes
 * (3, 32, 32).  And the order in which an epoch visits the images.
 *
 * What is drawn depends on (seed, epoch, sample) alone, never on batch size, thread or device.  Pure functions. */
#pragma once

#include "data.h"
#include "sample_draw.h"

#define IMAGE_PLANE  (IMAGE_SIZE * IMAGE_SIZE)
#define IMAGE_VALUES (3 * IMAGE_PLANE) /* of one image: planes (3, 32, 32) */

/* Image `index` of set, cropped (what lies outside is 0) and flipped.  out: (3, 32, 32) bytes. */
void augment_bytes(uint8_t *out, const struct image_set *set, size_t index, struct augment_draw draw);

/* ((float)byte / 255 - mean) / std for every byte and channel. */
struct normalizer {
	float value[3][256];
};
void normalizer_init(struct normalizer *n, const float mean[3], const float std[3]);

/* augment_bytes() and then the normalizer.  out: (3, 32, 32) floats. */
void augment_sample(float *out, const struct image_set *set, size_t index, struct augment_draw draw,
		    const struct normalizer *normalizer);

/* order = a permutation of 0..n-1: Fisher-Yates from Philox (RNG_ORDER, epoch). */
void epoch_order(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch);
