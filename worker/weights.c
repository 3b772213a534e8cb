/* See weights.h. */
#include "weights.h"

#include "mapped.h"
#include "pth.h"

#include "common/utf8.h"

#include <endian.h>
#include <sha256.h>
#include <sys/stat.h>

static const char *const form_names[] = {
	[PTH_NONE] = "safetensors", [PTH_ZIP] = "pth (zip)", [PTH_LEGACY] = "pth (legacy)", [PTH_TAR] = "pth (tar)"};

struct weights {
	struct mapped *file;
	enum pth_form form;
	struct weight *items; /* in the file's order */
	const struct weight **by_name;
	size_t n;
};

/* --- reading --- */

static int take_tensor(const struct st_tensor *t, struct weight *w, struct err *err)
{
	if (!*t->name || !utf8_is_harmless(t->name, strlen(t->name)))
		return err_set(err, -EBADMSG, "a tensor whose name is empty or holds control characters");
	strcpy(w->name, t->name);
	w->dtype = t->dtype;
	w->ndim = t->ndim;
	w->count = (int64_t)(t->size_bytes * 8 / (size_t)st_dtype_bits(t->dtype));
	w->data = t->data;
	int64_t stride = 1;
	for (int d = t->ndim; d-- > 0 && w->count > 0;) { /* of none the product may overflow */
		w->stride[d] = stride;
		stride *= t->shape[d];
	}
	memcpy(w->shape, t->shape, sizeof(w->shape));
	return 0;
}

static int read_safetensors(struct weights *w, const uint8_t *bytes, size_t size, struct err *err)
{
	struct st_file *f;
	int r = safetensors_read(&f, bytes, size, err);
	if (r < 0)
		return r;
	w->items = xcalloc(safetensors_count(f) + 1, sizeof(*w->items));
	for (; r == 0 && w->n < safetensors_count(f); w->n++)
		r = take_tensor(safetensors_at(f, w->n), &w->items[w->n], err);
	safetensors_close(f);
	return r;
}

/* DataParallel's prefix, where all names have it. */
static void strip_prefix(struct weight *items, size_t n)
{
	static const char prefix[] = "module.";
	const size_t size = sizeof(prefix) - 1;
	for (size_t i = 0; i < n; i++)
		if (strncmp(items[i].name, prefix, size) != 0 || !items[i].name[size])
			return;
	for (size_t i = 0; i < n; i++)
		memmove(items[i].name, items[i].name + size, strlen(items[i].name + size) + 1);
}

