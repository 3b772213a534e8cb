/* See data.h.  A new data set is a row in kinds[] and its loader, which fills one struct image_set per split. */
#include "data.h"

#include "augment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define CIFAR_RECORD (2 + IMAGE_VALUES) /* coarse label, fine label, planes */
#define CIFAR_COARSE 20
#define IDX_SIZE     28
#define IDX_PIXELS   (IDX_SIZE * IDX_SIZE)
#define IDX_IMAGES   0x00000803u /* unsigned bytes, 3 dimensions */
#define IDX_LABELS   0x00000801u
#define IDX_MAX      1000000u /* images: more is a damaged header */
#define IDX_PAD	     ((IMAGE_SIZE - IDX_SIZE) / 2)

/* Hands memory to the data set, which frees (size 0) or unmaps it. */
static void own(struct dataset *d, void *mapping, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(d->mappings); i++)
		if (!d->mappings[i]) {
			d->mappings[i] = mapping;
			d->mapping_sizes[i] = size;
			return;
		}
	BUG("a data set of more than %zu mappings", ARRAY_LEN(d->mappings));
}

/* How many images to keep of `count`. */
static int keep_images(size_t count, size_t wanted, const char *path, size_t *ret, struct err *err)
{
	if (wanted > count)
		return err_set(err, -ERANGE, "%s: %zu images are wanted, but it has %zu", path, wanted, count);
	*ret = wanted ? wanted : count;
	return 0;
}

/* --- CIFAR-100: records used in place --- */

static const struct {
	const char *file;
	size_t records;
} cifar_files[] = {[SPLIT_TRAIN] = {"train.bin", 50000}, [SPLIT_TEST] = {"test.bin", 10000}};

static int cifar_map(struct dataset *d, const char *path, size_t records, const uint8_t **ret, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "%s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	size_t size = records * CIFAR_RECORD;
	if (st.st_size != (off_t)size)
		return err_set(err, -EINVAL,
			       "%s: %lld bytes; expected %zu (%zu records of %d bytes: CIFAR-100's binary version)", path,
			       (long long)st.st_size, size, records, CIFAR_RECORD);
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, -errno, "%s: cannot map %zu bytes", path, size);
	own(d, p, size);
	*ret = p;
	return 0;
}

static int cifar_check(const char *path, const uint8_t *records, size_t n, int classes, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *r = records + i * CIFAR_RECORD;
		if (r[0] >= CIFAR_COARSE || r[1] >= classes)
			return err_set(err, -EINVAL, "%s: record %zu has labels %d, %d; expected below %d, %d", path, i,
				       r[0], r[1], CIFAR_COARSE, classes);
	}
	return 0;
}

static int cifar_open(struct dataset *d, enum split split, const char *dir, size_t wanted, struct err *err)
{
	autofree char *path = xasprintf("%s/%s", dir, cifar_files[split].file);
	const uint8_t *records = NULL;
	size_t count = 0;
	int r = cifar_map(d, path, cifar_files[split].records, &records, err);
	if (r == 0)
		r = keep_images(cifar_files[split].records, wanted, path, &count, err);
	if (r == 0)
		r = cifar_check(path, records, count, d->classes, err);
	if (r < 0)
		return r;
	d->sets[split] = (struct image_set){
		.pixels = records + 2,
		.labels = records + 1,
		.pitch = CIFAR_RECORD,
		.plane_pitch = IMAGE_PLANE,
		.label_pitch = CIFAR_RECORD,
		.count = count,
	};
	return 0;
}

/* --- IDX: Fashion-MNIST --- */

struct idx { /* an IDX file being read; zlib reads plain files as they are */
	char *path;
	gzFile file;
};

static void idx_fini(struct idx *f)
{
	if (f->file)
		gzclose_r(f->file);
	free(f->path);
}
#define auto_idx __attribute__((cleanup(idx_fini)))

/* dir/name or dir/name.gz. */
static int idx_open(struct idx *ret, const char *dir, const char *name, struct err *err)
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

static int idx_read(struct idx *f, void *into, size_t size, struct err *err)
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
	return err_set(err, -EINVAL, "%s: ends after %lld bytes; its header promises more", f->path,
		       (long long)gztell(f->file));
}

