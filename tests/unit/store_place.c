/* See store_place.h. */
#include "store_place.h"

#include "common/db.h"
#include "common/json.h"

static void open_store(struct store_place *p)
{
	struct err err;
	if (store_open(&p->store, &p->paths, &err) < 0)
		fail_msg("%s", err.text);
}

void store_place_init(struct store_place *p)
{
	struct err err;
	p->dir = temp_dir();
	assert_int_equal(paths_daemon(&p->paths, p->dir, &err), 0);
	assert_int_equal(paths_create(&p->paths, &err), 0);
	open_store(p);
}

void store_place_fini(struct store_place *p)
{
	store_close(p->store);
	paths_fini(&p->paths);
	temp_dir_remove(p->dir);
}

void store_place_reopen(struct store_place *p)
{
	store_close(p->store);
	open_store(p);
}

static struct sweep *make_sweep(size_t n)
{
	struct sweep *sweep;
	struct findings findings = {0};
	json_t *values = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(values, json_integer((json_int_t)i));
	autojson json_t *file = json_pack("{s:{s:{s:o}}}", "parameters", "seed", "values", values);
	autofree char *text = json_line(file);
	assert_int_equal(sweep_parse(&sweep, text, strlen(text), NULL, 0, "grid", &findings), 0);
	findings_fini(&findings);
	assert_int_equal(sweep->n_jobs, n);
	return sweep;
}

int64_t store_place_submit(struct store_place *p, size_t n)
{
	struct err err;
	struct sweep_summary summary;
	int64_t id;
	struct sweep *sweep = make_sweep(n);
	json_t *overrides = json_array();
	struct new_sweep row = {.name = "grid", .text = "{}", .overrides = overrides, .sweep = sweep, .owner = 1000};
	assert_int_equal(store_begin(p->store, &err), 0);
	assert_int_equal(store_add_sweep(p->store, &row, &id, &err), 0);
	assert_int_equal(store_add_jobs(p->store, id, sweep, 0, n, &err), 0);
	assert_int_equal(store_activate_sweep(p->store, id, &err), 0);
	assert_int_equal(store_sweep(p->store, id, &summary, &err), 0);
	assert_int_equal(store_commit(p->store, &err), 0);
	json_decref(overrides);
	sweep_free(sweep);
	return summary.first_job;
}

int64_t store_place_attempt(struct store_place *p, int64_t job)
{
	struct err err;
	int64_t worker, attempt;
	assert_int_equal(store_begin(p->store, &err), 0);
	assert_int_equal(store_upsert_device(p->store, "cpu", "cpu", "test", &err), 0);
	assert_int_equal(store_add_worker(p->store, "cpu", &worker, &err), 0);
	assert_int_equal(store_begin_attempt(p->store, job, worker, "cpu", &attempt, &err), 0);
	assert_int_equal(store_commit(p->store, &err), 0);
	return attempt;
}

const char *store_place_query(struct store_place *p, const char *sql)
{
	static char text[256];
	struct err err;
	struct db *db;
	struct stmt *q;
	assert_int_equal(db_open(&db, p->paths.db, DB_READ, &err), 0);
	assert_int_equal(db_prepare(db, sql, &q, &err), 0);
	assert_int_equal(stmt_step(q, &err), 1);
	const char *value = stmt_text(q, 0);
	snprintf(text, sizeof(text), "%s", value ? value : "null");
	db_close(db);
	return text;
}
