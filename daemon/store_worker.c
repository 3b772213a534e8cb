/* Workers and devices.  See store.h. */
#include "store_internal.h"

int store_devices_absent(struct store *s, struct err *err)
{
	return store_run(store_query(s, QUERY_DEVICES_ABSENT), err);
}

int store_upsert_device(struct store *s, const char *id, const char *kind, const char *name, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_UPSERT_DEVICE);
	stmt_bind_text(q, 1, id);
	stmt_bind_text(q, 2, kind);
	stmt_bind_text(q, 3, name);
	return store_run(q, err);
}

int store_add_worker(struct store *s, const char *device, int64_t *ret_worker, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ADD_WORKER);
	stmt_bind_text(q, 1, device);
	stmt_bind_int(q, 2, wall_ms());
	int r = store_run(q, err);
	if (r == 0)
		*ret_worker = db_last_rowid(s->db);
	return r;
}

int store_worker_started(struct store *s, const struct worker_row *worker, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_WORKER_STARTED);
	stmt_bind_int(q, 1, worker->id);
	stmt_bind_int(q, 2, worker->pid);
	stmt_bind_int(q, 3, worker->start_time);
	stmt_bind_text(q, 4, worker->boot_id);
	return store_run(q, err);
}

int store_worker_ready(struct store *s, int64_t worker, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_WORKER_READY);
	stmt_bind_int(q, 1, worker);
	return store_run(q, err);
}

int store_worker_gone(struct store *s, int64_t worker, const char *reason, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_WORKER_GONE);
	stmt_bind_int(q, 1, worker);
	stmt_bind_text(q, 2, reason);
	stmt_bind_int(q, 3, wall_ms());
	return store_run(q, err);
}

int store_workers(struct store *s, struct worker_row **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0;
	int r;
	struct worker_row *rows = NULL;
	struct stmt *q = store_query(s, QUERY_WORKERS);
	while ((r = stmt_step(q, err)) == 1) {
		rows = xrealloc_array(rows, n + 1, sizeof(*rows));
		rows[n] = (struct worker_row){
			.id = stmt_int(q, 0),
			.pid = (pid_t)stmt_int(q, 2),
			.start_time = stmt_int(q, 3),
		};
		snprintf(rows[n].device, sizeof(rows[n].device), "%s", stmt_text(q, 1));
		snprintf(rows[n].boot_id, sizeof(rows[n].boot_id), "%s", stmt_text(q, 4));
		n++;
	}
	if (r < 0) {
		free(rows);
		return r;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}
