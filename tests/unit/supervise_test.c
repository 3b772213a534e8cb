/* Devices that are set aside, sweeps that are stopped, kills for lack of memory: decisions by tables. */
#include "cmocka_all.h"

#include "daemon/breaker.h"
#include "daemon/health.h"
#include "daemon/oom.h"

#include <math.h>
#include <signal.h>

/* --- devices --- */

static const struct health_limits device_limits = {.faults = 3, .aside_s = 60};

struct deed {
	enum fault fault;
	int64_t job;
	double at_s, until_s; /* set aside until then by it; 0: not */
	enum { BAD, STARTED, WORKED } kind;
};

static const struct {
	const char *what;
	struct deed deeds[10];
} devices[] = {
	{"three faults of several jobs", {{FAULT_DEVICE, 1, 1, 0}, {FAULT_DEVICE, 1, 2, 0}, {FAULT_DEVICE, 2, 3, 63}}},
	{"one job, again and again",
	 {{FAULT_CRASH, 1, 1, 0}, {FAULT_CRASH, 1, 2, 0}, {FAULT_CRASH, 1, 3, 0}, {FAULT_CRASH, 1, 4, 0}}},
	{"one job, then another",
	 {{FAULT_CRASH, 1, 1, 0}, {FAULT_CRASH, 1, 2, 0}, {FAULT_CRASH, 1, 3, 0}, {FAULT_CRASH, 2, 4, 64}}},
	{"something good in between",
	 {{FAULT_DEVICE, 1, 1, 0},
	  {FAULT_CRASH, 2, 2, 0},
	  {.kind = WORKED},
	  {FAULT_DEVICE, 3, 3, 0},
	  {FAULT_DEVICE, 4, 4, 0}}},
	{"workers that do not start concern no job",
	 {{FAULT_SPAWN, 0, 1, 0}, {FAULT_SPAWN, 0, 2, 0}, {FAULT_SPAWN, 0, 3, 63}}},
	{"one that starts is enough then",
	 {{FAULT_SPAWN, 0, 1, 0},
	  {FAULT_SPAWN, 0, 2, 0},
	  {.kind = STARTED},
	  {FAULT_SPAWN, 0, 3, 0},
	  {FAULT_SPAWN, 0, 4, 0}}},
	{"but not when jobs crash",
	 {{FAULT_CRASH, 1, 1, 0}, {FAULT_CRASH, 2, 2, 0}, {.kind = STARTED}, {FAULT_CRASH, 3, 3, 63}}},
	{"a fault on trial: longer each time, one is enough",
	 {{FAULT_CRASH, 1, 1, 0},
	  {FAULT_CRASH, 2, 2, 0},
	  {FAULT_CRASH, 3, 3, 63},
	  {FAULT_CRASH, 4, 100, 220},
	  {FAULT_DEVICE, 4, 300, 540}}},
	{"a trial that goes well",
	 {{FAULT_CRASH, 1, 1, 0},
	  {FAULT_CRASH, 2, 2, 0},
	  {FAULT_CRASH, 3, 3, 63},
	  {.kind = WORKED},
	  {FAULT_CRASH, 4, 100, 0}}},
};

static void do_deed(const char *what, struct health *h, const struct deed *d)
{
	if (d->kind == STARTED)
		health_started(h);
	if (d->kind == WORKED)
		health_worked(h);
	if (d->kind != BAD)
		return;
	bool aside = health_fault(h, &device_limits, d->fault, d->job, "because", d->at_s);
	if (aside != (d->until_s > 0) || (aside && fabs(h->until_s - d->until_s) > 1e-9))
		fail_msg("%s: at %g s aside %d until %g s", what, d->at_s, aside, h->until_s);
	if (aside)
		assert_non_null(strstr(h->reason, "because"));
	assert_int_equal(health_is_aside(h, d->at_s), aside);
	assert_false(health_is_aside(h, h->until_s));
}

static void test_devices(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		struct health h = {0};
		for (const struct deed *d = devices[i].deeds; d->fault || d->kind; d++)
			do_deed(devices[i].what, &h, d);
	}
}

static void test_the_back_off_has_an_end(void **state)
{
	struct health h = {0};
	for (int i = 0; i < 100; i++)
		health_fault(&h, &device_limits, FAULT_SPAWN, 0, "x", 0);
	assert_true(h.until_s == 3600);
}

static void test_set_aside_over_a_restart(void **state)
{
	struct health h;
	health_restore(&h, &device_limits, 3, "3 faults", 1000);
	assert_true(health_is_aside(&h, 1239) && !health_is_aside(&h, 1240));
	assert_string_equal(h.reason, "3 faults");
	assert_true(health_fault(&h, &device_limits, FAULT_DEVICE, 7, "again", 2000));
	assert_true(h.until_s == 2480 && h.times_aside == 4);
	health_restore(&h, &device_limits, 0, "", 1000);
	assert_false(health_is_aside(&h, 1000));
	for (int i = 0; i < 9; i++) /* one job's: as if it had never been aside */
		assert_false(health_fault(&h, &device_limits, FAULT_DEVICE, 7, "again", 2000));
}

