/* SQLite, behind the only file that includes sqlite3.h.  A library of its own, never linked into the worker.
 *
 * Writers: the daemon alone (invariant 1), with busy_timeout 0: -EBUSY, -ENOSPC and -EIO leave everything as it was.
 * A damaged database is -EBADMSG.
 * Readers: sweepctl; they hold no statement open while they wait. */
#pragma once

#include "base.h"

struct db;
struct stmt;

enum db_mode { DB_WRITE, DB_READ };

/* DB_WRITE: creates if absent (0640), WAL, synchronous=FULL, foreign_keys, PERSIST_WAL, busy_timeout 0 (afterwards).
 * DB_READ: read-only; where -wal and -shm are gone and the directory is not writable, opens with immutable=1. */
int db_open(struct db **ret, const char *path, enum db_mode mode, struct err *err);
void db_close(struct db *db); /* accepts NULL; finalizes what db_prepare() gave out */
/* How long another's lock is waited for before -EBUSY. */
void db_wait_for_locks(struct db *db, int ms);

/* One or more statements without results. */
int db_exec(struct db *db, const char *sql, struct err *err);
/* Kept by db until db_close(); the same text is prepared once. */
int db_prepare(struct db *db, const char *sql, struct stmt **ret, struct err *err);

/* Parameters are 1-based.  Texts are copied; NULL text binds NULL; a double that is not finite binds NULL. */
void stmt_bind_int(struct stmt *s, int i, int64_t v);
void stmt_bind_num(struct stmt *s, int i, double v);
void stmt_bind_text(struct stmt *s, int i, const char *v);
/* Not copied: it lives until the statement has been stepped to its end. */
void stmt_bind_borrowed(struct stmt *s, int i, const char *v);
void stmt_bind_null(struct stmt *s, int i);
/* 1: a row is there; 0: done (the statement is reset, bindings cleared); < 0: error (reset too). */
int stmt_step(struct stmt *s, struct err *err);
/* Ends early. */
void stmt_reset(struct stmt *s);
/* Columns are 0-based; texts are borrowed until the next step or reset; NULL for SQL NULL. */
int64_t stmt_int(struct stmt *s, int column);
double stmt_num(struct stmt *s, int column); /* NaN for SQL NULL */
const char *stmt_text(struct stmt *s, int column);
bool stmt_is_null(struct stmt *s, int column);

int64_t db_last_rowid(struct db *db);
int db_changes(struct db *db);
int db_begin(struct db *db, struct err *err);	/* BEGIN IMMEDIATE */
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);
/* Length of the write-ahead log, in pages, at this writer's last commit. */
int db_log_pages(const struct db *db);
/* WAL checkpoint (PASSIVE); call on a connection of its own, from a thread of its own.  ret_left: pages of the log that
 * a reader's snapshot keeps from being moved. */
int db_checkpoint(struct db *db, int *ret_left, struct err *err);

/* A copy of this instant, also while others write: path appears whole or not at all, on the disk, as a database that
 * needs no other file.  -EEXIST: path is there already. */
int db_backup(struct db *db, const char *path, struct err *err);
/* Ends what another thread does on this connection: there -EINTR. */
void db_interrupt(struct db *db);
/* -EBADMSG when pages are damaged; what is said first is in err.  Reads everything. */
int db_check_pages(struct db *db, struct err *err);
