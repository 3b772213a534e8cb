/* What happens to an image on its way into a batch: RandomCrop(32, padding=4), RandomHorizontalFlip(0.5), ToTensor,
 * Normalize, bit for bit as torchvision computes them.  And the order in which an epoch visits the images.
 *
 * What is drawn depends on (seed, epoch, sample) alone, never on batch size, thread or device.  Pure functions; to add
 * a transform of bytes, add its draw to struct augment_draw and its effect to augment_bytes(). */
#pragma once

#include "data.h"

#define IMAGE_SIZE   32
#define IMAGE_PLANE  (IMAGE_SIZE * IMAGE_SIZE)
#define IMAGE_VALUES (3 * IMAGE_PLANE) /* of one image: planes (3, 32, 32) */
#define CROP_PADDING 4

struct augment_draw {
	int row, col; /* of the crop in the image padded by 4: 0..8; 4, 4 leaves the image where it is */
	bool flip;    /* after the crop */
};

/* The draw that changes nothing: test images. */
#define AUGMENT_NONE ((struct augment_draw){CROP_PADDING, CROP_PADDING, false})

/* philox4x32(seed, sample, epoch, RNG_AUGMENT, 0): v[0] -> row, v[1] -> col, v[2]'s top bit -> flip.  `sample` is the
 * image's index in its set.  crop or flip false: that part as in AUGMENT_NONE, the other part unchanged. */
struct augment_draw augment_draw(uint64_t seed, uint32_t sample, uint32_t epoch, bool crop, bool flip);

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
