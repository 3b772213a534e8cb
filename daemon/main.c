/* sweepd: the options, and nothing else.  To add one: a row in rows[]. */
#include "daemon.h"
#include "manual.h"

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
	bool manual; /* print sweepd(8) and end */
};

enum option_kind { OPTION_HEAD, OPTION_TEXT, OPTION_NUMBER };

#define DAEMON(field) offsetof(struct options, daemon.field)
#define HEAD(text)    {.kind = OPTION_HEAD, .help = text}
#define TEXT(...)     {OPTION_TEXT, __VA_ARGS__}
#define NUMBER(...)   {OPTION_NUMBER, __VA_ARGS__}
#define DAY_MS	      86400000

static const struct {
	enum option_kind kind;
	const char *name, *arg, *help;
	size_t offset;
	int min, max, otherwise; /* of a number; a default below min is not shown */
} rows[] = {
	HEAD("Where and on what:"),
	TEXT("dir", "DIR", "everything in this directory ($SWEEPD_DIR; else ~/.local/share/sweepd)", DAEMON(dir)),
	TEXT("device", "LIST", "train on these: cpu, cuda:N, UUIDs (default: every GPU that can, else cpu)", DAEMON(device)),
	NUMBER("devices", "N", "workers at a time on the CPU, each a part of the cores", DAEMON(n_devices), 1, 64, 0),
	NUMBER("slots", "N", "jobs at a time on each device, sharing it", DAEMON(n_slots), 1, SLOTS_MAX, 1),
	NUMBER("threads", "N", "threads of each worker; 0: the cores, shared out", DAEMON(threads), 0, 1024, 0),
	TEXT("backend", "NAME", "backend of the workers: cpu or ref", DAEMON(backend)),
	TEXT("worker-program", "FILE", "sweep-worker to start", DAEMON(worker_program)),
	TEXT("forward-program", "FILE", "sweep-forward to start, when a sweep wants W&B", DAEMON(forward_program)),
	TEXT("log-level", "LEVEL", "error, warn, info or debug", offsetof(struct options, log_level)),
	NUMBER("ready-fd", "FD", "a byte is written there when requests are served", DAEMON(ready_fd), 0, INT_MAX, -1),
	HEAD("Times, in milliseconds:"),
	NUMBER("retry-ms", "MS", "before a first retry; each further one waits 5 times longer", DAEMON(retry_ms), 0,
	       INT_MAX, 10000),
	NUMBER("ask-ms", "MS", "between asking a worker, SIGTERM and SIGKILL", DAEMON(ask_ms), 1, DAY_MS, 10000),
	NUMBER("drain-ms", "MS", "a stop waits so long for checkpoints", DAEMON(drain_ms), 1, DAY_MS, 120000),
	NUMBER("heartbeat-lost-ms", "MS", "a worker silent for so long is killed", DAEMON(heartbeat_lost_ms), 100, DAY_MS,
	       HEARTBEAT_LOST_MS),
	NUMBER("busy-ms", "MS", "a request is refused when the store takes nothing for so long", DAEMON(busy_ms), 0, DAY_MS,
	       3000),
	NUMBER("adopt-ms", "MS", "a worker must have connected within", DAEMON(adopt_ms), 100, DAY_MS, 60000),
	NUMBER("stall-ms", "MS", "a job without a step for so long (and --stall-factor) is ended and tried again",
	       DAEMON(stall_ms), 100, DAY_MS, 600000),
	NUMBER("aside-ms", "MS", "first back-off of a device that was set aside; each further one is twice as long, to 1 h",
	       DAEMON(aside_ms), 1, DAY_MS, 60000),
	NUMBER("breaker-ms", "MS", "for --breaker-jobs: a failure within", DAEMON(breaker_ms), 1, DAY_MS, 60000),
	HEAD("When things go wrong:"),
	NUMBER("stall-factor", "N", "a stall is at least N times the job's longest step so far", DAEMON(stall_factor), 1,
	       1000, 10),
	NUMBER("device-faults", "N", "so many in a row, of several jobs, set a device aside", DAEMON(device_faults), 1, 1000,
	       3),
	NUMBER("breaker-jobs", "N", "so many jobs that fail quickly in one way pause their sweep; 0: never",
	       DAEMON(breaker_jobs), 0, 1000, 5),
};

#define FIRST_KEY  256 /* row i has the key FIRST_KEY + i: no short options */
#define MANUAL_KEY (FIRST_KEY - 1) /* hidden: the build makes sweepd(8) with it */

static int parse_number(size_t row, const char *arg, struct argp_state *state)
{
	char *end;
	errno = 0;
	long n = strtol(arg, &end, 10);
	if (errno || *end || end == arg || n < rows[row].min || n > rows[row].max)
		argp_error(state, "--%s: expected a whole number from %d to %d, not \"%s\"", rows[row].name,
			   rows[row].min, rows[row].max, arg);
	return (int)n;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "sweepd takes no arguments: \"%s\"", arg);
	if (key == MANUAL_KEY) {
		((struct options *)state->input)->manual = true;
		return 0;
	}
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

/* Row i for argp; help has room for its text. */
static struct argp_option make_option(size_t i, int group, char *help, size_t size)
{
	bool shown = rows[i].kind == OPTION_NUMBER && rows[i].otherwise >= rows[i].min;
	snprintf(help, size, "%s", rows[i].help);
	if (shown)
		snprintf(help, size, "%s (default: %d)", rows[i].help, rows[i].otherwise);
	return (struct argp_option){
		.name = rows[i].name,
		.key = rows[i].kind == OPTION_HEAD ? 0 : FIRST_KEY + (int)i,
		.arg = rows[i].arg,
		.doc = help,
		.group = group,
	};
}

static void parse_options(int argc, char **argv, struct options *o)
{
	char help[ARRAY_LEN(rows)][128];
	struct argp_option table[ARRAY_LEN(rows) + 2] = {0};
	const struct argp argp = {
		.options = table,
		.parser = parse_option,
		.doc = "Runs hyper-parameter sweeps: keeps jobs in results.db and trains them on every device.  "
		       "sweepctl talks to it.",
	};
	int group = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		group += rows[i].kind == OPTION_HEAD;
		table[i] = make_option(i, group, help[i], sizeof(help[i]));
		if (rows[i].kind == OPTION_NUMBER)
			*(int *)((char *)o + rows[i].offset) = rows[i].otherwise;
	}
	table[ARRAY_LEN(rows)] = (struct argp_option){.name = "manual", .key = MANUAL_KEY, .flags = OPTION_HIDDEN};
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, o);
	if (o->manual) {
		manual_print(table);
		exit(EXIT_OK);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.log_level = "info"};
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
