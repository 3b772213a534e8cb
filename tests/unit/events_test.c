/* The event file: numbered, whole lines, readable from any acknowledged point, closed after a terminal event. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/protocol.h"
#include "worker/events.h"

#include <signal.h>
#include <sys/resource.h>

static struct event_log *log_in(const char *dir)
{
	struct err err;
	struct event_log *log;
	assert_int_equal(event_log_new(&log, dir, 7, NULL, NULL, &err), 0);
	return log;
}

static void emit(struct event_log *log, const char *type, int value)
{
	struct err err;
	assert_int_equal(event_emit(log, type, json_pack("{s:i}", "value", value), &err), 0);
}

static char *file_text(const char *dir)
{
	struct err err;
	char *text;
	autofree char *path = xasprintf("%s/events.7.jsonl", dir);
	assert_int_equal(fs_read_file(path, 1 << 20, &text, NULL, &err), 0);
	return text;
}

static void test_lines_are_numbered(void **state)
{
	char *dir = temp_dir();
	struct event_log *log = log_in(dir);
	emit(log, "started", 1);
	emit(log, "epoch", 2);
	autofree char *text = file_text(dir);
	char *end = strchr(text, '\n');
	autojson json_t *first = json_parse(text, (size_t)(end - text), NULL);
	assert_int_equal(json_int_or(first, "seq", 0), 1);
	assert_int_equal(json_int_or(first, "attempt", 0), 7);
	assert_string_equal(json_str_or(first, "type", ""), "started");
	autojson json_t *second = json_parse(end + 1, strlen(end + 1) - 1, NULL);
	assert_int_equal(json_int_or(second, "seq", 0), 2);
	assert_int_equal(event_log_last_seq(log), 2);
	event_log_free(log);
	temp_dir_remove(dir);
}

static void test_nothing_follows_a_terminal_event(void **state)
{
	static const char *const terminal[] = {"done", "failed", "cancelled", "released"};
	for (size_t i = 0; i < ARRAY_LEN(terminal); i++) {
		char *dir = temp_dir();
		struct event_log *log = log_in(dir);
		assert_false(event_log_ended(log));
		emit(log, terminal[i], 1);
		assert_true(event_log_ended(log));
		emit(log, "epoch", 2);
		assert_int_equal(event_log_last_seq(log), 1);
		event_log_free(log);
		temp_dir_remove(dir);
	}
}

static void test_fenced_log_writes_nothing(void **state)
{
	char *dir = temp_dir();
	struct event_log *log = log_in(dir);
	emit(log, "started", 1);
	event_log_fence(log);
	emit(log, "done", 2);
	autofree char *text = file_text(dir);
	assert_null(strstr(text, "done"));
	event_log_free(log);
	temp_dir_remove(dir);
}

static void test_seek_and_read_from_every_acknowledged_point(void **state)
{
	enum { N = 700 }; /* more than one read buffer */
	char *dir = temp_dir();
	autofree char *buf = xmalloc(WORKER_LINE_MAX + 1);
	struct event_log *log = log_in(dir);
	for (int i = 1; i <= N; i++)
		emit(log, "metric_with_a_name_long_enough_to_need_several_reads_of_the_buffer_________________________", i);
	for (uint64_t seq = 0; seq < N; seq += 99) {
		ssize_t n = event_log_read(log, event_log_seek(log, seq), buf, WORKER_LINE_MAX);
		assert_true(n > 0 && buf[n - 1] == '\n');
		autojson json_t *line = json_parse(buf, (size_t)((char *)memchr(buf, '\n', (size_t)n) - buf), NULL);
		assert_int_equal(json_int_or(line, "seq", 0), seq + 1);
	}
	assert_int_equal(event_log_read(log, event_log_seek(log, N), buf, WORKER_LINE_MAX), 0);
	assert_int_equal(event_log_read(log, event_log_seek(log, N + 5), buf, WORKER_LINE_MAX), 0);
	event_log_free(log);
	temp_dir_remove(dir);
}

static void test_an_attempt_has_one_file(void **state)
{
	struct err err;
	struct event_log *log, *other;
	char *dir = temp_dir();
	log = log_in(dir);
	assert_int_equal(event_log_new(&other, dir, 7, NULL, NULL, &err), -EEXIST);
	event_log_free(log);
	temp_dir_remove(dir);
}

/* A write cut short by the file size limit, as by a full disk: the half line is taken back. */
static void test_failed_append_leaves_whole_lines(void **state)
{
	struct err err;
	char *dir = temp_dir();
	struct event_log *log = log_in(dir);
	struct rlimit old, tight;
	emit(log, "started", 1);
	autofree char *before = file_text(dir);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = old;
	tight.rlim_cur = strlen(before) + 10;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &tight);
	int r = event_emit(log, "epoch", json_pack("{s:i}", "value", 2), &err);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.text, "events.7.jsonl"));
	autofree char *after = file_text(dir);
	assert_string_equal(after, before);
	emit(log, "epoch", 3);
	assert_int_equal(event_log_last_seq(log), 2);
	event_log_free(log);
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_numbered),
		cmocka_unit_test(test_nothing_follows_a_terminal_event),
		cmocka_unit_test(test_fenced_log_writes_nothing),
		cmocka_unit_test(test_seek_and_read_from_every_acknowledged_point),
		cmocka_unit_test(test_an_attempt_has_one_file),
		cmocka_unit_test(test_failed_append_leaves_whole_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
