/* sweepctl daemon start|stop|restart|status. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "ctl/restart.h"
#include "common/clock.h"
#include "common/json.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum daemon_action { DAEMON_NONE, DAEMON_START, DAEMON_STOP, DAEMON_RESTART, DAEMON_STATUS };

struct daemon_input {
	enum daemon_action action;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const names[] = {
		[DAEMON_START] = "start", [DAEMON_STOP] = "stop", [DAEMON_RESTART] = "restart", [DAEMON_STATUS] = "status"};
	struct daemon_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			return ARGP_ERR_UNKNOWN;
		for (int i = DAEMON_START; i <= DAEMON_STATUS; i++)
			if (str_eq(arg, names[i]))
				input->action = (enum daemon_action)i;
		if (!input->action)
			argp_error(state, "start, stop, restart or status, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "start, stop, restart or status?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {NULL, parse};

/* A stop waits for checkpoints; a large network on a slow disk takes a while. */
#define STOP_MS 300000
#define TALK_MS 2000

static int status(struct ctl *ctl, json_t **ret, struct err *err)
{
	return client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, ret, err);
}

static const char *owner(const struct ctl *ctl)
{
	return ctl->paths.system ? "the system's" : "private (yours)";
}

static int say_status(struct ctl *ctl)
{
	autojson json_t *answer = NULL;
	struct err err;
	char up[FORMAT_MAX];
	int e = status(ctl, &answer, &err);

	if (e < 0)
		return ctl_fail(ctl, e, &err);
	if (!json_bool_or(answer, "ok", false))
		return ctl_refused(answer);
	if (ctl->json) {
		print_json(json_incref(answer));
		return EXIT_OK;
	}
	double up_s = (double)(wall_ms() - json_int_or(answer, "started_ms", wall_ms())) / 1000;
	printf("%s, pid %lld, up %s%s\n", owner(ctl), (long long)json_int_or(answer, "pid", 0), format_span(up_s, up),
	       json_bool_or(answer, "stopping", false) ? ", stopping" : "");
	const char *trouble = json_str_or(answer, "store_trouble", NULL);
	if (trouble)
		printf("its store takes nothing at the moment: %s\n", trouble);
	return EXIT_OK;
}

static int start(struct ctl *ctl)
{
	autojson json_t *answer = NULL;
	struct err err;
	int pid;
	int e = status(ctl, &answer, &err);

	if (e == 0) {
		fprintf(stderr, "sweepd runs already, pid %lld\n", (long long)json_int_or(answer, "pid", 0));
		return EXIT_OK;
	}
	if (e != -ENOTCONN || ctl->paths.system)
		return ctl_fail(ctl, e, &err);
	int code = launch_daemon(ctl, &pid);
	if (code == EXIT_OK) {
		autofree char *dir = format_path(ctl->paths.state);
		fprintf(stderr, "sweepd started, pid %d, in %s\nstop: sweepctl daemon stop\n", pid, dir);
	}
	return code;
}

/* Until that process is gone; pidfds tell, also of processes that are nobody's child here. */
static int wait_gone(int pid)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0) /* gone already, or not visible from here */
		return EXIT_OK;
	if (poll(&p, 1, TALK_MS) == 0) {
		fputs("waiting: workers write their checkpoints; the jobs go on at the next start\n", stderr);
		if (poll(&p, 1, STOP_MS) == 0) {
			fprintf(stderr, "error: sweepd (pid %d) has not ended after %d s\n", pid, STOP_MS / 1000);
			return EXIT_TIMEOUT;
		}
	}
	return EXIT_OK;
}

static int stop(struct ctl *ctl)
{
	autojson json_t *request = json_pack("{ss}", "verb", "stop");
	autojson json_t *answer = NULL;
	struct client c = {.fd = -1};
	struct err err;
	int e = client_connect(&c, &ctl->paths, &err);

	if (e == -ENOTCONN) {
		fputs("sweepd is not running\n", stderr);
		return EXIT_OK;
	}
	int pid = e == 0 ? client_peer_pid(&c) : 0;
	if (e == 0)
		e = client_send(&c, request, &err);
	if (e == 0)
		e = client_wait(&c, CLIENT_SILENCE_MS, &answer, &err);
	client_close(&c);
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	if (!json_bool_or(answer, "ok", false))
		return ctl_refused(answer);
	int code = pid > 0 ? wait_gone(pid) : EXIT_OK;
	if (code == EXIT_OK)
		fputs("sweepd stopped; what was running goes on at the next start\n", stderr);
	return code;
}

static int run(struct ctl *ctl, void *data)
{
	switch (((struct daemon_input *)data)->action) {
	case DAEMON_START:
		return start(ctl);
	case DAEMON_STOP:
		return stop(ctl);
	case DAEMON_RESTART:
		return restart_daemon(ctl);
	case DAEMON_STATUS:
		return say_status(ctl);
	case DAEMON_NONE:
		break;
	}
	BUG("daemon without a verb");
}

const struct verb verb_daemon = {
	.name = "daemon",
	.args = "start|stop|restart|status",
	.line = "a sweepd of your own; restart: the system's",
	.group = "Start",
	.example = "sweepctl daemon start",
	.input_size = sizeof(struct daemon_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_DAEMON, EXIT_STATE, EXIT_PERMISSION, EXIT_TIMEOUT),
	.run = run,
};
