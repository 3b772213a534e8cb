/* safetensors files (github.com/huggingface/safetensors, README "Format"): u64 LE header length, JSON header padded to
 * 8 bytes with spaces, then the tensors' bytes, contiguous from 0 in the order of the header's offsets. */
#pragma once

#include "common/base.h"

#include <jansson.h>

enum st_dtype { ST_F32, ST_F64, ST_I64 };

struct st_tensor {
	char name[96];
	enum st_dtype dtype;
	int ndim;
	int64_t shape[4];
	const void *data; /* row-major, little-endian */
	size_t size_bytes;
};

/* Writes to an open file.  metadata: an object of strings. */
int safetensors_write(int fd, const struct st_tensor *tensors, size_t n, const json_t *metadata, struct err *err);

struct st_file; /* a mapped, checked file */

/* Maps path and checks what the format's own reader checks: lengths, JSON, dtypes, shapes against sizes with overflow,
 * no holes, no overlap, exact end.  -EBADMSG: damaged, with the reason. */
int safetensors_open(struct st_file **ret, const char *path, struct err *err);
const struct st_tensor *safetensors_find(const struct st_file *f, const char *name); /* NULL: not there */
const char *safetensors_metadata(const struct st_file *f, const char *key);	      /* NULL: not there */
void safetensors_close(struct st_file *f);
