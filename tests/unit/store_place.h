/* A store in a directory of its own, with a sweep in it: for the tests of what works on stores. */
#pragma once

#include "cmocka_all.h"

#include "daemon/store.h"

struct store_place {
	char *dir;
	struct paths paths;
	struct store *store;
};

void store_place_init(struct store_place *p);
void store_place_fini(struct store_place *p);
/* Closes and opens it again. */
void store_place_reopen(struct store_place *p);
/* A sweep of n jobs in one transaction; the id of its first job. */
int64_t store_place_submit(struct store_place *p, size_t n);
/* A worker and an attempt of that job, committed. */
int64_t store_place_attempt(struct store_place *p, int64_t job);
/* One number (or "null") of a query on another connection; static. */
const char *store_place_query(struct store_place *p, const char *sql);
/* Runs fn's steps in one transaction: commits when r is 0 or 1, else rolls back.  Returns r. */
#define IN_TRANSACTION(p, call)                                        \
	({                                                             \
		struct err _err;                                       \
		assert_int_equal(store_begin((p)->store, &_err), 0);   \
		int _r = (call);                                       \
		if (_r < 0)                                            \
			store_rollback((p)->store);                    \
		else                                                   \
			assert_int_equal(store_commit((p)->store, &_err), 0); \
		_r;                                                    \
	})
