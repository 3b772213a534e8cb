/* Data sets in device memory; see plan.h. */
#include "plan.h"

#define STAGING_BYTES (4u << 20)

/* What the images of a set look like when they lie without gaps. */
struct dense {
	size_t planes, image; /* bytes of an image */
	const struct image_set *set;
};

static void gather(const struct dense *dense, size_t first, size_t n, uint8_t *to)
{
	const struct image_set *set = dense->set;
	size_t plane = dense->image / dense->planes;
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < dense->planes; c++)
			memcpy(to + i * dense->image + c * plane, set->pixels + (first + i) * set->pitch + c * set->plane_pitch,
			       plane);
}

static int upload_pixels(struct runner *runner, const struct dense *dense, uint8_t *to, struct err *err)
{
	size_t at_once = STAGING_BYTES / dense->image;
	autofree uint8_t *staging = xmalloc(at_once * dense->image);
	for (size_t first = 0; first < dense->set->count; first += at_once) {
		size_t n = MIN(at_once, dense->set->count - first);
		gather(dense, first, n, staging);
		int r = runner->ops->upload(runner, to + first * dense->image, staging, n * dense->image, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int upload_labels(struct runner *runner, const struct image_set *set, uint8_t *to, struct err *err)
{
	autofree uint8_t *labels = xmalloc(set->count);
	for (size_t i = 0; i < set->count; i++)
		labels[i] = set->labels[i * set->label_pitch];
	return runner->ops->upload(runner, to, labels, set->count, err);
}

static int load_set(struct runner *runner, const struct dataset *data, enum split split, struct resident_set *ret,
		    struct err *err)
{
	const struct image_set *set = &data->sets[split];
	size_t plane = (size_t)data->size * (size_t)data->size, planes = set->plane_pitch ? 3 : 1;
	struct dense dense = {.planes = planes, .image = planes * plane, .set = set};
	void *pixels;
	/* one allocation, labels behind the pixels */
	int r = runner->ops->alloc(runner, set->count * (dense.image + 1), &pixels, err);
	if (r < 0)
		return err_prefix(err, r, "data set %s", data->name);
	uint8_t *labels = (uint8_t *)pixels + set->count * dense.image;
	ret->count = set->count;
	ret->source = (struct batch_source){
		.pixels = pixels,
		.labels = labels,
		.pitch = dense.image,
		.plane_pitch = planes == 3 ? plane : 0,
		.label_pitch = 1,
	};
	memcpy(ret->source.mean, data->mean, sizeof(data->mean));
	memcpy(ret->source.std, data->std, sizeof(data->std));
	r = upload_pixels(runner, &dense, pixels, err);
	return r < 0 ? r : upload_labels(runner, set, labels, err);
}

static void release_sets(struct device *device)
{
	for (int split = 0; split < 2; split++) {
		device->runner->ops->release(device->runner, (void *)device->sets[split].source.pixels);
		device->sets[split] = (struct resident_set){0};
	}
}

int cuda_load(struct device *device, const struct dataset *data, struct err *err)
{
	int r = device->runner ? 0 : device->runner_new(device, NULL, &device->runner, err);
	if (r < 0)
		return r;
	release_sets(device);
	r = load_set(device->runner, data, SPLIT_TRAIN, &device->sets[SPLIT_TRAIN], err);
	return r < 0 ? r : load_set(device->runner, data, SPLIT_TEST, &device->sets[SPLIT_TEST], err);
}

void cuda_close(struct device *device)
{
	if (!device)
		return;
	if (device->runner) {
		release_sets(device);
		device->runner->ops->close(device->runner);
	}
	if (device->shut)
		device->shut(device);
	free(device);
}
