/* See wal.h. */
#include "wal.h"

#include "common/db.h"
#include "common/log.h"

#define COMMITS 200 /* between two checkpoints: a few MiB of log */

struct wal {
	uv_loop_t *loop;
	uv_work_t work;
	struct db *db; /* used by the work alone */
	int commits;
	bool busy, failed;
	int result;
	struct err err;
};

int wal_new(struct wal **ret, uv_loop_t *loop, const char *path, struct err *err)
{
	struct wal *wal = xcalloc(1, sizeof(*wal));
	int r = db_open(&wal->db, path, DB_WRITE, err);
	if (r < 0) {
		free(wal);
		return r;
	}
	wal->loop = loop;
	wal->work.data = wal;
	*ret = wal;
	return 0;
}

static void checkpoint(uv_work_t *work)
{
	struct wal *wal = work->data;
	wal->result = db_checkpoint(wal->db, &wal->err);
}

static void checkpointed(uv_work_t *work, int status)
{
	struct wal *wal = work->data;
	bool failed = status == 0 && wal->result < 0 && wal->result != -EBUSY; /* busy: the next time */
	wal->busy = false;
	if (failed && !wal->failed)
		log_warn("the write-ahead log grows: %s", wal->err.text);
	wal->failed = failed;
}

void wal_committed(struct wal *wal)
{
	if (++wal->commits < COMMITS || wal->busy)
		return;
	wal->commits = 0;
	wal->busy = true;
	uv_queue_work(wal->loop, &wal->work, checkpoint, checkpointed);
}

void wal_free(struct wal *wal)
{
	if (!wal)
		return;
	db_close(wal->db);
	free(wal);
}
