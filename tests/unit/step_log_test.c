/* Samples of steps: which are taken, that an event holds no more than its line has room for, that none is lost. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "common/json.h"
#include "worker/step_log.h"

#include <math.h>

enum { STEPS = 1203, BEFORE = 900000007 };

struct fixture {
	char *dir;
	struct event_log *events;
	struct step_log log;
	struct step_values values[STEPS];
	struct step_record records[STEPS];
};

/* Numbers as long as they get. */
static void open_fixture(struct fixture *f, int every)
{
	struct err err;
	struct train_config cfg;
	config_defaults(&cfg);
	cfg.log_steps = every;
	cfg.clip_grad_norm = 1;
	f->dir = temp_dir();
	assert_int_equal(event_log_new(&f->events, f->dir, 7, NULL, NULL, &err), 0);
	step_log_init(&f->log, &cfg);
	for (int i = 0; i < STEPS; i++) {
		f->values[i].lr = 1.2345678901234567e-105 * (i + 1);
		f->records[i] = (struct step_record){1e-200 / 3 * (i + 1), i % 2 ? INFINITY : 1e-301 / 7};
	}
}

static void take(struct fixture *f, uint32_t first, uint32_t n)
{
	struct err err;
	const struct step_span span = {3, BEFORE, first, n, f->values, f->records};
	assert_int_equal(step_log_take(&f->log, f->events, &span, &err), 0);
}

/* The events' samples, each of the right step; their number.  Closes the fixture. */
static size_t count(struct fixture *f, int every, size_t *ret_events)
{
	struct err err;
	char *text, *rest, *line;
	size_t n = 0;
	autofree char *path = xasprintf("%s/events.7.jsonl", f->dir);
	assert_int_equal(step_log_flush(&f->log, f->events, 3, &err), 0);
	assert_int_equal(step_log_flush(&f->log, f->events, 3, &err), 0); /* nothing twice */
	event_log_free(f->events);
	assert_int_equal(fs_read_file(path, 1 << 20, &text, NULL, &err), 0);
	*ret_events = 0;
	for (rest = text; (line = strtok(rest, "\n")); rest = NULL, ++*ret_events) {
		autojson json_t *event = json_parse(line, strlen(line), &err);
		assert_true(strlen(line) < WORKER_LINE_MAX && json_int_or(event, "epoch", 0) == 3);
		const json_t *steps = json_object_get(event, "step"), *losses = json_object_get(event, "train_loss");
		for (size_t i = 0; i < json_array_size(steps); i++, n++) {
			int64_t step = json_integer_value(json_array_get(steps, i));
			assert_true(step % every == 0);
			double loss;
			assert_true(json_num_value(json_array_get(losses, i), &loss));
			assert_true(loss == f->records[step - BEFORE - 1].loss);
		}
	}
	free(text);
	temp_dir_remove(f->dir);
	return n;
}

static void test_an_event_holds_what_its_line_has_room_for(void **state)
{
	size_t events;
	autofree struct fixture *f = xcalloc(1, sizeof(*f));
	open_fixture(f, 1);
	take(f, 0, STEPS);
	assert_int_equal(count(f, 1, &events), STEPS);
	assert_int_equal(events, 3);
}

static void test_in_pieces_and_steps_that_were_not_made(void **state)
{
	size_t events;
	autofree struct fixture *f = xcalloc(1, sizeof(*f));
	open_fixture(f, 4);
	for (uint32_t i = 0; i < 400; i += 10)
		take(f, i, 10);
	for (uint32_t i = 405; i < 420; i++)
		f->records[i].loss = i % 8 ? NAN : INFINITY; /* the latter: it diverged there */
	take(f, 400, 20);
	assert_int_equal(count(f, 4, &events), 102); /* 900000008 ... 900000412 */
	assert_int_equal(events, 1);
}

static void test_none_without_the_parameter(void **state)
{
	size_t events;
	autofree struct fixture *f = xcalloc(1, sizeof(*f));
	open_fixture(f, 0);
	take(f, 0, STEPS);
	assert_int_equal(count(f, 1, &events), 0);
	assert_int_equal(events, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_event_holds_what_its_line_has_room_for),
		cmocka_unit_test(test_in_pieces_and_steps_that_were_not_made),
		cmocka_unit_test(test_none_without_the_parameter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
