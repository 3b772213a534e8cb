/* What happens to an image on its way into a batch, in torchvision's order: transforms of the 8-bit image (crop, flip,
 * ColorJitter, TrivialAugmentWide), ToTensor and Normalize, then erasing.  The defaults of what a transform draws from are
 * torchvision's.  Plain data: a device kernel's argument holds it.
 *
 * size 32 is the data set's own.  A larger one is torchvision's way of testing: Resize(256), CenterCrop(224), for other sizes
 * than 224 in the same proportion. */
#pragma once

#include "hd.h"

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_SIZE   32 /* of the data sets */
#define CROP_PADDING 4

enum augment_crop {
	CROP_CENTER,  /* size 32: the image as it is; larger: Resize, CenterCrop(size) */
	CROP_RANDOM,  /* size 32: RandomCrop(32, padding=4); larger: Resize, RandomCrop(size) */
	CROP_RESIZED, /* RandomResizedCrop(size, scale=(crop_scale, 1)), bilinear */
};

enum { JITTER_BRIGHTNESS, JITTER_CONTRAST, JITTER_SATURATION, JITTER_HUE, JITTERS };

struct augment_settings {
	int32_t size; /* of the result's sides: 32 or more */
	int32_t crop; /* enum augment_crop */
	bool flip;    /* RandomHorizontalFlip(0.5) */
	bool trivial; /* TrivialAugmentWide(), nearest, fill 0 */
	float crop_scale;
	float jitter[JITTERS]; /* ColorJitter's arguments; 0: not that one */
	float erasing;	 /* RandomErasing(p), value 0: the data set's mean */
	int32_t cutout;	 /* side of a square around a random pixel, cut at the border, that is erased too; 0: none */
};

/* Initializer: RandomCrop and flip. */
#define AUGMENT_CROP_FLIP {.crop = CROP_RANDOM, .flip = true}

/* Of test images. */
HD struct augment_settings augment_settings_test(int size)
{
	struct augment_settings s = {size, CROP_CENTER, false, false, 1, {0, 0, 0, 0}, 0, 0};
	return s;
}

HD bool augment_jitters(const struct augment_settings *s)
{
	return s->jitter[0] > 0 || s->jitter[1] > 0 || s->jitter[2] > 0 || s->jitter[3] > 0;
}

/* A pixel of the result is a pixel of the image, or 0: no transform needs its neighbours or changes its colour. */
HD bool augment_moves_only(const struct augment_settings *s)
{
	return s->size == IMAGE_SIZE && s->crop != CROP_RESIZED && !s->trivial && !augment_jitters(s);
}

/* The side that Resize gives an image before a crop to `size`. */
HD int augment_resized_side(int size)
{
	return size == IMAGE_SIZE ? size : size * 8 / 7;
}
