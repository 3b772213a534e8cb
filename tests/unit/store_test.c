/* The store: every statement, moves, events that count once, what views show.  The daemon's own behaviour around it is
 * in tests/daemon. */
#include "store_place.h"

#include "common/db.h"
#include "common/json.h"
#include "daemon/sched.h"
#include "schema/schema.h"

#include <unistd.h>

static int setup(void **state)
{
	struct store_place *p = xcalloc(1, sizeof(*p));
	store_place_init(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	store_place_fini(*state);
	free(*state);
	return 0;
}

static void test_every_statement_prepares(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct db *db;
	assert_int_equal(db_open(&db, p->paths.db, DB_WRITE, &err), 0);
	assert_true(n_schema_queries > 30);
	for (size_t i = 0; i < n_schema_queries; i++) {
		struct stmt *q, *again;
		if (db_prepare(db, schema_queries[i].sql, &q, &err) < 0)
			fail_msg("%s: %s", schema_queries[i].name, err.text);
		assert_int_equal(db_prepare(db, schema_queries[i].sql, &again, &err), 0);
		assert_ptr_equal(q, again); /* prepared once: it was each time, and sweepd grew */
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(schema_queries[k].name, schema_queries[i].name);
	}
	db_close(db);
}

static void test_every_view_can_be_read(void **state)
{
	static const char *const views[] = {"results", "leaderboard", "curves", "steps", "queue", "counted_epoch", "visible_job",
					    "samples", "resources"};
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		autofree char *sql = xasprintf("SELECT count(*) FROM %s", views[i]);
		assert_string_equal(store_place_query(*state, sql), "0");
	}
}

static void test_one_store_at_a_time(void **state)
{
	struct store_place *p = *state;
	struct store *other;
	struct err err;
	char sentence[128];
	snprintf(sentence, sizeof(sentence), "another sweepd, pid %d works in", (int)getpid());
	assert_int_equal(store_open(&other, &p->paths, &err), -EEXIST);
	assert_non_null(strstr(err.text, sentence));
}

static void test_half_a_submit_is_hidden_and_then_gone(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct sweep_summary summary;
	struct job_row job;
	int64_t first = store_place_submit(p, 3), id;
	struct sweep *sweep;
	struct findings f = {0};
	const char *text = "{\"parameters\": {\"seed\": {\"values\": [1, 2]}}}";
	assert_int_equal(sweep_parse(&sweep, text, strlen(text), NULL, 0, "half", &f), 0);
	json_t *none = json_array();
	struct new_sweep n = {.name = "half", .text = text, .submission = "id", .overrides = none, .sweep = sweep, .owner = 7};
	assert_int_equal(IN_TRANSACTION(p, store_add_sweep(p->store, &n, &id, &err)), 0);
	assert_int_equal(IN_TRANSACTION(p, store_add_jobs(p->store, id, sweep, 0, 1, &err)), 0);
	int64_t found;
	assert_int_equal(store_sweep(p->store, id, &summary, &err), -ENOENT);
	assert_int_equal(store_job(p->store, first + 3, &job, &err), -ENOENT);
	assert_int_equal(store_find_submission(p->store, "id", &found, &err), 0);
	assert_int_equal(store_find_same(p->store, sweep->hash, 7, NULL, &found, &err), 0);
	assert_int_equal(store_find_expanding(p->store, "id", NULL, 7, NULL, &found, &err), 1);
	assert_int_equal(store_find_expanding(p->store, NULL, sweep->hash, 7, NULL, &found, &err), 1);
	assert_int_equal(store_find_expanding(p->store, NULL, sweep->hash, 8, NULL, &found, &err), 0);
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM results"), "3");
	store_place_reopen(p);
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM sweep"), "1");
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM job"), "3");
	json_decref(none);
	sweep_free(sweep);
	findings_fini(&f);
}

static void test_a_sweep_is_found_again(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct sweep_summary s;
	int64_t first = store_place_submit(p, 4), id;
	assert_int_equal(store_sweep(p->store, 1, &s, &err), 0);
	assert_int_equal(s.n_jobs, 4);
	assert_int_equal(s.first_job, first);
	assert_int_equal(s.last_job, first + 3);
	assert_int_equal(s.counts[JOB_QUEUED], 4);
	assert_int_equal(s.owner, 1000);
	assert_string_equal(s.name, "grid");
	autofree char *hash = xstrdup(store_place_query(p, "SELECT hash FROM sweep"));
	assert_int_equal(store_find_same(p->store, hash, 1000, NULL, &id, &err), 1);
	assert_int_equal(store_find_same(p->store, hash, 1001, NULL, &id, &err), 0);
	assert_int_equal(store_find_same(p->store, hash, 1000, "/elsewhere", &id, &err), 0);
	assert_int_equal(store_sweep(p->store, 2, &s, &err), -ENOENT);
	assert_string_equal(err.text, "no sweep s2");
}

