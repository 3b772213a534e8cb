/* See data.h.  A new data set is a row in kinds[]: of CIFAR's records, with a row of their layout, or of IDX files. */
#include "data.h"

#include "augment.h"
#include "mapped.h"

#include <unistd.h>
#include <zlib.h>

#define IDX_SIZE   28
#define IDX_PIXELS (IDX_SIZE * IDX_SIZE)
#define IDX_IMAGES 0x00000803u /* unsigned bytes, 3 dimensions */
#define IDX_LABELS 0x00000801u
#define IDX_MAX	   1000000u /* images: more is a damaged header */
#define IDX_PAD	   ((IMAGE_SIZE - IDX_SIZE) / 2)

/* Hands memory to the data set, which frees it. */
static void own(struct dataset *d, void *memory)
{
	for (size_t i = 0; i < ARRAY_LEN(d->owned); i++)
		if (!d->owned[i]) {
			d->owned[i] = memory;
			return;
		}
	BUG("a data set of more than %zu pieces of memory", ARRAY_LEN(d->owned));
}

/* How many images to keep of `count`.  path: where they are. */
static int keep_images(size_t count, size_t wanted, const char *path, size_t *ret, struct err *err)
{
	if (wanted > count)
		return err_set(err, -ERANGE, "%s: %zu images are wanted, but it has %zu", path, wanted, count);
	*ret = wanted ? wanted : count;
	return 0;
}

/* --- files, plain or gzip --- */

struct input { /* zlib reads plain files as they are */
	char *path;
	gzFile file;
	size_t size;	    /* bytes it must have, inflated */
	const char *source; /* of that number: "its header promises" */
};

static void input_fini(struct input *f)
{
	if (f->file)
		gzclose_r(f->file);
	free(f->path);
}
#define auto_input __attribute__((cleanup(input_fini)))

/* dir/name or dir/name.gz. */
static int input_open(struct input *ret, const char *dir, const char *name, struct err *err)
{
	ret->path = xasprintf("%s/%s", dir, name);
	if (access(ret->path, F_OK) < 0) {
		free(ret->path);
		ret->path = xasprintf("%s/%s.gz", dir, name);
	}
	errno = 0;
	ret->file = gzopen(ret->path, "rbe");
	if (!ret->file)
		return err_sys(err, errno ? -errno : -ENOMEM, "%s", ret->path);
	gzbuffer(ret->file, 1 << 18);
	return 0;
}

static void input_expect(struct input *f, size_t size, const char *source)
{
	f->size = size;
	f->source = source;
}

static int input_read(struct input *f, void *into, size_t size, struct err *err)
{
	int got = gzread(f->file, into, (unsigned)size);
	if (got == (int)size)
		return 0;
	int code;
	const char *text = gzerror(f->file, &code);
	if (code == Z_ERRNO)
		return err_sys(err, errno ? -errno : -EIO, "%s", f->path);
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return err_set(err, -EINVAL, "%s: damaged gzip data: %s", f->path, text);
	return err_set(err, -EINVAL, "%s: ends after %lld bytes; %s %zu", f->path, (long long)gztell(f->file), f->source,
		       f->size);
}

/* Nothing may follow; for gzip this also checks the sum at its end. */
static int input_end(struct input *f, struct err *err)
{
	uint8_t byte;
	int got = gzread(f->file, &byte, 1), code;
	const char *text = gzerror(f->file, &code);
	if (got > 0)
		return err_set(err, -EINVAL, "%s: more follows the %zu bytes that %s", f->path, f->size, f->source);
	if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
		return err_set(err, -EINVAL, "%s: damaged gzip data: %s", f->path, text);
	return 0;
}

/* --- CIFAR: records of one or two labels and three planes --- */

struct cifar {
	int n_labels, below[2]; /* label bytes before the planes, the last one is learnt; what each is below */
	struct {
		const char *files[6];
		size_t records; /* in each of them */
	} sets[2]; /* by enum split */
};

