/* tune_check DEVICES: which plan a convolution gets, for a described H200 and with a clock that says what the test wants.
 * Needs cuDNN, no GPU.  77: cuDNN is not installed. */
#include "tests/unit/cmocka_all.h"

#include "common/fs.h"
#include "worker/cuda/conv_tune.h"

#define EXIT_SKIP 77
#define KIND	  "NVIDIA H200, sm_90, 132 SMs"

static const char *devices;
static const struct cudnn *cudnn;

static const struct conv_shape shape = {.pass = CONV_WGRAD, .cell = CELL_BF16, .n = 16, .c = 64, .h = 32, .w = 32, .k = 64,
					.kernel = 3, .stride = 1, .pad = 1};
static const struct conv_limits limits = {CONV_WORKSPACE_BYTES, true, true};

struct place { /* one convolution on one device, and where its choice is kept */
	struct conv_target *target;
	struct conv_op *op;
	char *dir;
	struct conv_cache *cache;
};

static struct conv_target *make_target(const char *device)
{
	autofree char *path = xasprintf("%s/%s.json", devices, device), *json = NULL;
	struct conv_target *target;
	struct err err;
	assert_int_equal(fs_read_file(path, 65536, &json, NULL, &err), 0);
	assert_int_equal(conv_target_new_described(&target, cudnn, json, device, &err), 0);
	return target;
}

static void place_init(struct place *p, const char *device, const struct conv_shape *of)
{
	struct err err;
	p->target = make_target(device);
	assert_int_equal(conv_op_new(&p->op, p->target, of, &err), 0);
	p->dir = temp_dir();
	p->cache = conv_cache_open(p->dir, KIND, cudnn->version, &err);
}

static void place_fini(struct place *p)
{
	conv_cache_free(p->cache);
	temp_dir_remove(p->dir);
	conv_op_free(p->op);
	conv_target_free(p->target);
}

/* The clock: one engine (of many knobs) is fast, or an error. */
struct clock {
	int64_t fast_engine;
	int error, asked;
};

static int read_clock(void *arg, const struct conv_plan *plan, int repeats, double *ret_ms, struct err *err)
{
	struct clock *c = arg;
	c->asked++;
	*ret_ms = plan->choice.engine == c->fast_engine ? 0.125 : 1;
	return c->error ? err_set(err, c->error, "the clock stands") : 0;
}

static struct conv_tuner tuner_of(struct place *p, struct clock *c)
{
	return (struct conv_tuner){.cache = p->cache, .limits = limits, .time = c ? read_clock : NULL, .arg = c};
}

static bool same(const struct conv_choice *a, const struct conv_choice *b)
{
	return a->engine == b->engine && a->n_knobs == b->n_knobs &&
	       memcmp(a->knobs, b->knobs, sizeof(a->knobs[0]) * (size_t)a->n_knobs) == 0 && a->workspace == b->workspace;
}

/* An engine that is not the heuristics' first choice. */
static int64_t another_engine(const struct conv_op *op)
{
	struct conv_plan *plans[CONV_CANDIDATES];
	struct err err;
	int64_t other = -1;
	int n = conv_plans_find(op, &limits, CONV_CANDIDATES, plans, &err);
	assert_in_range(n, 8, CONV_CANDIDATES);
	for (int i = 0; i < n; i++) {
		assert_true(plans[i]->deterministic);
		assert_true(plans[i]->choice.workspace <= (int64_t)limits.workspace_bytes);
		for (int j = 0; j < i; j++) /* none twice */
			assert_false(same(&plans[i]->choice, &plans[j]->choice));
		if (other < 0 && plans[i]->choice.engine != plans[0]->choice.engine)
			other = plans[i]->choice.engine;
	}
	conv_plans_free(plans, n);
	assert_true(other >= 0);
	return other;
}

