/* The two line protocols, in one place: docs/protocol.md says what each message holds. */
#pragma once

#include "base.h"

#define SLOTS_MAX 8 /* jobs of a worker at a time */
#define PROTOCOL_VERSION 1
#define WORKER_LINE_MAX (64 * 1024)
#define CONTROL_LINE_MAX (4 * 1024 * 1024)
#define STEPS_EVENT_MAX 500 /* samples of a `steps` event: below WORKER_LINE_MAX whatever the numbers */

/* Heartbeats come at least so often; the daemon gives a worker up after HEARTBEAT_LOST_MS without any line. */
#define HEARTBEAT_MS 2000
#define HEARTBEAT_LOST_MS 60000

/* Why an attempt failed.  Workers say the first six; time_limit and hang are the daemon's (sched_retry() says which are
 * worth a retry). */
#define FAIL_CLASSES(X) X(CONFIG, "config") X(DATA, "data") X(DIVERGED, "diverged") X(OOM, "oom") X(DEVICE, "device") X(INTERNAL, "internal") \
	X(TIME_LIMIT, "time_limit") X(HANG, "hang")
enum fail_class {
#define X(id, text) FAIL_##id,
	FAIL_CLASSES(X)
#undef X
	N_FAIL_CLASSES
};
static const char *const fail_class_names[] = {
#define X(id, text) text,
	FAIL_CLASSES(X)
#undef X
};

/* sweepd ends with it when it shall be started again and workers go on meanwhile: RestartForceExitStatus of its unit. */
#define EXIT_RESTART 75

/* Exit codes of sweepctl and of a refused control request. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_BAD_OUTCOME = 1, /* wait, watch --exit-status: a job failed; doctor: cannot train */
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
	EXIT_NO_SUCH = 4,     /* no such job or sweep */
	EXIT_REFUSED = 5,     /* sweep file or value */
	EXIT_STATE = 6,	      /* not possible in this state */
	EXIT_PERMISSION = 7,  /* not yours; store unreadable, damaged or too new */
	EXIT_TIMEOUT = 124,
	EXIT_INTERRUPTED = 130,
};
