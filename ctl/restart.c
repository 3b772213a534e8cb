/* See restart.h. */
#include "ctl/restart.h"
#include "common/clock.h"
#include "common/json.h"

#include <poll.h>

#define NEW_ONE_S 60 /* systemd waits RestartSec, then the store is opened */
#define LOOK_MS   100

static int ask(struct ctl *ctl, const char *verb, json_t **ret, struct err *err)
{
	return client_ask(&ctl->paths, json_pack("{ss}", "verb", verb), CLIENT_SILENCE_MS, ret, err);
}

/* The pid of the daemon that answers; 0: none does now. */
static int64_t answering(struct ctl *ctl)
{
	autojson json_t *answer = NULL;
	struct err err;

	return ask(ctl, "status", &answer, &err) < 0 ? 0 : json_int_or(answer, "pid", 0);
}

static int wait_for_another(struct ctl *ctl, int64_t old)
{
	double end = monotonic_s() + NEW_ONE_S;

	do {
		int64_t pid = answering(ctl);
		if (pid && pid != old) {
			fprintf(stderr, "sweepd restarted, pid %lld (was %lld); its workers trained on\n",
				(long long)pid, (long long)old);
			return EXIT_OK;
		}
		poll(NULL, 0, LOOK_MS);
	} while (monotonic_s() < end);
	fprintf(stderr,
		"error: sweepd (pid %lld) was told to restart, but none answers after %d s\n"
		"  do this:  systemctl status sweepd\n",
		(long long)old, NEW_ONE_S);
	return EXIT_TIMEOUT;
}

int restart_daemon(struct ctl *ctl)
{
	autojson json_t *before = NULL;
	autojson json_t *answer = NULL;
	struct err err;
	int e = ask(ctl, "status", &before, &err);

	e = e < 0 ? e : ask(ctl, "restart", &answer, &err);
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	if (!json_bool_or(answer, "ok", false))
		return ctl_refused(answer);
	return wait_for_another(ctl, json_int_or(before, "pid", 0));
}
