/* What happens to an image on its way into a batch, on the host: augment_settings.h's transforms, sample_draw.h's draws, of
 * a whole image in planes (3, size, size).  And the order in which an epoch visits the images.
 *
 * What is drawn depends on (seed, epoch, sample) alone, never on batch size, thread or device.  No function allocates but
 * augmenter_init().
 *
 * To add a transform: its setting and draw, what it does to a pixel as an HD function, its loop here and in
 * cuda/kernel/transform.cu, its golden vectors. */
#pragma once

#include "data.h"
#include "sample_draw.h"

#define IMAGE_PLANE  (IMAGE_SIZE * IMAGE_SIZE)
#define IMAGE_VALUES (3 * IMAGE_PLANE) /* of one image of a data set: planes (3, 32, 32) */

/* Values of one augmented image. */
static inline size_t augment_values(int size)
{
	return 3 * (size_t)size * (size_t)size;
}

/* Image `index` of set as it is.  out: (3, 32, 32). */
void image_bytes(uint8_t *out, const struct image_set *set, size_t index);

/* --- one transform of a whole image: planes (3, size, size) --- */

/* which: JITTER_*; in place */
void planes_jitter(uint8_t *planes, int size, int which, float factor);
void planes_sharpen(uint8_t *out, const uint8_t *planes, int size, float factor);
/* out: planes itself, or, where trivial_moves(draw.op), another one, and planes is left as it is.  affines: of this size. */
void planes_trivial(uint8_t *out, uint8_t *planes, int size, const struct affine_table *affines, struct trivial_draw draw);

void affine_table_fill(struct affine_table *table, int size);

/* --- all of them --- */

struct augmenter { /* what a thread needs to augment images */
	struct augment_settings settings;
	float mean[3], std[3];
	struct affine_table *affines; /* NULL without TrivialAugmentWide */
	uint8_t *bytes, *moved;	      /* (3, size, size) each: an image as bytes, and one before its pixels are moved */
	uint8_t *columns;	      /* (32, size): a plane between its two resizing passes */
};
void augmenter_init(struct augmenter *a, const struct augment_settings *settings, const float mean[3], const float std[3]);
void augmenter_fini(struct augmenter *a);

/* Image `index` of set as drawn, before any change of colour; settings: of the same size as a's. */
void augment_place(const struct augmenter *a, const struct augment_settings *settings, uint8_t *out,
		   const struct image_set *set, size_t index, const struct augment_draw *draw);
/* Image `index` of set up to ToTensor.  out: (3, size, size).  key NULL: nothing is drawn (test images). */
void augment_bytes(struct augmenter *a, uint8_t *out, const struct image_set *set, size_t index, const struct sample_key *key);
/* augment_bytes(), then normalised and erased.  out: (3, size, size) floats. */
void augment_sample(struct augmenter *a, float *out, const struct image_set *set, size_t index, const struct sample_key *key);

/* order = a permutation of 0..n-1: Fisher-Yates from Philox (RNG_ORDER, epoch). */
void epoch_order(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch);