static void test_the_fastest_is_taken_and_remembered(void **state)
{
	struct place p;
	struct conv_plan *plan, *again;
	struct err err;
	place_init(&p, "h200", &shape);
	struct clock c = {.fast_engine = another_engine(p.op)}, stopped = {.error = -EIO};
	struct conv_tuner tuner = tuner_of(&p, &c);
	assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), 0);
	assert_int_equal(plan->choice.engine, c.fast_engine);
	assert_true(plan->choice.ms == 0.125);
	assert_int_equal(conv_cache_save(p.cache, &err), 0);
	conv_cache_free(p.cache);
	p.cache = conv_cache_open(p.dir, KIND, cudnn->version, &err); /* the next run */
	tuner = tuner_of(&p, &stopped);
	assert_int_equal(conv_tune(&again, &tuner, p.op, &err), 0);
	assert_true(same(&plan->choice, &again->choice));
	assert_true(again->choice.ms == 0.125);
	assert_int_equal(stopped.asked, 0);
	conv_plan_free(again);
	conv_plan_free(plan);
	place_fini(&p);
}

static void test_without_timing_always_the_first(void **state)
{
	struct place p;
	struct conv_plan *plan, *first;
	struct err err;
	place_init(&p, "h200", &shape);
	struct conv_tuner tuner = tuner_of(&p, NULL);
	assert_int_equal(conv_plans_find(p.op, &limits, 1, &first, &err), 1);
	assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), 0);
	assert_true(same(&plan->choice, &first->choice));
	assert_true(plan->choice.ms == 0);
	conv_plan_free(first);
	conv_plan_free(plan);
	place_fini(&p);
}

/* What the cache says about this convolution, under the key that tuning uses. */
static void remember(struct place *p, const struct conv_choice *choice)
{
	conv_cache_put(p->cache, &shape, "deterministic workspace67108864", choice);
}

static void test_a_choice_that_is_no_more_is_made_anew(void **state)
{
	static const struct conv_choice stale[] = {
		{.engine = 999999},
		{.engine = 65, .n_knobs = 1, .knobs = {{999, 5}}},
		{.engine = 65, .n_knobs = 1, .knobs = {{12, INT64_MAX}}},
	};
	for (size_t i = 0; i < ARRAY_LEN(stale); i++) {
		struct place p;
		struct conv_plan *plan;
		struct conv_choice got;
		struct err err;
		place_init(&p, "h200", &shape);
		struct clock c = {.fast_engine = another_engine(p.op)};
		struct conv_tuner tuner = tuner_of(&p, &c);
		remember(&p, &stale[i]);
		assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), 0);
		assert_true(c.asked > 0);
		assert_true(conv_cache_find(p.cache, &shape, "deterministic workspace67108864", &got));
		assert_true(same(&got, &plan->choice));
		conv_plan_free(plan);
		place_fini(&p);
	}
}

static void test_a_choice_beyond_the_limits_is_made_anew(void **state)
{
	const struct conv_limits wide = {4ul << 30, false, true};
	struct conv_plan *plans[64], *plan;
	struct place p;
	struct err err;
	int asked = 0;
	place_init(&p, "t4", &(struct conv_shape){.pass = CONV_WGRAD, .cell = CELL_F32, .n = 16, .c = 64, .h = 32, .w = 32,
						  .k = 64, .kernel = 3, .stride = 1, .pad = 1});
	int n = conv_plans_find(p.op, &wide, 64, plans, &err);
	for (int i = 0; i < n; i++) {
		struct clock c = {.fast_engine = -1};
		struct conv_tuner tuner = tuner_of(&p, &c);
		if (plans[i]->deterministic && plans[i]->choice.workspace <= (int64_t)limits.workspace_bytes)
			continue;
		conv_cache_put(p.cache, conv_op_shape(p.op), "deterministic workspace67108864", &plans[i]->choice);
		assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), 0);
		assert_true(plan->deterministic && plan->choice.workspace <= (int64_t)limits.workspace_bytes);
		asked += c.asked > 0;
		conv_plan_free(plan);
	}
	assert_true(asked > 0); /* a T4's fp32 engines are not all deterministic */
	conv_plans_free(plans, n);
	place_fini(&p);
}

static void test_strict_fp32(void **state)
{
	struct conv_shape f32 = shape;
	struct conv_limits strict = {CONV_WORKSPACE_BYTES, true, false};
	struct conv_plan *plans[CONV_CANDIDATES];
	struct place p;
	struct err err;
	f32.cell = CELL_F32;
	place_init(&p, "h200", &f32);
	int n = conv_plans_find(p.op, &strict, CONV_CANDIDATES, plans, &err);
	assert_true(n > 0);
	for (int i = 0; i < n; i++)
		assert_false(plans[i]->tensor_cores);
	conv_plans_free(plans, n);
	assert_int_equal(conv_plans_find(p.op, &limits, 1, plans, &err), 1);
	assert_true(plans[0]->tensor_cores); /* TF32 */
	conv_plans_free(plans, 1);
	place_fini(&p);
}

