/* From the store's rows to an offline directory (offline.h): the lines are those that batch.h makes for the server,
 * from the first row on, so that what is sent later equals what would have been sent. */
#pragma once

#include "rows.h"

struct offline_result {
	char *path;             /* the directory; owned */
	char *run_id;           /* owned */
	char *entity, *project; /* entity: NULL: the key's own; owned */
	struct position at;     /* what is in it */
	bool ended;             /* false: the job is not over, and the file says nothing of its end */
};
void offline_result_fini(struct offline_result *result);

/* Of any job that has begun, whatever its sweep's mode.  -ENOENT: there is no such job; -ENODATA: it never ran; others
 * as offline.h. */
int offline_write_run(struct rows *rows, const struct paths *paths, const char *dir, int64_t job,
		      struct offline_result *ret, struct err *err);
/* Where offline runs of a sweepd lie by themselves: STATE/wandb, under systemd the service's own directory.  Allocated.
 */
char *offline_default_dir(const struct paths *paths);
