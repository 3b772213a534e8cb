/* The picture of what a run's test images were taken for.  Pure. */
#pragma once

#include "common/confusion_file.h"

/* Rows are true classes; a cell is as dark as the share of its row (by its root: small shares can be seen), blue where that
 * is right, orange where it is wrong.  Names of up to 128 classes, counts in the cells of up to 12.  Allocated bytes of a
 * PNG. */
char *confusion_png(const struct confusion_matrix *c, size_t *ret_size);
