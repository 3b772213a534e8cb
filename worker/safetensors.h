/* safetensors files (github.com/huggingface/safetensors, README "Format"): u64 LE header length, JSON header padded to
 * 8 bytes with spaces, then the tensors' bytes, contiguous from 0 in the order of the header's offsets. */
#pragma once

#include "common/base.h"

#include <jansson.h>

/* Names: st_dtype_name().  Those after ST_I64 are read, not written. */
enum st_dtype {
	ST_F32, ST_F64, ST_I64, ST_F16, ST_BF16, ST_BOOL, ST_U8, ST_I8, ST_I16, ST_U16, ST_I32, ST_U32, ST_U64, ST_C64,
	ST_F8_E5M2, ST_F8_E4M3, ST_F8_E8M0, ST_F8_E4M3FNUZ, ST_F8_E5M2FNUZ, ST_F6_E2M3, ST_F6_E3M2, ST_F4,
};
const char *st_dtype_name(enum st_dtype dtype); /* "F32" */
int st_dtype_bits(enum st_dtype dtype);

#define ST_MAX_DIMS 8
#define ST_MAX_NAME 256 /* with its end */

struct st_tensor {
	char name[ST_MAX_NAME];
	enum st_dtype dtype;
	int ndim;
	int64_t shape[ST_MAX_DIMS];
	const void *data; /* row-major, little-endian */
	size_t size_bytes;
};

/* Writes to an open file.  metadata: an object of strings. */
int safetensors_write(int fd, const struct st_tensor *tensors, size_t n, const json_t *metadata, struct err *err);

struct st_file; /* a checked file */

/* Checks what the format's own reader checks (safetensors/src/tensor.rs): lengths, UTF-8, JSON that begins at once, no
 * key twice, metadata of strings, dtypes, shapes against sizes with overflow, no holes, no overlap, exact end; and that
 * the header is at most 4 MiB.  bytes must stay.  -EBADMSG: damaged, with the reason. */
int safetensors_read(struct st_file **ret, const void *bytes, size_t size, struct err *err);
/* The same of a file, which it maps. */
int safetensors_open(struct st_file **ret, const char *path, struct err *err);
size_t safetensors_count(const struct st_file *f);
const struct st_tensor *safetensors_at(const struct st_file *f, size_t i); /* in order of their places */
const struct st_tensor *safetensors_find(const struct st_file *f, const char *name); /* NULL: not there */
const char *safetensors_metadata(const struct st_file *f, const char *key);	      /* NULL: not there */
void safetensors_close(struct st_file *f);
