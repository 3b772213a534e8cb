/* A data set of small colour images: uint8, read-only, shared by every plan.  Files are plain or gzip.
 *
 * cifar10, cifar100: the official binary records (label u8 | coarse u8, fine u8; 3 x 1024 planes), kept as they are.  A
 * split in one plain file is mapped (mapped.h), so that the workers of a machine share its pages: all of cifar100 and
 * cifar10's test images.  What is gzip, in several files or must be padded is memory of the worker's own.
 * mnist, fashion-mnist: IDX, 28x28 grey, padded with 0 to 32x32 at load; the one plane serves all 3 channels. */
#pragma once

#include "backend.h"

struct image_set {
	const uint8_t *pixels;	/* image i, channel c: pixels + i * pitch + c * plane_pitch, (32, 32); see index */
	const uint8_t *labels;	/* label i: labels[i * label_pitch] */
	size_t pitch, plane_pitch, label_pitch; /* plane_pitch 0: the three channels are one plane */
	size_t count;
	const uint32_t *index; /* image i is number index[i] of the arrays; NULL: i itself */
};

/* Channel c of image i, and its label. */
static inline const uint8_t *image_plane(const struct image_set *set, size_t i, size_t c)
{
	return set->pixels + (set->index ? set->index[i] : i) * set->pitch + c * set->plane_pitch;
}

static inline uint8_t image_label(const struct image_set *set, size_t i)
{
	return set->labels[(set->index ? set->index[i] : i) * set->label_pitch];
}

struct dataset {
	char name[32];
	int classes;
	int size;		 /* 32 */
	float mean[3], std[3];	 /* of the training set without padding, for bytes divided by 255 */
	struct image_set sets[N_SPLITS]; /* by enum split */
	void *owned[4];		 /* what the sets point into: freed by dataset_free */
	uint32_t *held; /* index of dataset_hold_out(): training images, then held-out ones; NULL: none */
	struct mapped *mapped[2]; /* likewise, by enum split; NULL: not mapped */
};

/* Opens data set `name` in directory dir (datasets_find() of common/datasets.h finds it), keeping the first
 * train_images / test_images (0: all; more than there are is an error).  Checks lengths, magic numbers and that every
 * label is in range; errors name the file. */
int dataset_open(struct dataset **ret, const char *name, const char *dir, size_t train_images, size_t test_images,
		 struct err *err);
/* Moves n of the training images to SPLIT_VAL: of each class its share, to within one image, drawn by seed.  Once, before
 * the data set is handed on. */
void dataset_hold_out(struct dataset *data, size_t n, uint64_t seed);
/* -ENODATA, naming the file, once a mapped one was changed under its readers.  Asked after each stretch of training and
 * before what came of it is kept. */
int dataset_check(const struct dataset *data, struct err *err);
void dataset_free(struct dataset *data);
