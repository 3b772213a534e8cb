/* See db.h. */
#include "db.h"

#include "fs.h"

#include <libgen.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

struct stmt {
	sqlite3_stmt *handle;
	char *sql; /* as asked for: sqlite3_sql() ends at the semicolon */
	struct db *db;
	struct stmt *next;
};

struct db {
	sqlite3 *handle;
	char *path;
	struct stmt *stmts;
	int log_pages;
};

static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN: /* no descriptors left, for one */
		return -EIO;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_INTERRUPT:
		return -EINTR;
	default:
		return -EINVAL;
	}
}

static int fail(struct db *db, int rc, struct err *err)
{
	return err_set(err, code_of(rc), "%s: %s", db->path, sqlite3_errmsg(db->handle));
}

/* A reader in WAL mode needs -wal and -shm or the right to make them.  Where a visit by their owner has removed both and
 * this user may not write, nobody writes either: the file can be read as it is. */
static bool is_orphaned_for_reader(const char *path)
{
	autofree char *wal = xasprintf("%s-wal", path);
	autofree char *copy = xstrdup(path);
	return !fs_exists(wal) && access(dirname(copy), W_OK) < 0;
}

/* A connection is used by one thread at a time, and nobody asks how much memory SQLite has: no locks for either. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_handle(struct db *db, enum db_mode mode)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, configure);
	if (mode == DB_WRITE)
		return sqlite3_open_v2(db->path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!is_orphaned_for_reader(db->path))
		return sqlite3_open_v2(db->path, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	autofree char *uri = xasprintf("file:%s?immutable=1", db->path);
	return sqlite3_open_v2(uri, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
}

void db_wait_for_locks(struct db *db, int ms)
{
	sqlite3_busy_timeout(db->handle, ms);
}

/* A reader that comes after a crash repairs the log first, and holds everybody else for that moment. */
#define OPEN_WAIT_MS 5000
/* What a long reader made the log grow to is given back when it begins anew. */
#define LOG_KEPT_BYTES "4194304"

static int on_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = arg;
	db->log_pages = pages;
	return SQLITE_OK;
}

static int setup_writer(struct db *db, struct err *err)
{
	int persist = 1;
	chmod(db->path, 0640);
	db_wait_for_locks(db, OPEN_WAIT_MS);
	int r = db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
			    "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=" LOG_KEPT_BYTES, err);
	db_wait_for_locks(db, 0);
	if (r < 0)
		return r;
	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	sqlite3_wal_hook(db->handle, on_commit, db);
	return 0;
}

