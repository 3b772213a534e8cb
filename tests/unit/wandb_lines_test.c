#include "cmocka_all.h"

#include "common/json.h"
#include "forward/lines.h"

#include <math.h>

static const struct line_job job = {.started_ms = 1000, .epochs = 7, .log_every = 3, .metric = "test_accuracy", .maximize = true};

static json_t *detail_of(const char *text)
{
	struct err err;
	json_t *detail = json_parse(text, strlen(text), &err);
	if (!detail)
		fail_msg("%s", err.text);
	return detail;
}

static void expect_line(struct line *l, const char *expected)
{
	autofree char *text = line_text(l);
	assert_string_equal(text, expected);
	line_fini(l);
}

static void test_epoch(void **state)
{
	struct line l;
	autojson json_t *detail = detail_of("{\"epoch\":2,\"lr\":0.1,\"train_loss\":\"nan\",\"test_loss\":\"-inf\",\"note\":\"\xc3\xa9\\n\","
					    "\"_step\":9,\"list\":[1],\"on\":true}");
	assert_true(line_of_epoch(&l, &job, 3500, detail));
	expect_line(&l, "{\"epoch\":2,\"lr\":0.1,\"train_loss\":NaN,\"test_loss\":-Infinity,\"note\":\"\xc3\xa9\\n\",\"on\":true,"
			"\"_step\":2,\"_runtime\":2.5,\"_timestamp\":3.5}");
	assert_true(line_of_epoch(&l, &job, 500, detail)); /* the clock was set back */
	assert_non_null(strstr(l.items[l.n - 2].value, "0"));
	assert_string_equal(l.items[l.n - 2].value, "0");
	line_fini(&l);
	autojson json_t *none = detail_of("{\"loss\":1}");
	assert_false(line_of_epoch(&l, &job, 1, none));
}

static void test_due(void **state)
{
	static const bool expected[] = {false, false, true, false, false, true, true};
	for (int64_t epoch = 1; epoch <= 7; epoch++)
		assert_int_equal(line_epoch_is_due(&job, epoch), expected[epoch - 1]);
	assert_true(line_epoch_is_due(&(struct line_job){.log_every = 1}, 5));
}

static void test_metric(void **state)
{
	struct line l;
	autojson json_t *detail = detail_of("{\"epoch\":2}");
	assert_true(line_of_epoch(&l, &job, 2000, detail));
	line_add_metric(&l, "val/f1", INFINITY);
	line_add_metric(&l, "_step", 3);
	line_add_metric(&l, "epoch", 4);
	expect_line(&l, "{\"epoch\":2,\"_step\":2,\"_runtime\":1,\"_timestamp\":2,\"val/f1\":Infinity,\"metric/_step\":3,"
			"\"metric/epoch\":4}");
}

static void test_telemetry(void **state)
{
	struct line l;
	autojson json_t *gpu = detail_of("{\"values\":{\"cpu_percent\":99.5,\"ram_mib\":300,\"gpu_percent\":90,\"vram_mib\":2,"
					 "\"watts\":150.5,\"temperature_c\":70,\"odd\":1}}");
	assert_true(line_of_telemetry(&l, &job, 2000, gpu));
	expect_line(&l, "{\"_wandb\":true,\"system.cpu\":99.5,\"system.proc.memory.rssMB\":300,\"system.gpu.0.gpu\":90,"
			"\"system.gpu.0.memoryAllocatedBytes\":2097152,\"system.gpu.0.powerWatts\":150.5,\"system.gpu.0.temp\":70,"
			"\"system.odd\":1,\"_runtime\":1,\"_timestamp\":2}");
	autojson json_t *cpu = detail_of("{\"values\":{\"watts\":40}}");
	assert_true(line_of_telemetry(&l, &job, 2000, cpu));
	expect_line(&l, "{\"_wandb\":true,\"system.watts\":40,\"_runtime\":1,\"_timestamp\":2}");
	autojson json_t *none = detail_of("{}");
	assert_false(line_of_telemetry(&l, &job, 2000, none));
}

static void test_summary(void **state)
{
	struct line l;
	struct line_best best = {0};
	static const char *const rows[] = {"{\"epoch\":1,\"test_accuracy\":50}", "{\"epoch\":2,\"test_accuracy\":\"nan\"}",
					   "{\"epoch\":3,\"test_accuracy\":60}", "{\"epoch\":4,\"test_accuracy\":60}"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autojson json_t *detail = detail_of(rows[i]);
		line_best_take(&best, &job, detail);
	}
	autojson json_t *last = detail_of(rows[3]);
	assert_true(line_of_summary(&l, &job, 2999, last, &best));
	expect_line(&l, "{\"epoch\":4,\"test_accuracy\":60,\"_step\":4,\"_runtime\":1.999,\"_timestamp\":2.999,"
			"\"best_test_accuracy\":60,\"best_epoch\":3,\"_wandb\":{\"runtime\":1}}");
}

static void test_console(void **state)
{
	autofree char *plain = line_of_console("caf\xc3\xa9 \xff\x1b[31m", strlen("caf\xc3\xa9 \xff\x1b[31m"));
	assert_string_equal(plain, "caf\xc3\xa9 ??[31m");
	autofree char *stamped = line_of_console("2026-11-24 02:18:03 done", strlen("2026-11-24 02:18:03 done"));
	assert_string_equal(stamped, "2026-11-24T02:18:03.000000 done");
	size_t size = LINE_CONSOLE_MAX + 1;
	autofree char *big = xmalloc(size);
	memset(big, 'x', size);
	autofree char *cut = line_of_console(big, size);
	assert_int_equal(strlen(cut), LINE_CONSOLE_MAX);
	assert_string_equal(cut + LINE_CONSOLE_MAX - 4, " ...");
}

static void test_config(void **state)
{
	autojson json_t *config = detail_of("{\"lr\":0.1,\"model\":\"resnet18\"}");
	autojson json_t *wrapped = line_config(config, NULL);
	autofree char *text = json_line(wrapped);
	assert_non_null(strstr(text, "{\"lr\":{\"value\":0.1},\"model\":{\"value\":\"resnet18\"},\"_wandb\":{\"value\":{"));
	assert_non_null(json_object_get(json_object_get(json_object_get(wrapped, "_wandb"), "value"), "t"));
}

static void test_ids(void **state)
{
	char a[WANDB_ID_SIZE], b[WANDB_ID_SIZE];
	struct line_identity sweep = {.hash = "ab", .submission = "u", .sweep = 1, .submitted_ms = 5, .owner = 0};
	line_run_id(a, &sweep, 0);
	line_run_id(b, &sweep, 0);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), WANDB_ID_SIZE - 1);
	line_run_id(b, &sweep, 1);
	assert_string_not_equal(a, b);
	line_run_id(b, &sweep, -1);
	assert_string_not_equal(a, b);
	sweep.submission = "v";
	line_run_id(b, &sweep, 0);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoch),	cmocka_unit_test(test_due),	cmocka_unit_test(test_metric),
		cmocka_unit_test(test_telemetry), cmocka_unit_test(test_summary), cmocka_unit_test(test_console),
		cmocka_unit_test(test_config),	cmocka_unit_test(test_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
