/* Which moves between a job's states exist: the diagram at the head of common/jobstate.h, as a table. */
#include "cmocka_all.h"

#include "common/jobstate.h"

/* One letter a state in the order of the enum: queued, running, paused, done, failed, cancelled, pruned. */
static const char letters[] = "qrpdfcx";
static const char *const allowed[N_JOB_STATES] = {
	[JOB_QUEUED] = "rpc",
	[JOB_RUNNING] = "qpdfcx",
	[JOB_PAUSED] = "qc",
	[JOB_DONE] = "",
	[JOB_FAILED] = "q",
	[JOB_CANCELLED] = "q",
	[JOB_PRUNED] = "",
};

static void test_moves(void **state)
{
	assert_int_equal(strlen(letters), N_JOB_STATES);
	for (int from = 0; from < N_JOB_STATES; from++)
		for (int to = 0; to < N_JOB_STATES; to++)
			if (job_may_move((enum job_state)from, (enum job_state)to) != !!strchr(allowed[from], letters[to]))
				fail_msg("%s to %s", job_state_names[from], job_state_names[to]);
}

static void test_names(void **state)
{
	for (int i = 0; i < N_JOB_STATES; i++)
		assert_int_equal(job_state_parse(job_state_names[i]), i);
	assert_int_equal(job_state_parse("Queued"), -EINVAL);
	assert_int_equal(job_state_parse(""), -EINVAL);
}

static void test_final_states_are_those_that_nothing_leaves_by_itself(void **state)
{
	for (int i = 0; i < N_JOB_STATES; i++)
		assert_int_equal(job_is_final((enum job_state)i), i != JOB_QUEUED && i != JOB_RUNNING && i != JOB_PAUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_final_states_are_those_that_nothing_leaves_by_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
