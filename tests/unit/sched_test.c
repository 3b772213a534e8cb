/* Who runs next and what is tried again, by tables. */
#include "cmocka_all.h"

#include "daemon/sched.h"

#define MAX_SLOTS 4

static const char *const devices[MAX_SLOTS] = {"a", "b", "c", "c"};

static const struct {
	const char *what;
	struct sched_job jobs[4];
	size_t n_jobs;
	bool free[MAX_SLOTS];
	size_t n_slots;
	int64_t now_ms;
	int64_t expected[MAX_SLOTS]; /* the job of each slot; 0: none */
	bool busy[MAX_SLOTS];	     /* not free, but well */
} picks[] = {
	{"nothing to do", {{0}}, 0, {true, true}, 2, 0, {0, 0}},
	{"no slot", {{1, 0, 0}}, 1, {false}, 1, 0, {0}},
	{"the lowest id first", {{3, 0, 0}, {1, 0, 0}, {2, 0, 0}}, 3, {true, true}, 2, 0, {1, 2}},
	{"the highest priority first", {{1, -5, 0}, {2, 0, 0}, {3, 7, 0}}, 3, {true, true, true}, 3, 0, {3, 2, 1}},
	{"more slots than jobs", {{1, 0, 0}}, 1, {true, true}, 2, 0, {1, 0}},
	{"busy slots are left out", {{1, 0, 0}, {2, 0, 0}}, 2, {false, true, false, true}, 4, 0, {0, 1, 0, 2}},
	{"its time has not come", {{1, 9, 11}, {2, 0, 10}}, 2, {true, true}, 2, 10, {2, 0}},
	{"the clock was set back a day: no back-off is so long", {{1, 0, 86400000}, {2, 0, 5}}, 2, {true}, 1, 10, {1}},
	{"nor by a minute", {{1, 0, 60010}, {2, 0, 5}}, 2, {true}, 1, 10, {2}},
	{"a job keeps off the device that failed it", {{1, 0, 0, ",a,"}, {2, 0, 0}}, 2, {true, true}, 2, 0, {2, 1}},
	{"even if it has to wait for another", {{1, 0, 0, ",a,"}, {2, 0, 0}}, 2, {true, false}, 2, 0, {2, 0}, {false, true}},
	{"but not where there is no other", {{1, 0, 0, ",a,"}}, 1, {true, false}, 2, 0, {1, 0}},
	{"nor where the other is no other", {{1, 0, 0, ",aa,c,"}}, 1, {false, false, true, true}, 4, 0, {0, 0, 1, 0}},
	{"nor a device of a like name", {{1, 0, 0, ",aa,ba,"}}, 1, {true, true}, 2, 0, {1, 0}},
	{"several", {{1, 0, 0, ",a,b,"}}, 1, {true, true, true}, 3, 0, {0, 0, 1}},
	{"same priority, other order of time", {{2, 1, 5}, {1, 1, 6}}, 2, {true, true}, 2, 6, {1, 2}},
};

static void test_pick(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(picks); i++) {
		int64_t got[MAX_SLOTS] = {0};
		struct sched_choice out[MAX_SLOTS];
		struct sched_slot slots[MAX_SLOTS];
		for (size_t k = 0; k < picks[i].n_slots; k++)
			slots[k] = (struct sched_slot){picks[i].free[k], picks[i].free[k] || picks[i].busy[k], devices[k]};
		size_t n = sched_pick(picks[i].jobs, picks[i].n_jobs, slots, picks[i].n_slots, picks[i].now_ms, out);
		for (size_t k = 0; k < n; k++) {
			assert_true(picks[i].free[out[k].slot]);
			assert_int_equal(got[out[k].slot], 0);
			got[out[k].slot] = picks[i].jobs[out[k].job].id;
		}
		for (size_t k = 0; k < picks[i].n_slots; k++)
			if (got[k] != picks[i].expected[k])
				fail_msg("%s: slot %zu got job %lld", picks[i].what, k, (long long)got[k]);
	}
}

static const struct {
	int fail_class, used, limit;
	bool again;
	int64_t delay_ms;
} retries[] = {
	{FAIL_CONFIG, 0, 9, false, 0},
	{FAIL_DATA, 0, 9, false, 0},
	{FAIL_DIVERGED, 0, 9, false, 0},
	{FAIL_OOM, 0, 2, true, 1000},
	{FAIL_DEVICE, 1, 0, true, 5000}, /* costs no retry */
	{FAIL_DEVICE, 8, 0, true, 600000},
	{FAIL_DEVICE, 9, 99, false, 0},
	{FAIL_HANG, 0, 1, true, 1000},
	{FAIL_TIME_LIMIT, 0, 9, false, 0},
	{FAIL_INTERNAL, 2, 3, true, 25000},
	{FAIL_LOST, 3, 9, true, 125000},
	{FAIL_LOST, 4, 9, true, 600000},
	{FAIL_LOST, 1000, 1001, true, 600000},
	{FAIL_LOST, 2, 2, false, 0},
	{FAIL_OOM, 0, 0, false, 0},
	{FAIL_OOM, 5, 2, false, 0},
};

static void test_retry(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(retries); i++) {
		struct sched_retry r = sched_retry(retries[i].fail_class, retries[i].used, retries[i].limit, 1000);
		if (r.again != retries[i].again || r.delay_ms != retries[i].delay_ms)
			fail_msg("row %zu: again %d in %lld ms", i, r.again, (long long)r.delay_ms);
	}
}

static void test_a_retry_without_delay(void **state)
{
	struct sched_retry r = sched_retry(FAIL_LOST, 3, 9, 0);
	assert_true(r.again);
	assert_int_equal(r.delay_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_a_retry_without_delay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
