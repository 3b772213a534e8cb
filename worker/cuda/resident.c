/* Data sets in device memory; see plan.h. */
#include "plan.h"

#include <pthread.h>

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
			memcpy(to + i * dense->image + c * plane, image_plane(set, first + i, c), plane);
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
		labels[i] = image_label(set, i);
	return runner->ops->upload(runner, to, labels, set->count, err);
}

static int load_set(struct runner *runner, const struct dataset *data, enum split split, struct resident_set *ret,
		    struct err *err)
{
	const struct image_set *set = &data->sets[split];
	size_t plane = (size_t)data->size * (size_t)data->size, planes = set->plane_pitch ? 3 : 1;
	struct dense dense = {.planes = planes, .image = planes * plane, .set = set};
	void *pixels;
	if (set->count == 0)
		return 0;
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

/* --- the store --- */

struct resident {
	uint64_t hash;
	size_t counts[N_SPLITS];
	struct resident_set sets[N_SPLITS];
	int users;
	struct resident *next;
};

struct resident_store {
	pthread_mutex_t lock;
	struct resident *first;
};

struct resident_store *resident_store_new(void)
{
	struct resident_store *store = xcalloc(1, sizeof(*store));
	pthread_mutex_init(&store->lock, NULL);
	return store;
}

void resident_store_free(struct resident_store *store)
{
	if (!store)
		return;
	INVARIANT(!store->first, "a data set on the device is still in use");
	pthread_mutex_destroy(&store->lock);
	free(store);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t word = 0;
	for (; n > 0; n -= MIN(n, sizeof(word)), p += sizeof(word)) {
		word = 0;
		memcpy(&word, p, MIN(n, sizeof(word)));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	return hash;
}

/* Of all that is computed with. */
static uint64_t hash_of(const struct dataset *data)
{
	uint64_t hash = hash_bytes(0, data->mean, sizeof(data->mean));
	size_t plane = (size_t)data->size * (size_t)data->size;
	hash = hash_bytes(hash, data->std, sizeof(data->std));
	for (int split = 0; split < N_SPLITS; split++) {
		const struct image_set *set = &data->sets[split];
		for (size_t i = 0; i < set->count; i++) {
			uint8_t label = image_label(set, i);
			hash = hash_bytes(hash, &label, 1);
			for (size_t c = 0; c < (set->plane_pitch ? 3 : 1); c++)
				hash = hash_bytes(hash, image_plane(set, i, c), plane);
		}
	}
	return hash;
}

static void free_resident(struct runner *runner, struct resident *r)
{
	for (int split = 0; split < N_SPLITS; split++)
		runner->ops->release(runner, (void *)r->sets[split].source.pixels);
	free(r);
}

static int upload_resident(struct device *device, const struct dataset *data, uint64_t hash, struct resident **ret,
			   struct err *err)
{
	struct resident *r = xcalloc(1, sizeof(*r));
	int code = 0;
	r->hash = hash;
	for (int split = 0; code == 0 && split < N_SPLITS; split++) {
		r->counts[split] = data->sets[split].count;
		code = load_set(device->runner, data, (enum split)split, &r->sets[split], err);
	}
	if (code < 0) {
		free_resident(device->runner, r);
		return code;
	}
	*ret = r;
	return 0;
}

static bool same_counts(const struct resident *r, const struct dataset *data)
{
	for (int split = 0; split < N_SPLITS; split++)
		if (r->counts[split] != data->sets[split].count)
			return false;
	return true;
}

/* With the store's lock, which also keeps two slots from uploading the same. */
static int find_resident(struct device *device, const struct dataset *data, struct resident **ret, struct err *err)
{
	struct resident_store *store = device->store;
	uint64_t hash = hash_of(data);
	for (struct resident *r = store->first; r; r = r->next)
		if (r->hash == hash && same_counts(r, data)) {
			*ret = r;
			return 0;
		}
	int code = upload_resident(device, data, hash, ret, err);
	if (code < 0)
		return code;
	(*ret)->next = store->first;
	store->first = *ret;
	return 0;
}

static void leave(struct device *device)
{
	struct resident *r = device->resident;
	if (!r)
		return;
	pthread_mutex_lock(&device->store->lock);
	if (--r->users == 0) {
		struct resident **at = &device->store->first;
		while (*at != r)
			at = &(*at)->next;
		*at = r->next;
		free_resident(device->runner, r);
	}
	pthread_mutex_unlock(&device->store->lock);
	device->resident = NULL;
	memset(device->sets, 0, sizeof(device->sets));
}

int cuda_load(struct device *device, const struct dataset *data, struct err *err)
{
	struct resident *r = NULL;
	int code = device->runner ? 0 : device->runner_new(device, NULL, &device->runner, err);
	if (code < 0)
		return code;
	if (!device->store)
		device->store = device->own_store = resident_store_new();
	leave(device);
	pthread_mutex_lock(&device->store->lock);
	code = find_resident(device, data, &r, err);
	if (code == 0) {
		r->users++;
		device->resident = r;
		memcpy(device->sets, r->sets, sizeof(device->sets));
	}
	pthread_mutex_unlock(&device->store->lock);
	return code;
}

void cuda_close(struct device *device)
{
	if (!device)
		return;
	leave(device);
	if (device->runner)
		device->runner->ops->close(device->runner);
	resident_store_free(device->own_store);
	if (device->shut)
		device->shut(device);
	free(device);
}