/* --- sweeps --- */

static const struct breaker_limits sweep_limits = {.jobs = 3, .fast_s = 60};

#define DATA(job)                                                                                                      \
	{                                                                                                              \
		0, job, "data", false, 1                                                                               \
	}
#define EPOCH(job, what)                                                                                               \
	{                                                                                                              \
		0, job, what, true, 1                                                                                  \
	}

static const struct {
	const char *what;
	struct breaker_attempt attempts[8]; /* newest first; class "-" ends the list */
	bool trips;
} sweeps[] = {
	{"nothing yet", {{.class = "-"}}, false},
	{"three jobs", {DATA(3), DATA(2), DATA(1), {.class = "-"}}, true},
	{"and what was before does not matter", {DATA(4), DATA(3), DATA(2), EPOCH(1, ""), {.class = "-"}}, true},
	{"two jobs", {DATA(2), DATA(1), {.class = "-"}}, false},
	{"two jobs, many attempts", {DATA(2), DATA(1), DATA(2), DATA(1), DATA(2), {.class = "-"}}, false},
	{"three jobs, many attempts", {DATA(2), DATA(1), DATA(2), DATA(1), DATA(3), {.class = "-"}}, true},
	{"one went well in between", {DATA(4), DATA(3), EPOCH(2, ""), DATA(1), {.class = "-"}}, false},
	{"one was done at once in between", {DATA(4), DATA(3), {0, 2, "", false, 1}, DATA(1), {.class = "-"}}, false},
	{"grid points that diverge: epochs were finished",
	 {EPOCH(3, "diverged"), EPOCH(2, "diverged"), EPOCH(1, "diverged"), {.class = "-"}},
	 false},
	{"failures of several kinds", {DATA(3), {0, 2, "oom", false, 1}, DATA(1), {.class = "-"}}, false},
	{"slow failures", {DATA(3), DATA(2), {0, 1, "data", false, 61}, {.class = "-"}}, false},
	{"not known how slow", {DATA(3), DATA(2), {0, 1, "data", false, -1}, {.class = "-"}}, false},
	{"lost workers",
	 {{0, 3, "lost", false, 1}, {0, 2, "lost", false, 1}, {0, 1, "lost", false, 1}, {.class = "-"}},
	 true},
	{"the device's fault",
	 {{0, 3, "device", false, 1}, {0, 2, "device", false, 1}, {0, 1, "device", false, 1}, {.class = "-"}},
	 false},
};

static void test_breaker(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sweeps); i++) {
		size_t n = 0;
		while (!str_eq(sweeps[i].attempts[n].class, "-"))
			n++;
		if (breaker_trips(sweeps[i].attempts, n, &sweep_limits) != sweeps[i].trips)
			fail_msg("%s", sweeps[i].what);
		assert_false(breaker_trips(sweeps[i].attempts, n, &(struct breaker_limits){.jobs = 0, .fast_s = 60}));
	}
}

/* --- memory --- */

static const struct {
	struct oom_counters before, after;
	int signal;
	enum oom_verdict verdict;
} kills[] = {
	{{0, 0}, {0, 0}, SIGKILL, OOM_NO},         /* somebody's kill -9 */
	{{0, 0}, {1, 1}, SIGKILL, OOM_YES},        /* its group */
	{{0, 5}, {0, 6}, SIGKILL, OOM_PROBABLY},   /* the machine, or another container */
	{{-1, 5}, {-1, 6}, SIGKILL, OOM_PROBABLY}, /* no group known */
	{{-1, -1}, {-1, -1}, SIGKILL, OOM_NO},
	{{-1, -1}, {3, 3}, SIGKILL, OOM_NO}, /* nothing to compare with */
	{{2, 2}, {-1, -1}, SIGKILL, OOM_NO},
	{{0, 0}, {1, 1}, SIGSEGV, OOM_NO},
	{{0, 0}, {1, 1}, 0, OOM_NO},   /* it ended by itself: somebody else was killed */
	{{0, 0}, {1, 1}, -1, OOM_YES}, /* adopted: no status */
	{{0, 0}, {0, 1}, -1, OOM_NO},
};

static void test_oom(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kills); i++)
		if (oom_judge(&kills[i].before, &kills[i].after, kills[i].signal) != kills[i].verdict)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_the_back_off_has_an_end),
		cmocka_unit_test(test_set_aside_over_a_restart),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