static void test_errors_of_the_device_name_the_convolution(void **state)
{
	struct place p;
	struct conv_plan *plan;
	struct err err;
	place_init(&p, "h200", &shape);
	struct clock c = {.error = -ENODEV};
	struct conv_tuner tuner = tuner_of(&p, &c);
	assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), -ENODEV);
	assert_string_equal(err.text, "wgrad bf16 n16 c64 32x32 k64 3x3 stride1 pad1: the clock stands");
	place_fini(&p);
}

static void test_no_plan_is_said_with_its_reason(void **state)
{
	struct place p;
	struct conv_plan *plan;
	struct err err;
	place_init(&p, "t4", &shape); /* which has no bf16 */
	struct conv_tuner tuner = tuner_of(&p, NULL);
	assert_int_equal(conv_tune(&plan, &tuner, p.op, &err), -ENOTSUP);
	const char *expected = "cuDNN has no plan for wgrad bf16 n16 c64 32x32 k64 3x3 stride1 pad1 on t4 (last: ";
	if (strncmp(err.text, expected, strlen(expected)) != 0)
		fail_msg("%s", err.text);
	place_fini(&p);
}

static void test_bad_descriptions(void **state)
{
	struct conv_target *target = NULL;
	struct conv_op *op;
	struct err err;
	assert_true(conv_target_new_described(&target, cudnn, "{\"deviceName\": \"NVIDIA H200\"}", "half.json", &err) < 0);
	assert_non_null(strstr(err.text, "the device description half.json: "));
	target = make_target("h200");
	struct conv_shape empty = shape;
	empty.n = 0;
	assert_true(conv_op_new(&op, target, &empty, &err) < 0);
	assert_non_null(strstr(err.text, "wgrad bf16 n0 c64"));
	conv_target_free(target);
}

static void test_a_target_tells_what_it_is(void **state)
{
	struct conv_target *target = make_target("a100"), *copy;
	autofree char *json = NULL;
	struct err err;
	assert_int_equal(conv_target_describe(target, &json, &err), 0);
	assert_non_null(strstr(json, "NVIDIA A100-SXM4-80GB"));
	assert_int_equal(conv_target_new_described(&copy, cudnn, json, "copy", &err), 0);
	conv_target_free(copy);
	conv_target_free(target);
}

static void test_a_call_is_made_once(void **state)
{
	static _Alignas(256) char memory[4][256]; /* never touched: only its addresses are written down */
	struct place p;
	struct conv_plan *plan;
	struct conv_call *call;
	struct err err;
	place_init(&p, "h200", &shape);
	assert_int_equal(conv_plans_find(p.op, &limits, 1, &plan, &err), 1);
	assert_int_equal(conv_call_new(&call, plan, memory[0], memory[1], memory[2], memory[3], &err), 0);
	assert_true(conv_call_run(call, NULL, &err) < 0); /* no device, no handle */
	assert_non_null(strstr(err.text, "wgrad bf16 n16"));
	conv_call_free(call);
	conv_plan_free(plan);
	place_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_fastest_is_taken_and_remembered),
		cmocka_unit_test(test_without_timing_always_the_first),
		cmocka_unit_test(test_a_choice_that_is_no_more_is_made_anew),
		cmocka_unit_test(test_a_choice_beyond_the_limits_is_made_anew),
		cmocka_unit_test(test_strict_fp32),
		cmocka_unit_test(test_errors_of_the_device_name_the_convolution),
		cmocka_unit_test(test_no_plan_is_said_with_its_reason),
		cmocka_unit_test(test_bad_descriptions),
		cmocka_unit_test(test_a_target_tells_what_it_is),
		cmocka_unit_test(test_a_call_is_made_once),
	};
	struct err err;
	int r = cudnn_open(&cudnn, &err);
	if (r == -ENOENT) {
		printf("not run: %s\n", err.text);
		return EXIT_SKIP;
	}
	if (r < 0 || argc < 2) {
		printf("not ok: %s\n", r < 0 ? err.text : "the directory of devices is missing");
		return 1;
	}
	devices = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