/* Nothing may follow; for gzip this also checks the sum at its end. */
static int idx_end(struct idx *f, struct err *err)
{
	uint8_t byte;
	long long size = (long long)gztell(f->file);
	int got = gzread(f->file, &byte, 1), code;
	const char *text = gzerror(f->file, &code);
	if (got > 0)
		return err_set(err, -EINVAL, "%s: more follows the %lld bytes its header promises", f->path, size);
	if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
		return err_set(err, -EINVAL, "%s: damaged gzip data: %s", f->path, text);
	return 0;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Magic number and count; for images also 28 x 28. */
static int idx_header(struct idx *f, uint32_t magic, size_t *ret_count, struct err *err)
{
	uint8_t h[16];
	int r = idx_read(f, h, magic == IDX_IMAGES ? 16 : 8, err);
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
	auto_idx struct idx f = {0};
	size_t total = 0, keep = 0;
	int r = idx_open(&f, dir, name, err);
	if (r == 0)
		r = idx_header(&f, IDX_IMAGES, &total, err);
	if (r == 0)
		r = keep_images(total, wanted, f.path, &keep, err);
	if (r < 0)
		return r;
	uint8_t *pixels = xcalloc(keep, IMAGE_PLANE), image[IDX_PIXELS];
	own(d, pixels, 0);
	for (size_t i = 0; i < total; i++) {
		r = idx_read(&f, image, sizeof(image), err);
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
	return idx_end(&f, err);
}

static int idx_labels(struct dataset *d, struct image_set *set, const char *dir, const char *name, size_t images,
		      struct err *err)
{
	auto_idx struct idx f = {0};
	size_t total = 0;
	int r = idx_open(&f, dir, name, err);
	if (r == 0)
		r = idx_header(&f, IDX_LABELS, &total, err);
	if (r < 0)
		return r;
	if (total != images)
		return err_set(err, -EINVAL, "%s: %zu labels; expected %zu, as many as there are images", f.path, total,
			       images);
	uint8_t *labels = xcalloc(total, 1);
	own(d, labels, 0);
	r = idx_read(&f, labels, total, err);
	if (r == 0)
		r = idx_end(&f, err);
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

static int fashion_open(struct dataset *d, enum split split, const char *dir, size_t wanted, struct err *err)
{
	struct image_set *set = &d->sets[split];
	size_t total = 0;
	int r = idx_images(d, set, dir, idx_files[split].images, wanted, &total, err);
	return r < 0 ? r : idx_labels(d, set, dir, idx_files[split].labels, total, err);
}

/* --- */

static const struct kind {
	const char *name;
	int classes;
	float mean[3], std[3]; /* of all bytes of the training set, divided by 255; Fashion-MNIST: of its 28 x 28 */
	int (*open)(struct dataset *d, enum split split, const char *dir, size_t wanted, struct err *err);
} kinds[] = {
	{"cifar100", 100, {.50707516f, .48654887f, .44091784f}, {.26733429f, .25643846f, .27615047f}, cifar_open},
	{"fashion-mnist", 10, {.2860406f, .2860406f, .2860406f}, {.3530242f, .3530242f, .3530242f}, fashion_open},
};

static const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

int dataset_open(struct dataset **ret, const char *name, const char *dir, size_t train_images, size_t test_images,
		 struct err *err)
{
	const struct kind *kind = kind_find(name);
	if (!kind)
		return err_set(err, -EINVAL, "no data set \"%s\"; there are cifar100 and fashion-mnist", name);
	struct dataset *d = xcalloc(1, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->classes = kind->classes;
	d->size = IMAGE_SIZE;
	memcpy(d->mean, kind->mean, sizeof(d->mean));
	memcpy(d->std, kind->std, sizeof(d->std));
	int r = kind->open(d, SPLIT_TRAIN, dir, train_images, err);
	if (r == 0)
		r = kind->open(d, SPLIT_TEST, dir, test_images, err);
	if (r < 0)
		dataset_free(d);
	else
		*ret = d;
	return r;
}

void dataset_free(struct dataset *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < ARRAY_LEN(d->mappings); i++) {
		if (d->mapping_sizes[i])
			munmap(d->mappings[i], d->mapping_sizes[i]);
		else
			free(d->mappings[i]);
	}
	free(d);
}
