/* sweepd: the options, and nothing else.  To add one: a row in rows[]. */
#include "daemon.h"

#include "common/log.h"
#include "common/protocol.h"

#include <argp.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

const char *argp_program_version = "sweepd " SWEEPD_VERSION;

struct options {
	struct daemon_options daemon;
	const char *log_level;
};

enum option_kind { OPTION_HEAD, OPTION_TEXT, OPTION_NUMBER };

#define DAEMON(field) offsetof(struct options, daemon.field)
static const struct {
	enum option_kind kind;
	const char *name, *arg, *help;
	size_t offset;
	int min, max;
} rows[] = {
	{OPTION_HEAD, NULL, NULL, "Where and on what:"},
	{OPTION_TEXT, "dir", "DIR", "everything in this directory ($SWEEPD_DIR; else ~/.local/share/sweepd)", DAEMON(dir)},
	{OPTION_NUMBER, "devices", "N", "workers at a time, each a part of the cores (1)", DAEMON(n_devices), 1, 64},
	{OPTION_NUMBER, "threads", "N", "threads of each worker (0: the cores, shared out)", DAEMON(threads), 0, 1024},
	{OPTION_TEXT, "backend", "NAME", "backend of the workers: cpu or ref", DAEMON(backend)},
	{OPTION_TEXT, "worker-program", "FILE", "sweep-worker to start", DAEMON(worker_program)},
	{OPTION_TEXT, "log-level", "LEVEL", "error, warn, info or debug", offsetof(struct options, log_level)},
	{OPTION_NUMBER, "ready-fd", "FD", "writes a byte there when requests are served", DAEMON(ready_fd), 0, INT_MAX},
	{OPTION_HEAD, NULL, NULL, "Times, in milliseconds:"},
	{OPTION_NUMBER, "retry-ms", "MS", "before the first retry; then 5 times longer each (10000)", DAEMON(retry_ms), 0, INT_MAX},
	{OPTION_NUMBER, "ask-ms", "MS", "between asking a worker, SIGTERM and SIGKILL (10000)", DAEMON(ask_ms), 1, 3600000},
	{OPTION_NUMBER, "drain-ms", "MS", "a stop waits so long for checkpoints (120000)", DAEMON(drain_ms), 1, 86400000},
	{OPTION_NUMBER, "heartbeat-lost-ms", "MS", "a worker silent for so long is killed (60000)", DAEMON(heartbeat_lost_ms), 100, 86400000},
	{OPTION_NUMBER, "adopt-ms", "MS", "a worker must have connected within (60000)", DAEMON(adopt_ms), 100, 86400000},
};

#define FIRST_KEY 256 /* row i has the key FIRST_KEY + i: no short options */

static int parse_number(size_t row, const char *arg, struct argp_state *state)
{
	char *end;
	errno = 0;
	long n = strtol(arg, &end, 10);
	if (errno || *end || end == arg || n < rows[row].min || n > rows[row].max)
		argp_error(state, "--%s: expected a whole number from %d to %d, not \"%s\"", rows[row].name, rows[row].min,
			   rows[row].max, arg);
	return (int)n;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "sweepd takes no arguments: \"%s\"", arg);
	if (key < FIRST_KEY || key >= FIRST_KEY + (int)ARRAY_LEN(rows))
		return ARGP_ERR_UNKNOWN;
	size_t row = (size_t)(key - FIRST_KEY);
	char *field = (char *)state->input + rows[row].offset;
	if (rows[row].kind == OPTION_NUMBER)
		*(int *)field = parse_number(row, arg, state);
	else
		*(const char **)field = arg;
	return 0;
}

static void parse_options(int argc, char **argv, struct options *o)
{
	struct argp_option table[ARRAY_LEN(rows) + 1] = {0};
	const struct argp argp = {table, parse_option, 0,
				  "Runs hyper-parameter sweeps: keeps jobs in results.db and trains them on every device.  "
				  "sweepctl talks to it.", 0, 0, 0};
	int group = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		group += rows[i].kind == OPTION_HEAD;
		table[i] = (struct argp_option){.name = rows[i].name, .arg = rows[i].arg, .doc = rows[i].help, .group = group};
		table[i].key = rows[i].kind == OPTION_HEAD ? 0 : FIRST_KEY + (int)i;
	}
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

int main(int argc, char **argv)
{
	struct options o = {
		.daemon = {
			.n_devices = 1,
			.ready_fd = -1,
			.retry_ms = 10000,
			.ask_ms = 10000,
			.drain_ms = 120000,
			.heartbeat_lost_ms = HEARTBEAT_LOST_MS,
			.adopt_ms = 60000,
		},
		.log_level = "info",
	};
	parse_options(argc, argv, &o);
	int level = log_level_parse(o.log_level);
	if (level < 0) {
		fprintf(stderr, "error: --log-level is error, warn, info or debug, not \"%s\"\n", o.log_level);
		return EXIT_USAGE;
	}
	log_set_level((enum log_level)level);
	if (o.daemon.ready_fd >= 0 && fcntl(o.daemon.ready_fd, F_SETFD, FD_CLOEXEC) < 0) { /* not for workers */
		fprintf(stderr, "error: --ready-fd %d: %s\n", o.daemon.ready_fd, strerror(errno));
		return EXIT_USAGE;
	}
	umask(0027); /* the group may read (results.db), nobody else */
	return daemon_run(&o.daemon);
}
