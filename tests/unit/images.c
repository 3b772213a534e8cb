/* See images.h. */
#include "images.h"

#include "worker/augment.h"
#include "worker/rng.h"

/* Images of one class look alike: a gradient of its own under noise, so that a network can learn them. */
static uint8_t pixel(uint32_t split, size_t image, size_t at, int label)
{
	uint32_t noise = philox4x32(split, (uint32_t)image, (uint32_t)at, 0, 0).v[0] >> 25;
	size_t y = at / IMAGE_SIZE % IMAGE_SIZE, x = at % IMAGE_SIZE;
	return (uint8_t)((x * (size_t)(label + 1) + y * (size_t)(7 - label % 7)) % 128 + noise);
}

static void fill_set(struct image_set *set, uint32_t split, size_t count, int classes, bool colour)
{
	size_t record = 2 + (colour ? IMAGE_VALUES : IMAGE_PLANE);
	uint8_t *bytes = xmalloc(count * record);
	for (size_t i = 0; i < count; i++) {
		uint8_t *r = bytes + i * record;
		r[0] = 0;
		r[1] = (uint8_t)((i * 7 + split) % (size_t)classes);
		for (size_t at = 0; at < record - 2; at++)
			r[2 + at] = pixel(split, i, at, r[1]);
	}
	*set = (struct image_set){.pixels = bytes + 2, .labels = bytes + 1, .pitch = record, .label_pitch = record,
				  .plane_pitch = colour ? IMAGE_PLANE : 0, .count = count};
}

struct dataset *images_new(size_t train, size_t test, int classes, bool colour)
{
	struct dataset *d = xcalloc(1, sizeof(*d));
	strcpy(d->name, "made-up");
	d->classes = classes;
	d->size = IMAGE_SIZE;
	for (int c = 0; c < 3; c++) {
		d->mean[c] = 0.4f + 0.05f * (float)c;
		d->std[c] = 0.25f + 0.02f * (float)c;
	}
	fill_set(&d->sets[SPLIT_TRAIN], SPLIT_TRAIN, train, classes, colour);
	fill_set(&d->sets[SPLIT_TEST], SPLIT_TEST, test, classes, colour);
	return d;
}

void images_free(struct dataset *d)
{
	for (int split = SPLIT_TRAIN; split <= SPLIT_TEST; split++) /* held-out images are the training set's */
		free((uint8_t *)d->sets[split].pixels - 2);
	free(d);
}
