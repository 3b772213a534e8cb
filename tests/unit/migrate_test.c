/* Bringing a database to this build's schema; and refusing what cannot be. */
#include "store_place.h"

#include "common/db.h"
#include "common/fs.h"
#include "schema/schema.h"

static void run(const struct store_place *p, const char *sql)
{
	struct err err;
	struct db *db;
	assert_int_equal(db_open(&db, p->paths.db, DB_WRITE, &err), 0);
	if (db_exec(db, sql, &err) < 0)
		fail_msg("%s", err.text);
	db_close(db);
}

static int reopen(struct store_place *p, struct err *err)
{
	store_close(p->store);
	p->store = NULL;
	return store_open(&p->store, &p->paths, err);
}

static void test_a_fresh_database_has_this_version(void **state)
{
	struct store_place p;
	store_place_init(&p);
	autofree char *version = xasprintf("%zu", n_schema_migrations);
	assert_string_equal(store_place_query(&p, "PRAGMA user_version"), version);
	assert_string_equal(store_place_query(&p, "PRAGMA journal_mode"), "wal");
	store_place_fini(&p);
}

static void test_opening_again_changes_nothing(void **state)
{
	struct store_place p;
	store_place_init(&p);
	store_place_submit(&p, 3);
	store_place_reopen(&p);
	assert_string_equal(store_place_query(&p, "SELECT count(*) FROM results"), "3");
	autofree char *copy = xasprintf("%s.before-1", p.paths.db);
	assert_false(fs_exists(copy));
	store_place_fini(&p);
}

static void test_a_newer_database_is_refused_with_a_sentence(void **state)
{
	struct err err;
	struct store_place p;
	store_place_init(&p);
	run(&p, "PRAGMA user_version = 99");
	assert_int_equal(reopen(&p, &err), -EPROTO);
	assert_non_null(strstr(err.text, "is of a newer sweepd (schema 99;"));
	assert_string_equal(store_place_query(&p, "PRAGMA user_version"), "99");
	store_place_fini(&p);
}

static void test_views_are_made_anew(void **state)
{
	struct err err;
	struct store_place p;
	store_place_init(&p);
	run(&p, "DROP VIEW results; CREATE VIEW results AS SELECT 1 AS old");
	assert_int_equal(reopen(&p, &err), 0);
	assert_string_equal(store_place_query(&p, "SELECT count(*) FROM results WHERE job > 0"), "0");
	store_place_fini(&p);
}

static void test_a_step_that_fails_leaves_the_database_as_it_was(void **state)
{
	struct err err;
	struct store_place p;
	store_place_init(&p);
	run(&p, "PRAGMA user_version = 0"); /* the tables are there: making them again fails */
	assert_true(reopen(&p, &err) < 0);
	assert_non_null(strstr(err.text, "already exists"));
	assert_string_equal(store_place_query(&p, "PRAGMA user_version"), "0");
	store_place_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fresh_database_has_this_version),
		cmocka_unit_test(test_opening_again_changes_nothing),
		cmocka_unit_test(test_a_newer_database_is_refused_with_a_sentence),
		cmocka_unit_test(test_views_are_made_anew),
		cmocka_unit_test(test_a_step_that_fails_leaves_the_database_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