int db_open(struct db **ret, const char *path, enum db_mode mode, struct err *err)
{
	if (mode == DB_READ && access(path, R_OK) < 0)
		return err_sys(err, -errno, "cannot read %s", path);
	struct db *db = xcalloc(1, sizeof(*db));
	db->path = xstrdup(path);
	int rc = open_handle(db, mode);
	int r = rc == SQLITE_OK ? 0 : fail(db, rc, err);
	if (r == 0)
		r = mode == DB_WRITE ? setup_writer(db, err) : db_exec(db, "PRAGMA busy_timeout=2000; PRAGMA query_only=ON", err);
	if (r < 0) {
		db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	while (db->stmts) {
		struct stmt *s = db->stmts;
		db->stmts = s->next;
		sqlite3_finalize(s->handle);
		free(s->sql);
		free(s);
	}
	sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

int db_prepare(struct db *db, const char *sql, struct stmt **ret, struct err *err)
{
	for (struct stmt *s = db->stmts; s; s = s->next) {
		if (str_eq(s->sql, sql)) {
			*ret = s;
			return 0;
		}
	}
	sqlite3_stmt *handle;
	int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL);
	if (rc != SQLITE_OK)
		return fail(db, rc, err);
	struct stmt *s = xcalloc(1, sizeof(*s));
	*s = (struct stmt){.handle = handle, .sql = xstrdup(sql), .db = db, .next = db->stmts};
	db->stmts = s;
	*ret = s;
	return 0;
}

static void check_bind(int rc, int i)
{
	INVARIANT(rc == SQLITE_OK, "binding parameter %d: %s", i, sqlite3_errstr(rc));
}

void stmt_bind_int(struct stmt *s, int i, int64_t v)
{
	check_bind(sqlite3_bind_int64(s->handle, i, v), i);
}

void stmt_bind_num(struct stmt *s, int i, double v)
{
	if (isfinite(v))
		check_bind(sqlite3_bind_double(s->handle, i, v), i);
	else
		stmt_bind_null(s, i);
}

void stmt_bind_text(struct stmt *s, int i, const char *v)
{
	check_bind(v ? sqlite3_bind_text(s->handle, i, v, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(s->handle, i), i);
}

void stmt_bind_borrowed(struct stmt *s, int i, const char *v)
{
	check_bind(v ? sqlite3_bind_text(s->handle, i, v, -1, SQLITE_STATIC) : sqlite3_bind_null(s->handle, i), i);
}

void stmt_bind_null(struct stmt *s, int i)
{
	check_bind(sqlite3_bind_null(s->handle, i), i);
}

int stmt_step(struct stmt *s, struct err *err)
{
	int rc = sqlite3_step(s->handle);
	if (rc == SQLITE_ROW)
		return 1;
	int r = rc == SQLITE_DONE ? 0 : fail(s->db, rc, err);
	stmt_reset(s);
	return r;
}

void stmt_reset(struct stmt *s)
{
	sqlite3_reset(s->handle);
	sqlite3_clear_bindings(s->handle);
}

int64_t stmt_int(struct stmt *s, int column)
{
	return sqlite3_column_int64(s->handle, column);
}

double stmt_num(struct stmt *s, int column)
{
	return stmt_is_null(s, column) ? NAN : sqlite3_column_double(s->handle, column);
}

const char *stmt_text(struct stmt *s, int column)
{
	return (const char *)sqlite3_column_text(s->handle, column);
}

bool stmt_is_null(struct stmt *s, int column)
{
	return sqlite3_column_type(s->handle, column) == SQLITE_NULL;
}

int64_t db_last_rowid(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int db_changes(struct db *db)
{
	return sqlite3_changes(db->handle);
}

int db_begin(struct db *db, struct err *err)
{
	return db_exec(db, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *db, struct err *err)
{
	return db_exec(db, "COMMIT", err);
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		db_exec(db, "ROLLBACK", NULL);
}

int db_log_pages(const struct db *db)
{
	return db->log_pages;
}

int db_checkpoint(struct db *db, int *ret_left, struct err *err)
{
	int pages = 0, moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
	if (rc != SQLITE_OK)
		return fail(db, rc, err);
	*ret_left = pages - moved;
	return 0;
}

/* In one step: one snapshot, which holds up no writer. */
static int copy_pages(struct db *from, struct db *to, struct err *err)
{
	sqlite3_backup *copy = sqlite3_backup_init(to->handle, "main", from->handle, "main");
	if (!copy)
		return fail(to, sqlite3_errcode(to->handle), err);
	int rc = sqlite3_backup_step(copy, -1);
	sqlite3_backup_finish(copy);
	return rc == SQLITE_DONE ? 0 : err_set(err, code_of(rc), "%s: %s", to->path, sqlite3_errstr(rc));
}

static int write_copy(struct db *db, const char *path, struct err *err)
{
	struct db to = {.path = (char *)path};
	int rc = sqlite3_open_v2(path, &to.handle, SQLITE_OPEN_READWRITE, NULL);
	int r = rc == SQLITE_OK ? copy_pages(db, &to, err) : fail(&to, rc, err);
	r = r ? r : db_exec(&to, "PRAGMA journal_mode=DELETE", err);
	sqlite3_close(to.handle);
	return r;
}

int db_backup(struct db *db, const char *path, struct err *err)
{
	int fd;
	if (fs_exists(path))
		return err_set(err, -EEXIST, "%s is there already; nothing was written", path);
	autofree char *tmp = xasprintf("%s.tmp", path);
	int r = fs_temp_open(path, 0640, &fd, err);
	if (r < 0)
		return r;
	r = write_copy(db, tmp, err);
	if (r < 0) {
		fs_temp_abandon(path, fd);
		return r;
	}
	return fs_temp_commit(path, fd, err);
}

void db_interrupt(struct db *db)
{
	sqlite3_interrupt(db->handle);
}

int db_check_pages(struct db *db, struct err *err)
{
	struct stmt *s;
	int r = db_prepare(db, "PRAGMA quick_check(1)", &s, err);
	r = r < 0 ? r : stmt_step(s, err);
	if (r <= 0)
		return r;
	const char *said = stmt_text(s, 0);
	r = said && str_eq(said, "ok") ? 0 : err_set(err, -EBADMSG, "%s: %s", db->path, said ? said : "damaged");
	stmt_reset(s);
	return r;
}