static int by_name(const void *a, const void *b)
{
	const struct weight *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int index_names(struct weights *w, struct err *err)
{
	w->by_name = xcalloc(w->n + 1, sizeof(struct weight *));
	for (size_t i = 0; i < w->n; i++)
		w->by_name[i] = &w->items[i];
	qsort(w->by_name, w->n, sizeof(struct weight *), by_name);
	for (size_t i = 1; i < w->n; i++)
		if (str_eq(w->by_name[i - 1]->name, w->by_name[i]->name))
			return err_set(err, -EBADMSG, "tensor %s is there twice", w->by_name[i]->name);
	return w->n ? 0 : err_set(err, -EBADMSG, "it holds no tensors");
}

static int read_file(struct weights *w, struct err *err)
{
	const uint8_t *bytes = mapped_bytes(w->file);
	size_t size = mapped_size(w->file);
	w->form = pth_form_of(bytes, size);
	bool other = w->form == PTH_NONE && (size < 9 || bytes[8] != '{');
	if (other)
		return err_set(err, -EBADMSG,
			       "not a file of weights\n"
			       "  expected: safetensors, or a state dict written by torch.save()");
	int r = w->form == PTH_NONE ? read_safetensors(w, bytes, size, err)
				    : pth_read(w->form, bytes, size, &w->items, &w->n, err);
	if (r < 0)
		return r;
	strip_prefix(w->items, w->n);
	return index_names(w, err);
}

int weights_open(struct weights **ret, const char *path, struct err *err)
{
	struct stat st; /* opening a FIFO would wait for its writer */
	if (stat(path, &st) < 0)
		return err_sys(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s: not a regular file", path);
	struct weights *w = xcalloc(1, sizeof(*w));
	int r = mapped_open(&w->file, path, err);
	if (r == 0) {
		r = read_file(w, err);
		if (r < 0)
			r = err_prefix(err, r, "%s", path);
	}
	r = r ? r : weights_check(w, err);
	if (r < 0)
		weights_close(w);
	else
		*ret = w;
	return r;
}

/* --- use --- */

const char *weights_format(const struct weights *w)
{
	return form_names[w->form];
}

size_t weights_count(const struct weights *w)
{
	return w->n;
}

const struct weight *weights_at(const struct weights *w, size_t i)
{
	return &w->items[i];
}

static int compare_name(const void *name, const void *item)
{
	const struct weight *const *w = item;
	return strcmp(name, (*w)->name);
}

const struct weight *weights_find(const struct weights *w, const char *name)
{
	const struct weight **found = bsearch(name, w->by_name, w->n, sizeof(struct weight *), compare_name);
	return found ? *found : NULL;
}

size_t weights_bytes(const struct weights *w)
{
	return mapped_size(w->file);
}

void weights_sha256(const struct weights *w, char ret[65])
{
	SHA256Data(mapped_bytes(w->file), mapped_size(w->file), ret);
}

int weights_check(const struct weights *w, struct err *err)
{
	return mapped_check(w->file, err);
}

void weights_close(struct weights *w)
{
	if (!w)
		return;
	mapped_close(w->file);
	free(w->items);
	free(w->by_name);
	free(w);
}

/* --- numbers --- */

static float bits_float(uint32_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static float half_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
	if (exponent == 31)
		return bits_float(sign | 0x7f800000 | fraction << 13);
	if (exponent > 0)
		return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
	float tiny = (float)fraction * 0x1p-24f;
	return sign ? -tiny : tiny;
}

static float element(enum st_dtype dtype, const uint8_t *at)
{
	uint16_t h;
	uint32_t f;
	uint64_t d;
	double v;
	if (dtype == ST_F32) {
		memcpy(&f, at, sizeof(f));
		return bits_float(le32toh(f));
	}
	if (dtype == ST_F64) {
		memcpy(&d, at, sizeof(d));
		d = le64toh(d);
		memcpy(&v, &d, sizeof(v));
		return (float)v;
	}
	memcpy(&h, at, sizeof(h));
	h = le16toh(h);
	return dtype == ST_F16 ? half_float(h) : bits_float((uint32_t)h << 16);
}

int weight_floats(const struct weight *w, float *ret)
{
	if (w->dtype != ST_F32 && w->dtype != ST_F64 && w->dtype != ST_F16 && w->dtype != ST_BF16)
		return -EINVAL;
	size_t size = (size_t)st_dtype_bits(w->dtype) / 8;
	int64_t at[ST_MAX_DIMS] = {0};
	int64_t place = 0;
	for (int64_t i = 0; i < w->count; i++) {
		ret[i] = element(w->dtype, w->data + (size_t)place * size);
		for (int d = w->ndim; d-- > 0;) { /* the next index */
			if (at[d] + 1 < w->shape[d]) {
				at[d]++;
				place += w->stride[d];
				break;
			}
			place -= at[d] * w->stride[d];
			at[d] = 0;
		}
	}
	return 0;
}

const char *weight_shape(int ndim, const int64_t *shape, char *buf, size_t size)
{
	size_t used = 0;
	snprintf(buf, size, "scalar");
	for (int d = 0; d < ndim && used < size; d++)
		used += (size_t)snprintf(buf + used, size - used, d ? "x%lld" : "%lld", (long long)shape[d]);
	return buf;
}
