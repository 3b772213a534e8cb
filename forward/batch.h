/* What a run sends next: from its position and the committed rows after it to one file_stream request and the position
 * that its acknowledgement makes true.  The same rows always give the same lines at the same offsets, however they are cut
 * into requests. */
#pragma once

#include "filestream.h"
#include "lines.h"
#include "rows.h"

enum batch_kind {
	BATCH_NOTHING,
	BATCH_OPEN,  /* the run must be made (or opened again) at W&B first */
	BATCH_LINES, /* send the chunk */
	BATCH_CLOSE, /* send the chunk, which ends the run, after its files */
};

struct batch {
	enum batch_kind kind;
	struct stream_chunk chunk;
	struct position after; /* once it is acknowledged */
	bool more;	       /* further rows may be there: it was full, or ended with a move of the job's state */
};

#define BATCH_BYTES (128 * 1024) /* of lines; a single longer line travels alone */

struct batch_job {
	struct line_job line;
	int64_t job;
	const char *log_path; /* the job's log.txt */
};

int batch_build(struct batch *ret, struct rows *rows, const struct batch_job *job, const struct position *at,
		struct err *err);
void batch_fini(struct batch *b);
/* The summary after the epochs up to an event, where the history's last row is last_row (from 0); NULL: there is none.
 * Allocated. */
int batch_summary(char **ret, struct rows *rows, const struct batch_job *job, int64_t up_to, int64_t last_row,
		  struct err *err);