static const struct cifar cifar10 = {
	1, {10},
	{[SPLIT_TRAIN] = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
			   "data_batch_5.bin"}, 10000},
	 [SPLIT_TEST] = {{"test_batch.bin"}, 10000}},
};

static const struct cifar cifar100 = { /* coarse, fine */
	2, {20, 100},
	{[SPLIT_TRAIN] = {{"train.bin"}, 50000}, [SPLIT_TEST] = {{"test.bin"}, 10000}},
};

static int cifar_check(const struct cifar *c, const uint8_t *record, size_t i, const char *path, struct err *err)
{
	for (int k = 0; k < c->n_labels; k++)
		if (record[k] >= c->below[k])
			return err_set(err, -EINVAL, "%s: record %zu has label %d; expected below %d", path, i, record[k],
				       c->below[k]);
	return 0;
}

/* Reads and checks a whole file, keeping its first records. */
static int cifar_read(const struct cifar *c, const char *dir, const char *name, size_t records, uint8_t *into,
		      size_t keep, struct err *err)
{
	auto_input struct input f = {0};
	uint8_t passed_over[2 + IMAGE_VALUES];
	size_t record = (size_t)c->n_labels + IMAGE_VALUES;
	int r = input_open(&f, dir, name, err);
	input_expect(&f, records * record, "CIFAR's binary version has");
	for (size_t i = 0; r == 0 && i < records; i++) {
		uint8_t *at = i < keep ? into + i * record : passed_over;
		r = input_read(&f, at, record, err);
		if (r == 0)
			r = cifar_check(c, at, i, f.path, err);
	}
	return r < 0 ? r : input_end(&f, err);
}

static struct image_set cifar_set(const struct cifar *c, const uint8_t *records, size_t keep)
{
	size_t record = (size_t)c->n_labels + IMAGE_VALUES;
	return (struct image_set){
		.pixels = records + c->n_labels,
		.labels = records + c->n_labels - 1,
		.pitch = record,
		.plane_pitch = IMAGE_PLANE,
		.label_pitch = record,
		.count = keep,
	};
}

/* A file that is there and not gzip, whatever its name. */
static bool is_plain(const char *path)
{
	autofile FILE *f = fopen(path, "re");
	uint8_t begin[2];
	return f && fread(begin, 1, 2, f) == 2 && !(begin[0] == 0x1f && begin[1] == 0x8b);
}

/* Leaves the pixels in the file.  The labels are copied: whoever writes there must not take them out of range. */
static int cifar_map(struct dataset *d, const struct cifar *c, enum split split, const char *path, size_t keep,
		     struct err *err)
{
	struct mapped *file;
	size_t record = (size_t)c->n_labels + IMAGE_VALUES, size = c->sets[split].records * record;
	int r = mapped_open(&file, path, err);
	if (r < 0)
		return r;
	d->mapped[split] = file;
	if (mapped_size(file) < size)
		return err_set(err, -EINVAL, "%s: ends after %zu bytes; CIFAR's binary version has %zu", path,
			       mapped_size(file), size);
	if (mapped_size(file) > size)
		return err_set(err, -EINVAL, "%s: more follows the %zu bytes that CIFAR's binary version has", path,
			       size);
	uint8_t *labels = xcalloc(keep, 1), begin[2];
	own(d, labels);
	for (size_t i = 0; r == 0 && i < c->sets[split].records; i++) {
		memcpy(begin, mapped_bytes(file) + i * record, (size_t)c->n_labels);
		r = cifar_check(c, begin, i, path, err);
		if (i < keep)
			labels[i] = begin[c->n_labels - 1];
	}
	d->sets[split] = cifar_set(c, mapped_bytes(file), keep);
	d->sets[split].labels = labels;
	d->sets[split].label_pitch = 1;
	return r < 0 ? r : mapped_check(file, err);
}

