/* See safetensors.h. */
#include "safetensors.h"

#include "common/fs.h"
#include "common/json.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER_BYTES (4u * 1024 * 1024) /* a hundred bytes a tensor; JSON in memory is many times larger */

static const struct {
	const char *name;
	int bits;
} dtypes[] = {
	[ST_F32] = {"F32", 32},
	[ST_F64] = {"F64", 64},
	[ST_I64] = {"I64", 64},
	[ST_F16] = {"F16", 16},
	[ST_BF16] = {"BF16", 16},
	[ST_BOOL] = {"BOOL", 8},
	[ST_U8] = {"U8", 8},
	[ST_I8] = {"I8", 8},
	[ST_I16] = {"I16", 16},
	[ST_U16] = {"U16", 16},
	[ST_I32] = {"I32", 32},
	[ST_U32] = {"U32", 32},
	[ST_U64] = {"U64", 64},
	[ST_C64] = {"C64", 64},
	[ST_F8_E5M2] = {"F8_E5M2", 8},
	[ST_F8_E4M3] = {"F8_E4M3", 8},
	[ST_F8_E8M0] = {"F8_E8M0", 8},
	[ST_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
	[ST_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
	[ST_F6_E2M3] = {"F6_E2M3", 6},
	[ST_F6_E3M2] = {"F6_E3M2", 6},
	[ST_F4] = {"F4", 4},
};

const char *st_dtype_name(enum st_dtype dtype)
{
	return dtypes[dtype].name;
}

int st_dtype_bits(enum st_dtype dtype)
{
	return dtypes[dtype].bits;
}

/* JSON header of the tensors, padded with spaces so that the data starts at a multiple of 8. */
static char *make_header(const struct st_tensor *tensors, size_t n, const json_t *metadata, size_t *ret_size)
{
	autojson json_t *header = json_object();
	json_object_set(header, "__metadata__", (json_t *)metadata);
	size_t offset = 0;
	for (size_t i = 0; i < n; i++) {
		const struct st_tensor *t = &tensors[i];
		json_t *shape = json_array();
		for (int d = 0; d < t->ndim; d++)
			json_array_append_new(shape, json_integer(t->shape[d]));
		json_object_set_new(header, t->name,
				    json_pack("{s:s, s:o, s:[I,I]}", "dtype", st_dtype_name(t->dtype), "shape", shape,
					      "data_offsets", (json_int_t)offset, (json_int_t)(offset + t->size_bytes)));
		offset += t->size_bytes;
	}
	autofree char *text = json_line(header);
	size_t size = strlen(text), padded = (size + 7) & ~(size_t)7;
	char *out = xmalloc(padded);
	memcpy(out, text, size);
	memset(out + size, ' ', padded - size);
	*ret_size = padded;
	return out;
}

int safetensors_write(int fd, const struct st_tensor *tensors, size_t n, const json_t *metadata, struct err *err)
{
	size_t header_size;
	autofree char *header = make_header(tensors, n, metadata, &header_size);
	uint64_t length = htole64(header_size);
	int r = fs_write_all(fd, &length, sizeof(length));
	if (r == 0)
		r = fs_write_all(fd, header, header_size);
	for (size_t i = 0; i < n && r == 0; i++)
		r = fs_write_all(fd, tensors[i].data, tensors[i].size_bytes);
	return r < 0 ? err_sys(err, r, "cannot write tensors") : 0;
}

struct st_file {
	void *map; /* ours; NULL: the caller's bytes */
	size_t map_size;
	json_t *header;
	struct st_tensor *tensors; /* sorted by offset */
	size_t n_tensors;
};

static int damaged(struct err *err, const char *what, const char *tensor)
{
	return err_set(err, -EBADMSG, "damaged safetensors file: %s%s%s", what, tensor ? " in " : "", tensor ? tensor : "");
}

static int parse_dtype(const char *name, enum st_dtype *ret)
{
	for (size_t i = 0; name && i < ARRAY_LEN(dtypes); i++) {
		if (str_eq(name, dtypes[i].name)) {
			*ret = (enum st_dtype)i;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Fills shape and ndim; ret_bytes: of the data. */
static int parse_shape(struct st_tensor *t, const json_t *shape, size_t *ret_bytes)
{
	size_t bits = (size_t)dtypes[t->dtype].bits;
	if (!json_is_array(shape) || json_array_size(shape) > ST_MAX_DIMS)
		return -EBADMSG;
	t->ndim = (int)json_array_size(shape);
	for (int d = 0; d < t->ndim; d++) {
		const json_t *size = json_array_get(shape, (size_t)d);
		t->shape[d] = json_integer_value(size);
		if (!json_is_integer(size) || t->shape[d] < 0 || __builtin_mul_overflow(bits, (size_t)t->shape[d], &bits))
			return -EBADMSG;
	}
	*ret_bytes = bits / 8;
	return bits % 8 ? -EBADMSG : 0;
}

/* Reads one header entry; data ranges from base. */
static int parse_tensor(struct st_tensor *t, const char *name, const json_t *entry, const char *base, size_t data_size,
			struct err *err)
{
	size_t bytes;
	const json_t *offsets = json_object_get(entry, "data_offsets");
	const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
	if (strlen(name) >= sizeof(t->name))
		return damaged(err, "a name too long", NULL);
	strcpy(t->name, name);
	if (parse_dtype(json_str_or(entry, "dtype", NULL), &t->dtype) < 0)
		return damaged(err, "unknown dtype", name);
	if (parse_shape(t, json_object_get(entry, "shape"), &bytes) < 0)
		return damaged(err, "bad shape", name);
	if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
		return damaged(err, "bad offsets", name);
	json_int_t from = json_integer_value(begin), to = json_integer_value(end);
	if (from < 0 || to < from || (size_t)to > data_size || (size_t)(to - from) != bytes)
		return damaged(err, "offsets do not fit the shape or the file", name);
	t->data = base + from;
	t->size_bytes = bytes;
	return 0;
}

static int check_metadata(const json_t *metadata, struct err *err)
{
	const char *key;
	json_t *value;
	bool strings = json_is_object(metadata);
	json_object_foreach((json_t *)metadata, key, value)
		strings = strings && json_is_string(value);
	return strings ? 0 : damaged(err, "__metadata__ is not an object of strings", NULL);
}

static int by_offset(const void *a, const void *b)
{
	const struct st_tensor *x = a, *y = b;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static int check_contiguous(const struct st_file *f, const char *base, size_t data_size, struct err *err)
{
	const char *at = base;
	for (size_t i = 0; i < f->n_tensors; i++) {
		if (f->tensors[i].data != at)
			return damaged(err, "a hole or an overlap", f->tensors[i].name);
		at += f->tensors[i].size_bytes;
	}
	if (at != base + data_size)
		return damaged(err, "bytes after the last tensor", NULL);
	return 0;
}

static int parse_header(struct st_file *f, const char *base, size_t data_size, struct err *err)
{
	const char *name;
	json_t *entry;
	f->tensors = xcalloc(json_object_size(f->header) + 1, sizeof(*f->tensors));
	json_object_foreach(f->header, name, entry) {
		int r = str_eq(name, "__metadata__")
				? check_metadata(entry, err)
				: parse_tensor(&f->tensors[f->n_tensors++], name, entry, base, data_size, err);
		if (r < 0)
			return r;
	}
	qsort(f->tensors, f->n_tensors, sizeof(*f->tensors), by_offset);
	return check_contiguous(f, base, data_size, err);
}

static int parse_file(struct st_file *f, const void *bytes, size_t size, struct err *err)
{
	uint64_t length;
	if (size < sizeof(length))
		return damaged(err, "shorter than 8 bytes", NULL);
	memcpy(&length, bytes, sizeof(length));
	length = le64toh(length);
	if (length > size - sizeof(length))
		return damaged(err, "header length beyond the file", NULL);
	if (length > MAX_HEADER_BYTES)
		return damaged(err, "header of more than 4 MiB", NULL);
	const char *text = (const char *)bytes + sizeof(length), *base = text + length;
	if (length == 0 || *text != '{')
		return damaged(err, "header does not begin with a brace", NULL);
	f->header = json_parse(text, length, err);
	if (!json_is_object(f->header))
		return damaged(err, "header is not a JSON object", NULL);
	return parse_header(f, base, size - sizeof(length) - length, err);
}

int safetensors_read(struct st_file **ret, const void *bytes, size_t size, struct err *err)
{
	struct st_file *f = xcalloc(1, sizeof(*f));
	int r = parse_file(f, bytes, size, err);
	if (r < 0)
		safetensors_close(f);
	else
		*ret = f;
	return r;
}

int safetensors_open(struct st_file **ret, const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	size_t size = (size_t)st.st_size;
	void *map = mmap(NULL, MAX(size, (size_t)1), PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, -errno, "cannot map %s", path);
	int r = safetensors_read(ret, map, size, err);
	if (r < 0) {
		munmap(map, MAX(size, (size_t)1));
		return err_prefix(err, r, "%s", path);
	}
	(*ret)->map = map;
	(*ret)->map_size = size;
	return 0;
}

size_t safetensors_count(const struct st_file *f)
{
	return f->n_tensors;
}

const struct st_tensor *safetensors_at(const struct st_file *f, size_t i)
{
	return &f->tensors[i];
}

const struct st_tensor *safetensors_find(const struct st_file *f, const char *name)
{
	for (size_t i = 0; i < f->n_tensors; i++)
		if (str_eq(f->tensors[i].name, name))
			return &f->tensors[i];
	return NULL;
}

const char *safetensors_metadata(const struct st_file *f, const char *key)
{
	return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

void safetensors_close(struct st_file *f)
{
	if (!f)
		return;
	if (f->map)
		munmap(f->map, MAX(f->map_size, (size_t)1));
	json_decref(f->header);
	free(f->tensors);
	free(f);
}
