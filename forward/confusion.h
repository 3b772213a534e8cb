/* What the test images of a run were taken for, as its worker left it in JOB_DIR/confusion.json (worker/confusion.h); and
 * the picture of it.  The file is not trusted: it is read without building a tree of it, so that memory is bounded by its
 * size, and what is not of its form is an error. */
#pragma once

#include "common/base.h"

#define CONFUSION_CLASSES_MAX 1000
#define CONFUSION_BYTES_MAX   (16 * 1024 * 1024)

struct confusion {
	char *dataset;
	size_t n; /* classes */
	char **names;
	int64_t epoch; /* of the test: the best one's, whose weights are kept */
	uint32_t *counts; /* (n, n): images by true class and by the class they were taken for */
};

/* -ENOENT: there is no such file; -EINVAL: it is of another form, and err says where. */
int confusion_read(struct confusion *ret, const char *path, struct err *err);
void confusion_fini(struct confusion *c); /* accepts one of zeros */

/* Rows are true classes; a cell is as dark as the share of its row (by its root: small shares can be seen), blue where that
 * is right, orange where it is wrong.  Names of up to 128 classes, counts in the cells of up to 12.  Pure.  Allocated bytes
 * of a PNG. */
char *confusion_png(const struct confusion *c, size_t *ret_size);
