/* What the test images of a run were taken for, as its worker left it in JOB_DIR/confusion.json; worker/confusion.h has its
 * form.  The file is not trusted: what is not of that form is an error, and reading one takes at most some 16 MiB. */
#pragma once

#include "base.h"

#define CONFUSION_CLASSES_MAX 256
#define CONFUSION_BYTES_MAX   (2 * 1024 * 1024)

enum confusion_test { CONFUSION_LAST, CONFUSION_BEST /* whose weights are kept */ };

struct confusion_matrix {
	char *dataset; /* or NULL */
	size_t n;      /* classes */
	char **names;
	int epoch;          /* of the test */
	uint32_t *images;   /* (n, n): by true class and by the class they were taken for */
	uint64_t *of_class; /* (n): images of the class */
};

/* That test of the file.  1; 0 where there is no such file; or an error of one line that names it. */
int confusion_matrix_read(struct confusion_matrix *ret, const char *path, enum confusion_test which, struct err *err);
void confusion_matrix_fini(struct confusion_matrix *c); /* accepts one of zeros */
