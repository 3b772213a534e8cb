/* Files of named tensors, whichever program wrote them: safetensors, and what torch.save() makes of a state dict
 * (pth.h): the zip form, the older row of pickles, and the tar of torch 0.1.  The file is told by its first bytes, never
 * by its name, and nothing in it is executed. */
#pragma once

#include "safetensors.h"

struct weight {
	char name[ST_MAX_NAME]; /* valid UTF-8, no control characters */
	enum st_dtype dtype;
	int ndim;
	int64_t shape[ST_MAX_DIMS], stride[ST_MAX_DIMS]; /* in elements; strides are not negative */
	int64_t count;			/* elements */
	const uint8_t *data;		/* of the first one; little-endian, not aligned; borrowed from the file */
};

struct weights;

/* A regular file; checked as a whole, so that every element of every tensor can be read.  The prefix "module." of
 * DataParallel is taken off where all names have it; names are unique.  -EBADMSG: damaged, or not a file of tensors;
 * else the file could not be read. */
int weights_open(struct weights **ret, const char *path, struct err *err);
const char *weights_format(const struct weights *w); /* "safetensors", "pth (zip)", "pth (legacy)", "pth (tar)" */
size_t weights_count(const struct weights *w);
const struct weight *weights_at(const struct weights *w, size_t i);	     /* in the file's order */
const struct weight *weights_find(const struct weights *w, const char *name); /* NULL: not there */
size_t weights_bytes(const struct weights *w); /* of the file */
/* Lower-case hex digits of the file's SHA-256. */
void weights_sha256(const struct weights *w, char ret[65]);
/* -ENODATA when the file changed or could not be read since it was opened: nothing read from it is worth anything. */
int weights_check(const struct weights *w, struct err *err);
void weights_close(struct weights *w); /* accepts NULL */

/* All elements in row-major order, to `count` floats.  -EINVAL: not F32, F64, F16 or BF16. */
int weight_floats(const struct weight *weight, float *ret);
/* "64x3x7x7"; "scalar". */
const char *weight_shape(int ndim, const int64_t *shape, char *buf, size_t size);
