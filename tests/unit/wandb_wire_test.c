/* What sweep-forward sends and how it heeds answers: retry.h, bucket.h, filestream.h, graphql.h. */
#include "cmocka_all.h"

#include "common/json.h"
#include "forward/bucket.h"
#include "forward/filestream.h"
#include "forward/graphql.h"
#include "forward/retry.h"

#include <math.h>

/* --- retry --- */

#define GRAPHQL RETRY_GRAPHQL
#define STREAM	RETRY_STREAM
#define UPLOAD	RETRY_UPLOAD

static void test_verdicts(void **state)
{
	static const struct {
		int status;
		enum retry_verdict graphql, stream, upload;
	} cases[] = {
		{200, RETRY_DONE, RETRY_DONE, RETRY_DONE},
		{201, RETRY_DONE, RETRY_DONE, RETRY_DONE},
		{400, RETRY_REFUSED, RETRY_REFUSED, RETRY_REFUSED},
		{401, RETRY_PERSON, RETRY_PERSON, RETRY_REFUSED},
		{403, RETRY_PERSON, RETRY_PERSON, RETRY_REFUSED},
		{404, RETRY_PERSON, RETRY_REFUSED, RETRY_REFUSED},
		{408, RETRY_AGAIN, RETRY_AGAIN, RETRY_AGAIN},
		{409, RETRY_AGAIN, RETRY_REFUSED, RETRY_REFUSED},
		{410, RETRY_REFUSED, RETRY_REFUSED, RETRY_REFUSED},
		{413, RETRY_REFUSED, RETRY_REFUSED, RETRY_REFUSED},
		{422, RETRY_REFUSED, RETRY_REFUSED, RETRY_REFUSED},
		{429, RETRY_AGAIN, RETRY_AGAIN, RETRY_AGAIN},
		{500, RETRY_AGAIN, RETRY_AGAIN, RETRY_AGAIN},
		{501, RETRY_REFUSED, RETRY_REFUSED, RETRY_REFUSED},
		{502, RETRY_AGAIN, RETRY_AGAIN, RETRY_AGAIN},
		{503, RETRY_AGAIN, RETRY_AGAIN, RETRY_AGAIN},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct http_response r = {.failure = HTTP_ANSWERED, .status = cases[i].status};
		assert_int_equal(retry_judge(GRAPHQL, &r, false, false), cases[i].graphql);
		assert_int_equal(retry_judge(STREAM, &r, false, false), cases[i].stream);
		assert_int_equal(retry_judge(UPLOAD, &r, false, false), cases[i].upload);
	}
	const struct http_response well = {.failure = HTTP_ANSWERED, .status = 200};
	assert_int_equal(retry_judge(GRAPHQL, &well, true, false), RETRY_AGAIN);
	assert_int_equal(retry_judge(GRAPHQL, &well, true, true), RETRY_PERSON);
	assert_int_equal(retry_judge(STREAM, &(struct http_response){.failure = HTTP_UNREACHED}, false, false), RETRY_AGAIN);
	assert_int_equal(retry_judge(STREAM, &(struct http_response){.failure = HTTP_BROKEN}, false, false), RETRY_AGAIN);
	assert_int_equal(retry_judge(STREAM, &(struct http_response){.failure = HTTP_UNTRUSTED}, false, false), RETRY_PERSON);
	assert_int_equal(retry_judge(STREAM, &(struct http_response){.failure = HTTP_UNUSABLE}, false, false), RETRY_REFUSED);
}

static void expect_near(double a, double b)
{
	if (fabs(a - b) > 1e-9)
		fail_msg("%.12g, expected %.12g", a, b);
}

static void test_waits(void **state)
{
	expect_near(retry_wait_s(1, 2, NAN, 0), 2);
	expect_near(retry_wait_s(2, 2, NAN, 0.5), 4.5);
	expect_near(retry_wait_s(3, 2, NAN, 0), 8);
	expect_near(retry_wait_s(6, 2, NAN, 0), 60);
	expect_near(retry_wait_s(1000000, 2, NAN, 0.9), 60);
	expect_near(retry_wait_s(3, 2, 0.25, 0.9), 0.25);
	expect_near(retry_wait_s(1, 2, 3600, 0), 3600);
}

/* --- bucket --- */

static void test_bucket(void **state)
{
	struct bucket b;
	bucket_init(&b, 2, 3, 100);
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&b, 100));
	assert_false(bucket_take(&b, 100));
	expect_near(bucket_ready_s(&b, 100), 100.5);
	assert_false(bucket_take(&b, 100.4));
	assert_true(bucket_take(&b, 100.5));
	assert_true(bucket_take(&b, 200)); /* a long pause fills it, to the burst and no further */
	assert_true(bucket_take(&b, 200));
	assert_true(bucket_take(&b, 200));
	assert_false(bucket_take(&b, 200));
	assert_false(bucket_take(&b, 50)); /* a clock that goes back gives nothing */
}

