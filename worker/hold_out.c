/* See data.h. */
#include "augment.h"

#define HOLD_OUT_EPOCH UINT32_MAX /* no epoch: an order of its own */

/* How many of the first k of `images` images are held out, if n of all are. */
static size_t held_of(size_t k, size_t n, size_t images)
{
	return k * n / images;
}

void dataset_hold_out(struct dataset *data, size_t n, uint64_t seed)
{
	struct image_set *train = &data->sets[SPLIT_TRAIN], *val = &data->sets[SPLIT_VAL];
	size_t images = train->count, classes = (size_t)data->classes, before = 0;
	INVARIANT(n < images && !data->held, "%zu of %zu images held out", n, images);
	autofree uint32_t *order = xmalloc(images * sizeof(*order));
	autofree size_t *left = xcalloc(classes, sizeof(*left));
	epoch_order(order, images, seed, HOLD_OUT_EPOCH);
	for (size_t i = 0; i < images; i++)
		left[image_label(train, i)]++;
	for (size_t c = 0; c < classes; c++) { /* left: images of class c -> those of them to hold out */
		size_t end = before + left[c];
		left[c] = held_of(end, n, images) - held_of(before, n, images);
		before = end;
	}
	autofree bool *out = xcalloc(images, sizeof(*out));
	for (size_t i = 0; i < images; i++) {
		size_t *wanted = &left[image_label(train, order[i])];
		out[order[i]] = *wanted > 0;
		*wanted -= *wanted > 0;
	}
	data->held = xmalloc(images * sizeof(*data->held));
	uint32_t *kept = data->held, *held = data->held + (images - n);
	for (size_t i = 0; i < images; i++) /* in the order of the file */
		*(out[i] ? held++ : kept++) = (uint32_t)i;
	*val = *train;
	val->index = data->held + (images - n);
	val->count = n;
	train->index = data->held;
	train->count = images - n;
}
