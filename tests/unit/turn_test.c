/* Turns of the loop (invariant 2): applied, committed, then done; a bad input costs itself; a busy store costs nothing. */
#include "store_place.h"

#include "common/db.h"
#include "daemon/turn.h"

struct probe { /* an input that cancels a job and tells its story */
	struct input input;
	struct test *test;
	int64_t job;
	char name;
};

struct test {
	struct store_place place;
	uv_loop_t loop;
	struct turn *turn;
	char story[64]; /* a: applied, A: done, !: failed, p: paused, g: goes on, c: committed */
	struct db *holder;
	bool keeps; /* the holder does not let go by itself */
};

static void tell(struct test *t, char c)
{
	size_t n = strlen(t->story);
	assert_true(n + 1 < sizeof(t->story));
	t->story[n] = c;
}

static int apply(struct input *input, struct store *store, struct err *err)
{
	struct probe *probe = (struct probe *)input;
	tell(probe->test, probe->name);
	return store_move_job(store, probe->job, &(struct job_move){.to = JOB_CANCELLED}, err);
}

static void done(struct input *input)
{
	struct probe *probe = (struct probe *)input;
	tell(probe->test, input->failed ? '!' : (char)(probe->name - 'a' + 'A'));
	assert_true(!input->failed || (input->why && *input->why));
}

static const struct input_kind kind = {"probe", apply, done};

/* The store fills up under it, once. */
static int apply_without_room(struct input *input, struct store *store, struct err *err)
{
	struct probe *probe = (struct probe *)input;
	bool again = strchr(probe->test->story, probe->name);
	tell(probe->test, probe->name);
	return again ? 0 : err_set(err, -ENOSPC, "no room");
}

static const struct input_kind kind_without_room = {"probe without room", apply_without_room, done};

static void done_bad(struct input *input)
{
	assert_int_equal(input->failed, -ENOENT);
	assert_non_null(strstr(input->why, "99"));
	done(input);
}

static const struct input_kind bad_kind = {"bad probe", apply, done_bad};

static void add(struct test *t, char name, int64_t job)
{
	struct probe *probe = xcalloc(1, sizeof(*probe));
	*probe = (struct probe){.input = {.kind = &kind}, .test = t, .job = job, .name = name};
	turn_add(t->turn, &probe->input);
}

static void on_pause(void *arg, bool pause)
{
	struct test *t = arg;
	struct err err;
	tell(t, pause ? 'p' : 'g');
	if (pause && !t->keeps) /* the other one goes when sweepd has noticed */
		assert_int_equal(db_exec(t->holder, "ROLLBACK", &err), 0);
}

static void on_committed(void *arg)
{
	tell(arg, 'c');
}

static int setup(void **state)
{
	struct test *t = xcalloc(1, sizeof(*t));
	const struct turn_events events = {on_pause, on_committed, t};
	store_place_init(&t->place);
	store_place_submit(&t->place, 3);
	uv_loop_init(&t->loop);
	t->turn = turn_new(&t->loop, t->place.store, &events);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;
	turn_close(t->turn);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t->loop), 0);
	turn_free(t->turn);
	db_close(t->holder);
	store_place_fini(&t->place);
	free(t);
	return 0;
}

static void test_one_transaction_then_the_answers(void **state)
{
	struct test *t = *state;
	add(t, 'a', 1);
	add(t, 'b', 2);
	assert_false(turn_idle(t->turn));
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_string_equal(t->story, "abABc");
	assert_true(turn_idle(t->turn));
	assert_string_equal(store_place_query(&t->place, "SELECT count(*) FROM job WHERE state = 'cancelled'"), "2");
}

static void test_a_bad_input_costs_itself(void **state)
{
	struct test *t = *state;
	add(t, 'a', 1);
	add(t, 'x', 99);
	add(t, 'b', 2);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_string_equal(t->story, "axabA!Bc");
	assert_string_equal(store_place_query(&t->place, "SELECT count(*) FROM job WHERE state = 'cancelled'"), "2");
}

static void test_a_busy_store_is_tried_again(void **state)
{
	struct test *t = *state;
	struct err err;
	assert_int_equal(db_open(&t->holder, t->place.paths.db, DB_WRITE, &err), 0);
	assert_int_equal(db_begin(t->holder, &err), 0);
	add(t, 'a', 1);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_string_equal(t->story, "pagAc");
	assert_string_equal(store_place_query(&t->place, "SELECT count(*) FROM job WHERE state = 'cancelled'"), "1");
}

/* The one that cannot wait longer is refused, unstored; the other one goes on waiting. */
static void test_a_late_input_is_refused(void **state)
{
	struct test *t = *state;
	struct err err;
	const char *why;
	t->keeps = true;
	assert_int_equal(db_open(&t->holder, t->place.paths.db, DB_WRITE, &err), 0);
	assert_int_equal(db_begin(t->holder, &err), 0);
	add(t, 'a', 1);
	struct probe *late = xcalloc(1, sizeof(*late));
	*late = (struct probe){.input = {.kind = &kind, .refuse_at_s = 1}, .test = t, .job = 2, .name = 'b'};
	turn_add(t->turn, &late->input);
	while (!strchr(t->story, '!'))
		uv_run(&t->loop, UV_RUN_ONCE);
	assert_string_equal(t->story, "p!");
	assert_int_equal(turn_trouble(t->turn, &why), -EBUSY);
	assert_non_null(strstr(why, "is locked by another process"));
	assert_int_equal(db_exec(t->holder, "ROLLBACK", &err), 0);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_string_equal(t->story, "p!agAc");
	assert_int_equal(turn_trouble(t->turn, &why), 0);
	assert_string_equal(store_place_query(&t->place, "SELECT group_concat(id) FROM job WHERE state = 'cancelled'"), "1");
}

/* One that was refused before the store filled up is told its own reason. */
static void test_a_bad_late_input_keeps_its_reason(void **state)
{
	struct test *t = *state;
	t->keeps = true;
	struct probe *bad = xcalloc(1, sizeof(*bad)), *full = xcalloc(1, sizeof(*full));
	*bad = (struct probe){.input = {.kind = &bad_kind, .refuse_at_s = 1}, .test = t, .job = 99, .name = 'x'};
	*full = (struct probe){.input = {.kind = &kind_without_room}, .test = t, .name = 'f'};
	turn_add(t->turn, &bad->input);
	turn_add(t->turn, &full->input);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_string_equal(t->story, "xfp!fgFc");
}

static void test_what_waits_at_the_end_has_failed(void **state)
{
	struct test *t = *state;
	add(t, 'a', 1);
	turn_close(t->turn);
	assert_string_equal(t->story, "!");
	add(t, 'b', 2);
	assert_string_equal(t->story, "!!");
	assert_string_equal(store_place_query(&t->place, "SELECT count(*) FROM job WHERE state = 'cancelled'"), "0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_transaction_then_the_answers),
		TEST(test_a_bad_input_costs_itself),
		TEST(test_a_busy_store_is_tried_again),
		TEST(test_a_late_input_is_refused),
		TEST(test_a_bad_late_input_keeps_its_reason),
		TEST(test_what_waits_at_the_end_has_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