static void test_bucket_heeds_the_server(void **state)
{
	struct bucket b;
	bucket_init(&b, 8, 8, 0);
	bucket_refused(&b);
	expect_near(b.rate, 4);
	for (int i = 0; i < 100; i++)
		bucket_refused(&b);
	expect_near(b.rate, BUCKET_RATE_MIN);
	for (int i = 0; i < 1000; i++)
		bucket_accepted(&b);
	expect_near(b.rate, 8);
	bucket_limited(&b, 30, 10, 0);
	expect_near(b.rate, 3);
	bucket_limited(&b, NAN, 10, 0);
	expect_near(b.rate, 3);
	bucket_limited(&b, 100000, 1, 0); /* never above what was configured */
	expect_near(b.rate, 8);
	bucket_init(&b, 8, 8, 0);
	bucket_limited(&b, 0, 5, 10);
	assert_false(bucket_take(&b, 14.9));
	expect_near(bucket_ready_s(&b, 11), 15);
	assert_true(bucket_take(&b, 15));
	bucket_silence(&b, 2, 15);
	bucket_silence(&b, 1, 15);
	assert_false(bucket_take(&b, 16.9));
	assert_true(bucket_take(&b, 17));
}

/* --- bodies --- */

static void expect_body(struct stream_chunk *chunk, const char *expected)
{
	autofree char *body = stream_body(chunk);
	assert_string_equal(body, expected);
	autojson json_t *o = json_parse(body, strlen(body), NULL);
	assert_true(json_is_object(o));
	stream_fini(chunk);
}

static void test_bodies(void **state)
{
	struct stream_chunk chunk = {0};
	assert_true(stream_is_empty(&chunk));
	expect_body(&chunk, "{}");
	chunk.history.offset = 7;
	stream_add(&chunk, &chunk.history, xstrdup("{\"a\":NaN}"));
	stream_add(&chunk, &chunk.history, xstrdup("{\"b\":\"\xc3\xa9\"}"));
	stream_add(&chunk, &chunk.output, xstrdup("bad \xff"));
	stream_set_summary(&chunk, xstrdup("{}"));
	assert_int_equal(chunk.bytes, 9 + 10 + 5);
	assert_false(stream_is_empty(&chunk));
	expect_body(&chunk, "{\"files\":{\"wandb-history.jsonl\":{\"offset\":7,\"content\":[\"{\\\"a\\\":NaN}\",\"{\\\"b\\\":\\\"\xc3\xa9\\\"}\"]},"
			    "\"wandb-summary.json\":{\"offset\":0,\"content\":[\"{}\"]},"
			    "\"output.log\":{\"offset\":0,\"content\":[\"?\"]}}}");
	chunk.preempting = true;
	expect_body(&chunk, "{\"preempting\":true}");
	stream_add_uploaded(&chunk, "config.yaml");
	chunk.complete = true;
	chunk.exit_code = 255;
	expect_body(&chunk, "{\"uploaded\":[\"config.yaml\"],\"complete\":true,\"exitcode\":255}");
}

static void test_urls(void **state)
{
	autofree char *url = stream_url("https://api.wandb.ai", "me", "gr\xc3\xb6\xc3\x9f" "e/x y", "r-1_.~");
	assert_string_equal(url, "https://api.wandb.ai/files/me/gr%C3%B6%C3%9F" "e%2Fx%20y/r-1_.~/file_stream");
}

static bool says_stopped(const char *text)
{
	return stream_says_stopped(text, strlen(text));
}

static void test_stopped(void **state)
{
	assert_true(says_stopped("{\"stopped\":true,\"limits\":{}}"));
	assert_false(says_stopped("{\"stopped\":false}"));
	assert_false(says_stopped("{\"limits\":{}}"));
	assert_false(says_stopped("{\"stopped\":tr"));
	assert_false(says_stopped(""));
}

/* --- GraphQL --- */

static void expect_answer(const char *text, bool errors, bool permission, const char *message)
{
	struct graphql_answer a;
	graphql_read(&a, text, strlen(text));
	assert_int_equal(a.errors, errors);
	assert_int_equal(a.permission, permission);
	if (message)
		assert_string_equal(a.message, message);
	else
		assert_null(a.message);
	graphql_fini(&a);
}

static void test_answers(void **state)
{
	expect_answer("{\"data\":{\"viewer\":null}}", false, false, NULL);
	expect_answer("{\"errors\":[{\"message\":\"no\",\"extensions\":{\"code\":\"PERMISSION_ERROR\"}}]}", true, true, "no");
	expect_answer("{\"error\":\"rate limit exceeded\"}", true, false, "rate limit exceeded");
	expect_answer("{\"error\":\"permission denied\"}", true, true, "permission denied");
	expect_answer("{\"data\":null}", true, false, NULL);
	expect_answer("{\"data\":{\"ups", true, false, NULL);
	expect_answer("[]", true, false, NULL);
	expect_answer("<html>", true, false, NULL);
}

static void test_paths(void **state)
{
	struct graphql_answer a;
	const char *text = "{\"data\":{\"upsertSweep\":{\"sweep\":{\"name\":\"ab12\"}}}}";
	graphql_read(&a, text, strlen(text));
	assert_string_equal(graphql_text(&a, GRAPHQL_PATH("upsertSweep", "sweep", "name")), "ab12");
	assert_null(graphql_text(&a, GRAPHQL_PATH("upsertSweep", "other", "name")));
	assert_null(graphql_text(&a, GRAPHQL_PATH("upsertSweep")));
	graphql_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts), cmocka_unit_test(test_waits),
		cmocka_unit_test(test_bucket),	 cmocka_unit_test(test_bucket_heeds_the_server),
		cmocka_unit_test(test_bodies),	 cmocka_unit_test(test_urls),
		cmocka_unit_test(test_stopped),	 cmocka_unit_test(test_answers),
		cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
