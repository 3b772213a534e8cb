/* What the parts of the store share; nobody else includes it. */
#pragma once

#include "store.h"

#include "common/clock.h"
#include "common/db.h"
#include "common/json.h"
#include "schema/schema_queries.h"

#include <sys/types.h>

#define WARM_ATTEMPTS 32

struct warm_attempt { /* whose worker is sending: its row as this transaction has it */
	struct attempt_row row;
	int64_t stored_seq; /* row.last_seq, as the table has it */
};

struct store {
	struct db *db;
	struct warm_attempt warm[WARM_ATTEMPTS];
	size_t n_warm; /* 0 outside of transactions */
	struct stmt *prepared[N_QUERIES]; /* NULL: not yet */
	int lock_fd;
	char *path;
	bool checked; /* store_is_checked() */
	struct file_id {
		dev_t device;
		ino_t inode;
	} files[3]; /* the database and its -wal and -shm, as they were opened */
};

/* A statement of schema/queries.sql; one that does not prepare is a bug. */
struct stmt *store_query(struct store *s, enum query query);
/* Steps a statement without rows. */
int store_run(struct stmt *q, struct err *err);

/* The numbers of the last events, which are kept back so that an attempt is written once a transaction; and forgets the rows. */
int store_write_warm(struct store *s, struct err *err);

struct event_row {
	int64_t at_ms, sweep, job, attempt, seq; /* 0: none */
	const char *kind;
	const json_t *detail; /* borrowed, or NULL */
	bool of_worker;	      /* detail is its line: what has a column of its own stays out */
};
int store_log_event(struct store *s, const struct event_row *e, int64_t *ret_id, struct err *err);

/* db_* of daemon/migrate.c: brings the schema to this build's version and recreates the views. */
int store_migrate(struct db *db, const char *path, struct err *err);
