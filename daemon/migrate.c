/* Brings results.db to this build's schema: numbered steps, each in its own transaction, the database copied before the
 * first.  A newer database is refused; nothing is ever migrated back. */
#include "store_internal.h"

#include "schema/schema.h"

static int read_version(struct db *db, int64_t *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(db, "PRAGMA user_version", &q, err);
	if (r < 0)
		return r;
	r = stmt_step(q, err);
	if (r < 0)
		return r;
	*ret = stmt_int(q, 0);
	stmt_reset(q);
	return 0;
}

/* results.db.before-N: as the older sweepd left it. */
static int backup(struct db *db, const char *path, int64_t version, struct err *err)
{
	autofree char *copy = xasprintf("%s.before-%lld", path, (long long)version + 1);
	remove(copy); /* of a try before this one */
	int r = db_backup(db, copy, err);
	return r < 0 ? err_prefix(err, r, "cannot copy the database to %s before migrating it", copy) : 0;
}

static int step_up(struct db *db, int64_t version, struct err *err)
{
	autofree char *set = xasprintf("PRAGMA user_version = %lld", (long long)version + 1);
	int r = db_begin(db, err);
	r = r ? r : db_exec(db, schema_migrations[version], err);
	r = r ? r : db_exec(db, set, err);
	r = r ? r : db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

static int recreate_views(struct db *db, struct err *err)
{
	int r = db_begin(db, err);
	r = r ? r : db_exec(db, schema_views, err);
	r = r ? r : db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

int store_migrate(struct db *db, const char *path, struct err *err)
{
	int64_t version, newest = (int64_t)n_schema_migrations;
	int r = read_version(db, &version, err);
	if (r < 0)
		return r;
	if (version > newest)
		return err_set(err, -EPROTO,
			       "%s is of a newer sweepd (schema %lld; this one knows %lld): use that one, or "
			       "another SWEEPD_DIR",
			       path, (long long)version, (long long)newest);
	if (version > 0 && version < newest)
		r = backup(db, path, version, err);
	for (; r == 0 && version < newest; version++)
		r = step_up(db, version, err);
	return r < 0 ? r : recreate_views(db, err);
}
