/* A build with one more migration than the released schema: what the next version will do to a database of this one. */
#include "store_place.h"

#include "common/db.h"
#include "common/fs.h"
#include "schema/schema.h"

/* A database as the version before left it: every step but the last, one row. */
static void make_old(struct store_place *p)
{
	struct err err;
	struct db *db;
	autofree char *version = xasprintf("PRAGMA user_version = %zu", n_schema_migrations - 1);
	p->dir = temp_dir();
	assert_int_equal(paths_daemon(&p->paths, p->dir, &err), 0);
	assert_int_equal(paths_create(&p->paths, &err), 0);
	assert_int_equal(db_open(&db, p->paths.db, DB_WRITE, &err), 0);
	for (size_t i = 0; i + 1 < n_schema_migrations; i++)
		assert_int_equal(db_exec(db, schema_migrations[i], &err), 0);
	assert_int_equal(db_exec(db, version, &err), 0);
	assert_int_equal(db_exec(db, "INSERT INTO device (id, kind, state) VALUES ('cpu', 'cpu', 'ready')", &err), 0);
	db_close(db);
	p->store = NULL;
}

static int64_t number_in(const char *path, const char *sql)
{
	struct err err;
	struct db *db;
	struct stmt *s;
	assert_int_equal(db_open(&db, path, DB_READ, &err), 0);
	if (db_prepare(db, sql, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(stmt_step(s, &err), 1);
	int64_t n = stmt_int(s, 0);
	db_close(db);
	return n;
}

static void test_an_older_database_is_copied_and_then_brought_up(void **state)
{
	struct store_place p;
	struct err err;
	make_old(&p);
	autofree char *copy = xasprintf("%s.before-%zu", p.paths.db, n_schema_migrations);
	if (store_open(&p.store, &p.paths, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(number_in(p.paths.db, "PRAGMA user_version"), n_schema_migrations);
	assert_int_equal(number_in(p.paths.db, "SELECT of_the_next_version FROM device WHERE id = 'cpu'"), 7);
	assert_int_equal(number_in(copy, "PRAGMA user_version"), n_schema_migrations - 1);
	assert_int_equal(number_in(copy, "SELECT count(*) FROM device WHERE id = 'cpu'"), 1);
	assert_int_equal(number_in(copy, "SELECT count(*) FROM pragma_table_info('device') WHERE name = 'of_the_next_version'"), 0);
	store_place_fini(&p);
}

static void test_no_copy_no_migration(void **state)
{
	struct store_place p;
	struct err err;
	make_old(&p);
	autofree char *blocked = xasprintf("%s.before-%zu.tmp", p.paths.db, n_schema_migrations);
	assert_int_equal(fs_mkdirs(blocked, 0700, &err), 0);
	assert_true(store_open(&p.store, &p.paths, &err) < 0);
	assert_non_null(strstr(err.text, "cannot copy the database"));
	assert_int_equal(number_in(p.paths.db, "PRAGMA user_version"), n_schema_migrations - 1);
	p.store = NULL;
	store_place_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_older_database_is_copied_and_then_brought_up),
		cmocka_unit_test(test_no_copy_no_migration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
