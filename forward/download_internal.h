/* Between download.c (the partial file, local files, trying again) and download_http.c (one request). */
#pragma once

#include "download.h"

enum outcome {
	OUTCOME_DONE,	/* PART is whole */
	OUTCOME_AGAIN,	/* trying again may help; err says what happened */
	OUTCOME_ANEW,	/* PART is of no use: once more from the begin */
	OUTCOME_FAILED, /* *code and err are the caller's */
};

/* The partial file and what the server said of it when it began. */
struct part {
	int fd;
	int64_t size;
	char validator[256]; /* strong ETag or date; "": none, the file cannot be gone on with */
};

int part_open(struct part *p, const struct download *d, struct err *err);
void part_close(struct part *p);
/* Empties PART; validator: of what comes now. */
int part_begin(struct part *p, const struct download *d, const char *validator, struct err *err);
int part_append(struct part *p, const struct download *d, const void *bytes, size_t size, struct err *err);

/* One request for what PART lacks.  retry_after_s: of the server, or 0. */
enum outcome download_http(struct download *d, const struct download_options *o, struct part *p, int *code,
			   double *retry_after_s, struct err *err);
