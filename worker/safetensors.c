/* See safetensors.h. */
#include "safetensors.h"

#include "common/fs.h"
#include "common/json.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER_BYTES (16u * 1024 * 1024)

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {[ST_F32] = {"F32", 4}, [ST_F64] = {"F64", 8}, [ST_I64] = {"I64", 8}};

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
				    json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[t->dtype].name, "shape", shape,
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
	void *map;
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

/* Reads one header entry; data ranges from base. */
static int parse_tensor(struct st_tensor *t, const char *name, const json_t *entry, const char *base, size_t data_size,
			struct err *err)
{
	const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
	if (strlen(name) >= sizeof(t->name))
		return damaged(err, "a name too long", NULL);
	strcpy(t->name, name);
	if (parse_dtype(json_str_or(entry, "dtype", NULL), &t->dtype) < 0)
		return damaged(err, "unknown dtype", name);
	if (!json_is_array(shape) || json_array_size(shape) > 4 || json_array_size(offsets) != 2)
		return damaged(err, "bad shape or offsets", name);
	size_t bytes = dtypes[t->dtype].size;
	t->ndim = (int)json_array_size(shape);
	for (int d = 0; d < t->ndim; d++) {
		t->shape[d] = json_integer_value(json_array_get(shape, (size_t)d));
		if (t->shape[d] < 0 || __builtin_mul_overflow(bytes, (size_t)t->shape[d], &bytes))
			return damaged(err, "bad shape", name);
	}
	json_int_t begin = json_integer_value(json_array_get(offsets, 0));
	json_int_t end = json_integer_value(json_array_get(offsets, 1));
	if (begin < 0 || end < begin || (size_t)end > data_size || (size_t)(end - begin) != bytes)
		return damaged(err, "offsets do not fit the shape or the file", name);
	t->data = base + begin;
	t->size_bytes = bytes;
	return 0;
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

static int parse_file(struct st_file *f, struct err *err)
{
	uint64_t length;
	if (f->map_size < sizeof(length))
		return damaged(err, "shorter than 8 bytes", NULL);
	memcpy(&length, f->map, sizeof(length));
	length = le64toh(length);
	if (length > MAX_HEADER_BYTES || length > f->map_size - sizeof(length))
		return damaged(err, "header length beyond the file", NULL);
	const char *text = (const char *)f->map + sizeof(length), *base = text + length;
	size_t data_size = f->map_size - sizeof(length) - length;
	f->header = json_parse(text, length, err);
	if (!json_is_object(f->header))
		return damaged(err, "header is not a JSON object", NULL);
	f->tensors = xcalloc(json_object_size(f->header), sizeof(*f->tensors));
	const char *name;
	json_t *entry;
	json_object_foreach(f->header, name, entry) {
		if (str_eq(name, "__metadata__"))
			continue;
		int r = parse_tensor(&f->tensors[f->n_tensors++], name, entry, base, data_size, err);
		if (r < 0)
			return r;
	}
	qsort(f->tensors, f->n_tensors, sizeof(*f->tensors), by_offset);
	return check_contiguous(f, base, data_size, err);
}

int safetensors_open(struct st_file **ret, const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open %s", path);
	struct st_file *f = xcalloc(1, sizeof(*f));
	f->map_size = (size_t)st.st_size;
	f->map = mmap(NULL, MAX(f->map_size, (size_t)1), PROT_READ, MAP_PRIVATE, fd, 0);
	if (f->map == MAP_FAILED) {
		int code = -errno;
		free(f);
		return err_sys(err, code, "cannot map %s", path);
	}
	int r = parse_file(f, err);
	if (r < 0) {
		safetensors_close(f);
		return err_prefix(err, r, "%s", path);
	}
	*ret = f;
	return 0;
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
	munmap(f->map, MAX(f->map_size, (size_t)1));
	json_decref(f->header);
	free(f->tensors);
	free(f);
}
