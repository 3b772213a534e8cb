/* Watchdogs and time limits on a clock that the test moves. */
#include "cmocka_all.h"

#include "daemon/watchdog.h"

#include <math.h>

static const struct watch_limits limits = {.connect_s = 60, .silent_s = 10, .stalled_s = 100, .stall_factor = 10};

enum act { CONNECT, HEARD, GONE, ATTEMPT, END, STEP, TEST_STEP, FORGIVE, LOOK };

struct line { /* at a time, an act; LOOK: the verdict, and the next look */
	double at_s;
	enum act act;
	double number; /* ATTEMPT: its limit; STEP: of epoch 1 */
	enum watch_verdict verdict;
	double next_s;
};

struct story {
	const char *what;
	struct line lines[16];
};

#define LOOKS(at, what, next)                                                                                          \
	{                                                                                                              \
		at, LOOK, 0, what, next                                                                                \
	}
#define LAST                                                                                                           \
	{                                                                                                              \
		-1, LOOK, 0, WATCH_WELL, 0                                                                             \
	}

static const struct story stories[] = {
	{"it never connects",
	 {LOOKS(1, WATCH_WELL, 60), LOOKS(60, WATCH_WELL, 60.1), LOOKS(60.2, WATCH_LATE, INFINITY), LAST}},
	{"it falls silent",
	 {{1, CONNECT},
	  LOOKS(1, WATCH_WELL, 11),
	  {5, HEARD},
	  LOOKS(11, WATCH_WELL, 15),
	  LOOKS(15, WATCH_WELL, 15.1),
	  LOOKS(15.2, WATCH_SILENT, INFINITY),
	  LAST}},
	{"sweepd was stopped for an hour: what waits in the socket is read before the second look",
	 {{1, CONNECT}, LOOKS(3600, WATCH_WELL, 3600.1), {3600.05, HEARD}, LOOKS(3600.2, WATCH_WELL, 3610.05), LAST}},
	{"sweepd was stopped twice",
	 {{1, CONNECT}, LOOKS(3600, WATCH_WELL, 3600.1), LOOKS(7200, WATCH_WELL, 7200.1), LAST}},
	{"its connection is away for a while",
	 {{1, CONNECT}, {5, GONE}, LOOKS(20, WATCH_WELL, 61), {50, CONNECT}, LOOKS(51, WATCH_WELL, 60), LAST}},
	{"heartbeats, but no first step",
	 {{0, CONNECT},
	  {1, ATTEMPT, 0},
	  {100, HEARD},
	  LOOKS(100, WATCH_WELL, 101),
	  LOOKS(101, WATCH_WELL, 101.1),
	  {101.05, HEARD},
	  LOOKS(101.2, WATCH_STALLED, 111.05),
	  LAST}},
	{"the same step again is no progress",
	 {{0, CONNECT}, {1, ATTEMPT, 0}, {2, STEP, 7}, {50, STEP, 7}, {101, HEARD}, LOOKS(101, WATCH_WELL, 102), LAST}},
	{"the same step of the test is",
	 {{0, CONNECT},
	  {1, ATTEMPT, 0},
	  {2, STEP, 7},
	  {5, TEST_STEP, 7},
	  {104, HEARD},
	  LOOKS(104, WATCH_WELL, 105),
	  LAST}},
	{"slow steps make patient: 10 x 40 s",
	 {{0, CONNECT},
	  {1, ATTEMPT, 0},
	  {41, STEP, 1},
	  {81, STEP, 2},
	  {400, HEARD},
	  LOOKS(400, WATCH_WELL, 410),
	  {480, HEARD},
	  LOOKS(480, WATCH_WELL, 481),
	  LOOKS(481, WATCH_WELL, 481.1),
	  LOOKS(481.2, WATCH_STALLED, 490),
	  LAST}},
	{"a worker without a job does not stall", {{0, CONNECT}, {1000, HEARD}, LOOKS(1000, WATCH_WELL, 1010), LAST}},
	{"nor one whose job ended",
	 {{0, CONNECT}, {1, ATTEMPT, 0}, {2, END}, {1000, HEARD}, LOOKS(1000, WATCH_WELL, 1010), LAST}},
	{"the store was busy: nobody was read",
	 {{0, CONNECT},
	  {1, ATTEMPT, 0},
	  {500, FORGIVE},
	  LOOKS(500, WATCH_WELL, 510),
	  {599, HEARD},
	  LOOKS(600, WATCH_WELL, 600.1),
	  LAST}},
	{"its time is over",
	 {{0, CONNECT},
	  {1, ATTEMPT, 50},
	  {50, HEARD},
	  {50, STEP, 3},
	  LOOKS(50, WATCH_WELL, 51),
	  LOOKS(51, WATCH_OUT_OF_TIME, 60),
	  LAST}},
	{"its time is over while it is away",
	 {{0, CONNECT}, {1, ATTEMPT, 30}, {20, GONE}, LOOKS(40, WATCH_OUT_OF_TIME, 60), LAST}},
	{"no limit, no end",
	 {{0, CONNECT}, {1, ATTEMPT, 0}, {99, STEP, 1}, {99, HEARD}, LOOKS(99, WATCH_WELL, 109), LAST}},
};

static void act(struct watch *w, const struct line *l)
{
	switch (l->act) {
	case CONNECT:
		watch_connected(w, l->at_s);
		break;
	case HEARD:
		watch_heard(w, l->at_s);
		break;
	case GONE:
		watch_disconnected(w);
		break;
	case ATTEMPT:
		watch_attempt(w, l->at_s, l->at_s, l->number);
		break;
	case END:
		watch_attempt_ended(w);
		break;
	case STEP:
	case TEST_STEP:
		watch_moved(w, l->at_s, 1, (int64_t)l->number, l->act == STEP ? 1 : 2);
		break;
	case FORGIVE:
		watch_forgive(w, l->at_s);
		break;
	case LOOK:
		break;
	}
}

static void test_stories(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
		struct watch w;
		watch_start(&w, 0);
		for (const struct line *l = stories[i].lines; l->at_s >= 0; l++) {
			double next_s = -1;
			act(&w, l);
			if (l->act != LOOK)
				continue;
			enum watch_verdict v = watch_look(&w, &limits, l->at_s, &next_s);
			bool same = isinf(l->next_s) ? isinf(next_s) : fabs(next_s - l->next_s) < 1e-9;
			if (v != l->verdict || !same)
				fail_msg("%s: at %g s verdict %d, next look %g s", stories[i].what, l->at_s, v, next_s);
		}
	}
}

static void test_a_start_in_another_boot_has_no_time_limit(void **state)
{
	struct watch w;
	double next_s;
	watch_start(&w, 5);
	watch_connected(&w, 5);
	watch_attempt(&w, 5, NAN, 1);
	assert_int_equal(watch_look(&w, &limits, 10, &next_s), WATCH_WELL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_a_start_in_another_boot_has_no_time_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