static int cifar_load(struct dataset *d, const struct cifar *c, enum split split, const char *dir, size_t keep,
		      struct err *err)
{
	size_t records = c->sets[split].records, record = (size_t)c->n_labels + IMAGE_VALUES;
	uint8_t *bytes = xcalloc(keep, record);
	own(d, bytes);
	d->sets[split] = cifar_set(c, bytes, keep);
	for (size_t i = 0; c->sets[split].files[i]; i++) {
		size_t before = MIN(i * records, keep);
		int r = cifar_read(c, dir, c->sets[split].files[i], records, bytes + before * record,
				   MIN(keep - before, records), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int cifar_open(struct dataset *d, const struct cifar *c, enum split split, const char *dir, size_t wanted,
		      struct err *err)
{
	const char *const *files = c->sets[split].files;
	size_t n_files = 1, keep = 0;
	while (files[n_files])
		n_files++;
	autofree char *path = xasprintf("%s/%s", dir, files[0]);
	autofree char *first = xasprintf("%s%s", path, n_files > 1 ? " and its like" : "");
	int r = keep_images(n_files * c->sets[split].records, wanted, first, &keep, err);
	if (r < 0)
		return r;
	if (n_files == 1 && is_plain(path))
		return cifar_map(d, c, split, path, keep, err);
	return cifar_load(d, c, split, dir, keep, err);
}

/* --- IDX: MNIST, Fashion-MNIST --- */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Magic number and count; for images also 28 x 28. */
static int idx_header(struct input *f, uint32_t magic, size_t *ret_count, struct err *err)
{
	uint8_t h[16];
	size_t size = magic == IDX_IMAGES ? 16 : 8;
	input_expect(f, size, "an IDX file's header alone has");
	int r = input_read(f, h, size, err);
	if (r < 0)
		return r;
	if (be32(h) != magic)
		return err_set(err, -EINVAL, "%s: begins with 0x%08x; expected the IDX magic number 0x%08x", f->path,
			       be32(h), magic);
	if (magic == IDX_IMAGES && (be32(h + 8) != IDX_SIZE || be32(h + 12) != IDX_SIZE))
		return err_set(err, -EINVAL, "%s: images of %u x %u; expected %d x %d", f->path, be32(h + 8),
			       be32(h + 12), IDX_SIZE, IDX_SIZE);
	uint32_t count = be32(h + 4);
	if (count == 0 || count > IDX_MAX)
		return err_set(err, -EINVAL, "%s: its header says %u images; expected 1 to %u", f->path, count, IDX_MAX);
	input_expect(f, size + (size_t)count * (magic == IDX_IMAGES ? IDX_PIXELS : 1), "its header promises");
	*ret_count = count;
	return 0;
}

static void pad_image(uint8_t *out, const uint8_t *in)
{
	for (int y = 0; y < IDX_SIZE; y++)
		memcpy(out + (y + IDX_PAD) * IMAGE_SIZE + IDX_PAD, in + y * IDX_SIZE, IDX_SIZE);
}

static int idx_images(struct dataset *d, struct image_set *set, const char *dir, const char *name, size_t wanted,
		      size_t *ret_total, struct err *err)
{
	auto_input struct input f = {0};
	size_t total = 0, keep = 0;
	int r = input_open(&f, dir, name, err);
	if (r == 0)
		r = idx_header(&f, IDX_IMAGES, &total, err);
	if (r == 0)
		r = keep_images(total, wanted, f.path, &keep, err);
	if (r < 0)
		return r;
	uint8_t *pixels = xcalloc(keep, IMAGE_PLANE), image[IDX_PIXELS];
	own(d, pixels);
	for (size_t i = 0; i < total; i++) {
		r = input_read(&f, image, sizeof(image), err);
		if (r < 0)
			return r;
		if (i < keep)
			pad_image(pixels + i * IMAGE_PLANE, image);
	}
	set->pixels = pixels;
	set->pitch = IMAGE_PLANE;
	set->plane_pitch = 0;
	set->count = keep;
	*ret_total = total;
	return input_end(&f, err);
}

static int idx_labels(struct dataset *d, struct image_set *set, const char *dir, const char *name, size_t images,
		      struct err *err)
{
	auto_input struct input f = {0};
	size_t total = 0;
	int r = input_open(&f, dir, name, err);
	if (r == 0)
		r = idx_header(&f, IDX_LABELS, &total, err);
	if (r < 0)
		return r;
	if (total != images)
		return err_set(err, -EINVAL, "%s: %zu labels; expected %zu, as many as there are images", f.path, total,
			       images);
	uint8_t *labels = xcalloc(total, 1);
	own(d, labels);
	r = input_read(&f, labels, total, err);
	if (r == 0)
		r = input_end(&f, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < total; i++)
		if (labels[i] >= d->classes)
			return err_set(err, -EINVAL, "%s: label %zu is %d; expected below %d", f.path, i, labels[i],
				       d->classes);
	set->labels = labels;
	set->label_pitch = 1;
	return 0;
}

static const struct {
	const char *images, *labels;
} idx_files[] = {
	[SPLIT_TRAIN] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
	[SPLIT_TEST] = {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
};

static int idx_open(struct dataset *d, enum split split, const char *dir, size_t wanted, struct err *err)
{
	struct image_set *set = &d->sets[split];
	size_t total = 0;
	int r = idx_images(d, set, dir, idx_files[split].images, wanted, &total, err);
	return r < 0 ? r : idx_labels(d, set, dir, idx_files[split].labels, total, err);
}

/* --- */

/* mean, std: of all bytes of the training set, divided by 255, without padding.  cifar100's and fashion-mnist's are
 * computed from the files; cifar10's and mnist's are the rounded ones in common use with torchvision. */
static const struct kind {
	const char *name;
	int classes;
	float mean[3], std[3];
	const struct cifar *cifar; /* NULL: IDX */
} kinds[] = {
	{"cifar10", 10, {.4914f, .4822f, .4465f}, {.2470f, .2435f, .2616f}, &cifar10},
	{"cifar100", 100, {.50707516f, .48654887f, .44091784f}, {.26733429f, .25643846f, .27615047f}, &cifar100},
	{"mnist", 10, {.1307f, .1307f, .1307f}, {.3081f, .3081f, .3081f}, NULL},
	{"fashion-mnist", 10, {.2860406f, .2860406f, .2860406f}, {.3530242f, .3530242f, .3530242f}, NULL},
};

static const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static int open_split(struct dataset *d, const struct kind *kind, enum split split, const char *dir, size_t wanted,
		      struct err *err)
{
	if (kind->cifar)
		return cifar_open(d, kind->cifar, split, dir, wanted, err);
	return idx_open(d, split, dir, wanted, err);
}

int dataset_open(struct dataset **ret, const char *name, const char *dir, size_t train_images, size_t test_images,
		 struct err *err)
{
	const struct kind *kind = kind_find(name);
	if (!kind)
		return err_set(err, -EINVAL, "there is no data set \"%s\"", name);
	struct dataset *d = xcalloc(1, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->classes = kind->classes;
	d->size = IMAGE_SIZE;
	memcpy(d->mean, kind->mean, sizeof(d->mean));
	memcpy(d->std, kind->std, sizeof(d->std));
	int r = open_split(d, kind, SPLIT_TRAIN, dir, train_images, err);
	if (r == 0)
		r = open_split(d, kind, SPLIT_TEST, dir, test_images, err);
	if (r < 0)
		dataset_free(d);
	else
		*ret = d;
	return r;
}

int dataset_check(const struct dataset *d, struct err *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(d->mapped); i++)
		if (d->mapped[i])
			r = mapped_check(d->mapped[i], err);
	return r;
}

void dataset_free(struct dataset *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < ARRAY_LEN(d->mapped); i++)
		mapped_close(d->mapped[i]);
	for (size_t i = 0; i < ARRAY_LEN(d->owned); i++)
		free(d->owned[i]);
	free(d->held);
	free(d);
}
