/* See wal.h. */
#include "wal.h"

#include "common/clock.h"
#include "common/db.h"
#include "common/locks.h"
#include "common/log.h"

#define PAGES	   1000 /* between two checkpoints: 4 MiB of log */
#define LONG_PAGES 4096 /* 16 MiB that a reader keeps from being moved */
#define AGAIN_MS   5000

struct wal {
	uv_loop_t *loop;
	uv_work_t work;
	uv_timer_t again; /* a checkpoint that did not reach the end of the log */
	struct db *db;	  /* used by the work alone */
	char *path, *rescue; /* rescue: to be written; NULL: none */
	int pages, next_at; /* of the log: now; the next checkpoint */
	bool busy, failed, said_long, rescuing;
	int result, left; /* of the work */
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
	wal->path = xstrdup(path);
	wal->work.data = wal;
	uv_timer_init(loop, &wal->again);
	wal->again.data = wal;
	*ret = wal;
	return 0;
}

/* --- in the thread pool --- */

static void checkpoint(uv_work_t *work)
{
	struct wal *wal = work->data;
	wal->result = db_checkpoint(wal->db, &wal->left, &wal->err);
}

static void rescue(uv_work_t *work)
{
	struct wal *wal = work->data;
	wal->result = db_backup(wal->db, wal->rescue, &wal->err);
}

/* --- in the loop --- */

static void say_long(struct wal *wal)
{
	char holder[64];
	bool is_long = wal->left > LONG_PAGES;
	if (is_long && !wal->said_long) {
		lock_holder(wal->path, DB_LOCK_READ, 0, holder, sizeof(holder));
		log_warn("a reader%s holds a transaction open: %s-wal cannot shrink until it ends", holder, wal->path);
	} else if (!is_long && wal->said_long) {
		log_info("%s-wal is short again", wal->path);
	}
	wal->said_long = is_long;
}

static void start(struct wal *wal);
static void start_rescue(struct wal *wal);

static void on_again(uv_timer_t *timer)
{
	struct wal *wal = timer->data;
	if (!wal->busy)
		start(wal);
}

static void checkpointed(uv_work_t *work, int status)
{
	struct wal *wal = work->data;
	bool failed = status == 0 && wal->result < 0 && wal->result != -EBUSY;
	wal->busy = false;
	if (failed && !wal->failed)
		log_warn("the write-ahead log grows: %s", wal->err.text);
	wal->failed = failed;
	if (status < 0 || uv_is_closing((uv_handle_t *)&wal->again))
		return;
	if (wal->rescue && !wal->rescuing) {
		start_rescue(wal);
		return;
	}
	if (wal->result == 0)
		say_long(wal);
	if (wal->result < 0 || wal->left > 0)
		uv_timer_start(&wal->again, on_again, AGAIN_MS, 0);
}

static void start(struct wal *wal)
{
	wal->next_at = wal->pages + PAGES;
	wal->busy = true;
	uv_queue_work(wal->loop, &wal->work, checkpoint, checkpointed);
}

void wal_committed(struct wal *wal, int pages)
{
	if (pages < wal->pages || !wal->next_at) /* it began anew */
		wal->next_at = PAGES;
	wal->pages = pages;
	if (pages >= wal->next_at && !wal->busy)
		start(wal);
}

static void rescued(uv_work_t *work, int status)
{
	struct wal *wal = work->data;
	wal->busy = false;
	if (status == 0 && wal->result == 0)
		log_error("what was stored until then is saved in %s; to go on with it: stop sweepd, move it to %s, remove "
			  "%s-wal and %s-shm, start sweepd", wal->rescue, wal->path, wal->path, wal->path);
	else if (status == 0)
		log_error("what was stored until then cannot be saved: %s", wal->err.text);
}

static void start_rescue(struct wal *wal)
{
	wal->busy = wal->rescuing = true;
	uv_queue_work(wal->loop, &wal->work, rescue, rescued);
}

void wal_rescue(struct wal *wal)
{
	if (wal->rescue)
		return;
	wal->rescue = xasprintf("%s.rescued-%lld", wal->path, (long long)wall_ms());
	if (!wal->busy)
		start_rescue(wal);
}

void wal_close(struct wal *wal)
{
	uv_close((uv_handle_t *)&wal->again, NULL);
}

void wal_free(struct wal *wal)
{
	if (!wal)
		return;
	db_close(wal->db);
	free(wal->rescue);
	free(wal->path);
	free(wal);
}
