/* What every verb of sweepctl is given, and what every verb is: a row of the table in main.c.
 *
 * A verb returns sweepctl's exit code.  Answers go to stdout, talk and errors to stderr.  To add one: a file with a
 * `const struct verb verb_NAME`, its name in VERBS, the file in meson.build. */
#pragma once

#include "ctl/client.h"
#include "ctl/reader.h"
#include "ctl/screen.h"
#include "common/protocol.h"

#include <argp.h>

struct ctl {
	const char *dir; /* --dir, or NULL */
	bool json;
	enum color_mode color;
	struct paths paths;
	struct screen out; /* stdout */
};

struct verb {
	const char *name, *args, *line, *group; /* group NULL: not listed */
	const char *example;     /* opens `sweepctl VERB --help` */
	size_t input_size;       /* of what argp fills and run() gets */
	const struct argp *argp; /* its parser's input is that; NULL: no options, no arguments */
	unsigned target_states; /* bits 1 << JOB_... of the jobs it can act on, for completion; 0: all */
	const int *exits; /* exit codes beyond those of every verb (exits.c), ended by 0; NULL: none */
	int (*run)(struct ctl *ctl, void *input);
};

/* Of a verb that only reads the store; of one that asks the daemon for a change. */
extern const int exits_of_reading[], exits_of_changing[];
/* "EXITS(EXIT_STATE, EXIT_TIMEOUT)" for a verb with codes of its own. */
#define EXITS(...) (const int[]){__VA_ARGS__, 0}

#define VERBS(X) \
	X(submit) X(daemon) X(list) X(watch) X(show) X(log) X(wait) X(events) X(results) X(leaderboard) \
	X(compare) X(report) X(wandb) X(cancel) X(pause) X(resume) X(retry) X(priority) X(doctor) X(db) \
	X(devices) X(dataset) X(weights) X(params) X(version) X(manual)
#define X(name)  extern const struct verb verb_##name;
VERBS(X)
#undef X
extern const struct verb *const verbs[];
extern const size_t n_verbs;
extern const struct argp_option common_options[];

/* Positional arguments, borrowed from argv. */
struct words {
	char **items;
	size_t n;
};
/* For a parser's ARGP_KEY_ARGS. */
void words_take(struct words *words, struct argp_state *state);
/* A whole number from min to INT_MAX; else "OPTION needs WANTED, not ..." and the end. */
int number_take(const char *arg, struct argp_state *state, const char *option, const char *wanted, int min);

/* "error: ..." on stderr; text of others in it is made harmless. */
void say_error(const char *text);
/* Prints "error: ..." and returns the exit code that fits the negative errno (reading the store, talking to sweepd). */
int ctl_fail(const struct ctl *ctl, int e, const struct err *err);
/* A refusal by the daemon ({"ok":false}): prints its sentence, returns its code. */
int ctl_refused(const json_t *answer);
/* "no sweepd is running for you. do this: ..."; EXIT_NO_DAEMON. */
int ctl_no_daemon(const struct ctl *ctl);
/* One line of JSON on stdout.  Consumes value. */
void print_json(json_t *value);
/* The same for an array, element by element: n counts them, 0 at first.  Consumes value. */
void print_json_row(size_t *n, json_t *value);
void print_json_end(size_t n);
/* A number, or null when it is not known.  New reference. */
json_t *json_known(double v);
