/* Sweeps: submitted in steps, visible when complete.  See store.h. */
#include "store_internal.h"

/* Steps a query for one id: 1 and the id, or 0. */
static int one_id(struct stmt *q, int64_t *ret, struct err *err)
{
	int r = stmt_step(q, err);
	if (r != 1)
		return r;
	*ret = stmt_int(q, 0);
	stmt_reset(q);
	return 1;
}

int store_find_submission(struct store *s, const char *submission, int64_t *ret_sweep, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_FIND_SUBMISSION);
	stmt_bind_text(q, 1, submission);
	return one_id(q, ret_sweep, err);
}

int store_find_same(struct store *s, const char *hash, uid_t owner, const char *data_dir, int64_t *ret_sweep, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_FIND_SAME);
	stmt_bind_text(q, 1, hash);
	stmt_bind_int(q, 2, owner);
	stmt_bind_text(q, 3, data_dir);
	return one_id(q, ret_sweep, err);
}

int store_find_expanding(struct store *s, const char *submission, const char *hash, uid_t owner, const char *data_dir,
			 int64_t *ret_sweep, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_FIND_EXPANDING);
	stmt_bind_text(q, 1, submission);
	stmt_bind_text(q, 2, hash);
	stmt_bind_int(q, 3, owner);
	stmt_bind_text(q, 4, data_dir);
	return one_id(q, ret_sweep, err);
}

static char *swept_text(const struct sweep *sweep)
{
	autojson json_t *list = json_array();
	for (size_t i = 0; i < sweep->n_swept; i++)
		json_array_append_new(list, json_string(sweep->swept[i]));
	return json_line(list);
}

int store_add_sweep(struct store *s, const struct new_sweep *n, int64_t *ret_sweep, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ADD_SWEEP);
	autofree char *swept = swept_text(n->sweep);
	autofree char *overrides = json_line(n->overrides);
	autofree char *wandb = json_line(n->sweep->wandb);
	autofree char *base = sweep_base_text(n->sweep);
	stmt_bind_text(q, 1, n->name);
	stmt_bind_text(q, 2, n->sweep->project);
	stmt_bind_text(q, 3, n->sweep->metric);
	stmt_bind_text(q, 4, n->sweep->maximize ? "maximize" : "minimize");
	stmt_bind_text(q, 5, swept);
	stmt_bind_int(q, 6, (int64_t)n->sweep->n_jobs);
	stmt_bind_text(q, 7, n->text);
	stmt_bind_text(q, 8, overrides);
	stmt_bind_text(q, 9, n->sweep->hash);
	stmt_bind_text(q, 10, n->submission);
	stmt_bind_text(q, 11, n->data_dir);
	stmt_bind_int(q, 12, n->sweep->retries);
	stmt_bind_int(q, 13, n->owner);
	stmt_bind_text(q, 14, n->note);
	stmt_bind_int(q, 15, wall_ms());
	stmt_bind_num(q, 16, n->sweep->time_limit_s);
	stmt_bind_text(q, 17, wandb);
	stmt_bind_text(q, 18, n->file_dir);
	stmt_bind_text(q, 19, base);
	int r = store_run(q, err);
	if (r == 0)
		*ret_sweep = db_last_rowid(s->db);
	return r;
}

int store_add_jobs(struct store *s, int64_t sweep_id, const struct sweep *sweep, size_t first, size_t n,
		   struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ADD_JOB);
	for (size_t i = first; i < first + n; i++) {
		autofree char *own = sweep_job_own_text(sweep, i);
		autofree char *swept = sweep_job_swept_text(sweep, i);
		stmt_bind_int(q, 1, sweep_id);
		stmt_bind_int(q, 2, (int64_t)i);
		stmt_bind_borrowed(q, 3, own);
		stmt_bind_borrowed(q, 4, swept);
		stmt_bind_int(q, 5, sweep->priority);
		stmt_bind_int(q, 6, wall_ms());
		stmt_bind_int(q, 7, json_is_true(sweep_job_value(sweep, i, "use_wandb")));
		int r = store_run(q, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_activate_sweep(struct store *s, int64_t sweep_id, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ACTIVATE_SWEEP);
	stmt_bind_int(q, 1, sweep_id);
	int r = store_run(q, err);
	if (r < 0)
		return r;
	struct event_row e = {.at_ms = wall_ms(), .sweep = sweep_id, .kind = "submitted"};
	return store_log_event(s, &e, NULL, err);
}

int store_delete_sweep(struct store *s, int64_t sweep_id, struct err *err)
{
	static const enum query queries[] = {QUERY_DELETE_SWEEP_JOBS, QUERY_DELETE_SWEEP};
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct stmt *q = store_query(s, queries[i]);
		stmt_bind_int(q, 1, sweep_id);
		int r = store_run(q, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_sweep(struct store *s, int64_t sweep_id, struct sweep_summary *ret, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_SWEEP);
	stmt_bind_int(q, 1, sweep_id);
	int r = stmt_step(q, err);
	if (r == 0)
		return err_set(err, -ENOENT, "no sweep s%lld", (long long)sweep_id);
	if (r < 0)
		return r;
	*ret = (struct sweep_summary){
		.id = sweep_id,
		.n_jobs = stmt_int(q, 1),
		.owner = (uid_t)stmt_int(q, 2),
		.first_job = stmt_int(q, 3),
		.last_job = stmt_int(q, 4),
	};
	snprintf(ret->name, sizeof(ret->name), "%s", stmt_text(q, 0));
	for (int i = 0; i < N_JOB_STATES; i++)
		ret->counts[i] = stmt_int(q, 5 + i);
	stmt_reset(q);
	return 0;
}

int store_open_jobs(struct store *s, int64_t sweep_id, int64_t **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0;
	int r;
	int64_t *ids = NULL;
	struct stmt *q = store_query(s, QUERY_OPEN_JOBS);
	stmt_bind_int(q, 1, sweep_id);
	while ((r = stmt_step(q, err)) == 1) {
		ids = xrealloc_array(ids, n + 1, sizeof(*ids));
		ids[n++] = stmt_int(q, 0);
	}
	if (r < 0) {
		free(ids);
		return r;
	}
	*ret = ids;
	*ret_n = n;
	return 0;
}