/* --- jobs --- */

static int move(struct store_place *p, int64_t job, enum job_state to)
{
	struct err err;
	return IN_TRANSACTION(p, store_move_job(p->store, job, &(struct job_move){.to = to, .reason = "why"}, &err));
}

static void test_a_move_leaves_an_event(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct job_row row;
	int64_t job = store_place_submit(p, 1), before = store_last_event(p->store);
	assert_int_equal(move(p, job, JOB_PAUSED), 0);
	assert_int_equal(store_job(p->store, job, &row, &err), 0);
	assert_int_equal(row.state, JOB_PAUSED);
	assert_int_equal(store_last_event(p->store), before + 1);
	assert_string_equal(store_place_query(p, "SELECT detail FROM event ORDER BY id DESC LIMIT 1"),
			    "{\"state\":\"paused\",\"was\":\"queued\",\"reason\":\"why\"}");
	assert_string_equal(store_place_query(p, "SELECT ended_ms FROM job"), "null");
	assert_int_equal(move(p, job, JOB_CANCELLED), 0);
	assert_string_equal(store_place_query(p, "SELECT ended_ms > 0 FROM job"), "1");
	assert_int_equal(move(p, 99, JOB_CANCELLED), -ENOENT);
}

static void test_the_startable_are_in_order(void **state)
{
	struct store_place *p = *state;
	struct err err;
	size_t n;
	struct sched_job *jobs;
	int64_t job = store_place_submit(p, 5);
	store_place_attempt(p, job);
	struct job_move later = {.to = JOB_QUEUED, .not_before_ms = 5000, .counts_retry = true};
	assert_int_equal(IN_TRANSACTION(p, store_move_job(p->store, job, &later, &err)), 0);
	assert_int_equal(store_startable(p->store, 4999, 3, &jobs, &n, &err), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(jobs[i].id, job + 1 + (int64_t)i);
	free(jobs);
	assert_int_equal(store_next_start(p->store, 4999), 5000);
	assert_int_equal(store_next_start(p->store, 5000), 0);
	assert_int_equal(store_startable(p->store, 5000, 9, &jobs, &n, &err), 0);
	assert_int_equal(n, 5);
	assert_int_equal(jobs[0].id, job);
	free(jobs);
	assert_string_equal(store_place_query(p, "SELECT retries_used FROM job WHERE id = 1"), "1");
}

/* --- attempts and their events --- */

static int add(struct store_place *p, int64_t attempt, const char *event)
{
	struct err err;
	json_t *json = json_loads(event, 0, NULL);
	assert_non_null(json);
	int r = IN_TRANSACTION(p, store_add_event(p->store, attempt, json, &err));
	json_decref(json);
	return r;
}

#define EPOCH(seq, epoch, loss)                                                                                       \
	"{\"type\":\"epoch\",\"seq\":" #seq ",\"at_ms\":5,\"epoch\":" #epoch ",\"batch_size\":8,\"lr\":0.1,"            \
	"\"train_loss\":" loss ",\"train_accuracy\":1,\"test_loss\":2,\"test_accuracy\":50.5,\"train_seconds\":1,"      \
	"\"test_seconds\":1,\"images_per_second\":\"inf\"}"

static void test_events_count_once(void **state)
{
	struct store_place *p = *state;
	int64_t attempt = store_place_attempt(p, store_place_submit(p, 1));
	for (int round = 0; round < 3; round++) {
		assert_int_equal(add(p, attempt, "{\"type\":\"started\",\"seq\":1,\"start_epoch\":0,\"start_step\":0}"), !round);
		assert_int_equal(add(p, attempt, EPOCH(2, 1, "\"nan\"")), !round);
	}
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM event WHERE attempt IS NOT NULL"), "2");
	assert_string_equal(store_place_query(p, "SELECT last_seq FROM attempt"), "2");
	assert_string_equal(store_place_query(p, "SELECT at_ms FROM event WHERE seq = 2"), "5");
	assert_string_equal(store_place_query(p, "SELECT nonfinite FROM epoch"), "train_loss,images_per_second");
	assert_string_equal(store_place_query(p, "SELECT train_loss FROM epoch"), "null");
	assert_string_equal(store_place_query(p, "SELECT test_accuracy FROM epoch"), "50.5");
	assert_string_equal(store_place_query(p, "SELECT event = (SELECT id FROM event WHERE seq = 2) FROM epoch"), "1");
}

static void test_events_that_are_refused(void **state)
{
	static const char *const events[] = {
		"{}",
		"{\"type\":\"epoch\"}",
		"{\"type\":\"epoch\",\"seq\":\"1\"}",
		"{\"type\":\"epoch\",\"seq\":0}",
		"{\"type\":\"epoch\",\"seq\":2}",
		"{\"type\":\"epoch\",\"seq\":1}",
		"{\"type\":\"epoch\",\"seq\":1,\"epoch\":1,\"batch_size\":1.5}",
		"{\"type\":\"epoch\",\"seq\":1,\"epoch\":1,\"batch_size\":1,\"lr\":\"big\"}",
		"{\"type\":\"unknown\",\"seq\":1}",
		"{\"type\":\"started\",\"seq\":1}",
		"{\"type\":\"metric\",\"seq\":1,\"epoch\":1,\"name\":\"x\"}",
		"{\"type\":\"metric\",\"seq\":1,\"epoch\":1,\"name\":\"\",\"value\":1}",
		"{\"type\":\"telemetry\",\"seq\":1}",
		"{\"type\":\"telemetry\",\"seq\":1,\"values\":{\"\":1}}",
		"{\"type\":\"failed\",\"seq\":1,\"class\":\"oom\"}",
	};
	struct store_place *p = *state;
	int64_t attempt = store_place_attempt(p, store_place_submit(p, 1));
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (add(p, attempt, events[i]) != -EPROTO)
			fail_msg("%s", events[i]);
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM event WHERE attempt IS NOT NULL"), "0");
	assert_int_equal(add(p, attempt, EPOCH(1, 1, "1")), 1);
	assert_int_equal(add(p, attempt, EPOCH(2, 1, "1")), -EPROTO); /* one epoch twice */
	assert_int_equal(add(p, attempt, EPOCH(2, 2, "1")), 1);
	assert_int_equal(add(p, 99, EPOCH(1, 1, "1")), -ENOENT);
}

/* More attempts than are kept warm, taking turns in one transaction. */
static int add_rounds(struct store_place *p, const int64_t *attempts, int n, int rounds)
{
	struct err err;
	for (int seq = 1; seq <= rounds; seq++) {
		for (int i = 0; i < n; i++) {
			autojson json_t *event = json_pack("{s:s, s:i, s:i, s:s, s:f}", "type", "metric", "seq", seq, "epoch",
							   seq, "name", "x", "value", 0.5);
			int r = store_add_event(p->store, attempts[i], event, &err);
			if (r != 1)
				return r;
		}
	}
	return 0;
}

static void test_many_attempts_in_one_transaction(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct attempt_row row;
	int64_t attempts[40], first = store_place_submit(p, ARRAY_LEN(attempts));
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
		attempts[i] = store_place_attempt(p, first + (int64_t)i);
	assert_int_equal(IN_TRANSACTION(p, add_rounds(p, attempts, ARRAY_LEN(attempts), 3)), 0);
	assert_string_equal(store_place_query(p, "SELECT min(last_seq) * 100 + max(last_seq) FROM attempt"), "303");
	assert_string_equal(store_place_query(p, "SELECT count(*) FROM metric"), "120");

	/* what is rolled back is forgotten, whatever was warm */
	assert_int_equal(store_begin(p->store, &err), 0);
	autojson json_t *event = json_pack("{s:s, s:i}", "type", "checkpoint", "seq", 4);
	assert_int_equal(store_add_event(p->store, attempts[0], event, &err), 1);
	assert_int_equal(store_attempt(p->store, attempts[0], &row, &err), 0);
	assert_int_equal(row.last_seq, 4);
	store_rollback(p->store);
	assert_int_equal(store_attempt(p->store, attempts[0], &row, &err), 0);
	assert_int_equal(row.last_seq, 3);
	assert_int_equal(IN_TRANSACTION(p, store_add_event(p->store, attempts[0], event, &err)), 1);

	/* an end in the same transaction: the last number is stored, and nothing comes after it */
	json_object_set_new(event, "seq", json_integer(5));
	assert_int_equal(store_begin(p->store, &err), 0);
	assert_int_equal(store_add_event(p->store, attempts[0], event, &err), 1);
	assert_int_equal(store_end_attempt(p->store, attempts[0], ATTEMPT_DONE, NULL, NULL, &err), 0);
	json_object_set_new(event, "seq", json_integer(6));
	assert_int_equal(store_add_event(p->store, attempts[0], event, &err), -EPROTO);
	assert_int_equal(store_commit(p->store, &err), 0);
	assert_string_equal(store_place_query(p, "SELECT last_seq FROM attempt WHERE id = 1"), "5");
}

static void test_an_attempt_that_has_ended_takes_nothing(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct attempt_row row;
	int64_t job = store_place_submit(p, 1), attempt = store_place_attempt(p, job);
	assert_int_equal(add(p, attempt, EPOCH(1, 1, "1")), 1);
	assert_int_equal(IN_TRANSACTION(p, store_end_attempt(p->store, attempt, ATTEMPT_FAILED, "oom", "full", &err)), 0);
	assert_int_equal(add(p, attempt, EPOCH(2, 2, "1")), -EPROTO);
	assert_int_equal(add(p, attempt, EPOCH(1, 1, "1")), 0);
	assert_int_equal(store_attempt(p->store, attempt, &row, &err), 0);
	assert_int_equal(row.state, ATTEMPT_FAILED);
	size_t n = 7;
	struct attempt_row *rows = NULL;
	assert_int_equal(store_worker_attempts(p->store, row.worker, &rows, &n, &err), 0);
	assert_int_equal(n, 0);
}

static void test_a_job_has_one_live_attempt(void **state)
{
	struct store_place *p = *state;
	struct err err;
	struct job_row row;
	int64_t job = store_place_submit(p, 1), attempt = store_place_attempt(p, job), second;
	assert_int_equal(store_job(p->store, job, &row, &err), 0);
	assert_int_equal(row.attempt, attempt);
	assert_int_equal(row.state, JOB_RUNNING);
	assert_int_equal(IN_TRANSACTION(p, store_begin_attempt(p->store, job, 1, "cpu", &second, &err)), -EEXIST);
}

static void test_a_repeated_epoch_counts_once(void **state)
{
	struct store_place *p = *state;
	struct err err;
	int64_t job = store_place_submit(p, 1), attempt = store_place_attempt(p, job);
	assert_int_equal(add(p, attempt, EPOCH(1, 1, "1")), 1);
	assert_int_equal(add(p, attempt, EPOCH(2, 2, "1")), 1);
	assert_int_equal(IN_TRANSACTION(p, store_end_attempt(p->store, attempt, ATTEMPT_LOST, NULL, NULL, &err)), 0);
	assert_int_equal(move(p, job, JOB_QUEUED), 0);
	attempt = store_place_attempt(p, job);
	assert_int_equal(add(p, attempt, EPOCH(1, 2, "7")), 1);
	assert_string_equal(store_place_query(p, "SELECT group_concat(epoch) FROM curves"), "1,2");
	assert_string_equal(store_place_query(p, "SELECT train_loss FROM curves WHERE epoch = 2"), "7.0");
}

static void test_workers(void **state)
{
	struct store_place *p = *state;
	struct err err;
	size_t n;
	struct worker_row *rows, row = {.id = 1, .pid = 42, .start_time = 77, .boot_id = "boot"};
	store_place_attempt(p, store_place_submit(p, 1));
	assert_int_equal(IN_TRANSACTION(p, store_worker_started(p->store, &row, &err)), 0);
	assert_int_equal(IN_TRANSACTION(p, store_worker_ready(p->store, 1, &err)), 0);
	assert_int_equal(store_workers(p->store, &rows, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].pid, 42);
	assert_int_equal(rows[0].start_time, 77);
	assert_string_equal(rows[0].boot_id, "boot");
	assert_string_equal(rows[0].device, "cpu");
	free(rows);
	assert_int_equal(IN_TRANSACTION(p, store_worker_gone(p->store, 1, "why", &err)), 0);
	assert_int_equal(store_workers(p->store, &rows, &n, &err), 0);
	assert_int_equal(n, 0);
	free(rows);
}

static void test_a_rolled_back_transaction_leaves_nothing(void **state)
{
	struct store_place *p = *state;
	struct err err;
	int64_t job = store_place_submit(p, 1), before = store_last_event(p->store);
	assert_int_equal(store_begin(p->store, &err), 0);
	assert_int_equal(store_move_job(p->store, job, &(struct job_move){.to = JOB_CANCELLED}, &err), 0);
	store_rollback(p->store);
	assert_int_equal(store_last_event(p->store), before);
	assert_string_equal(store_place_query(p, "SELECT state FROM job"), "queued");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_statement_prepares),
		TEST(test_every_view_can_be_read),
		TEST(test_one_store_at_a_time),
		TEST(test_half_a_submit_is_hidden_and_then_gone),
		TEST(test_a_sweep_is_found_again),
		TEST(test_a_move_leaves_an_event),
		TEST(test_the_startable_are_in_order),
		TEST(test_events_count_once),
		TEST(test_events_that_are_refused),
		TEST(test_many_attempts_in_one_transaction),
		TEST(test_an_attempt_that_has_ended_takes_nothing),
		TEST(test_a_job_has_one_live_attempt),
		TEST(test_a_repeated_epoch_counts_once),
		TEST(test_workers),
		TEST(test_a_rolled_back_transaction_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
