/* The verb follow: the options, and nothing else.  To add one: a row in rows[]. */
#include "follow.h"
#include "manual.h"
#include "verbs.h"

#include "common/log.h"
#include "common/protocol.h"

#include <limits.h>

static const struct {
	const char *name, *arg, *help;
	size_t offset;
	bool text;
	int min, otherwise; /* of a number */
} rows[] = {
#define AT(field) offsetof(struct follow_options, field)
	{"dir", "DIR", "of the sweepd whose runs are sent ($SWEEPD_DIR)", AT(dir), true},
	{"control", "FILE", "its control socket", AT(control), true},
	{"orphan-ms", "MS", "end when sweepd is away for so long; 0: never", AT(orphan_ms), false, 0, 0},
	{"rate", "N", "requests a second at most, of all runs together", AT(rate), false, 1, 8},
	{"in-flight", "N", "requests at a time", AT(in_flight), false, 1, 8},
	{"interval-ms", "MS", "between two requests of a run", AT(interval_ms), false, 0, 15000},
	{"heartbeat-ms", "MS", "a run with nothing to say says so", AT(heartbeat_ms), false, 10, 30000},
	{"retry-ms", "MS", "before a first repetition; each further one waits twice as long, to a minute", AT(retry_ms),
	 false, 1, 2000},
	{"person-ms", "MS", "between two tries of what a person must mend: a key, a right", AT(person_ms), false, 10,
	 60000},
	{"poll-ms", "MS", "between two looks at the buttons of a sweep's page", AT(poll_ms), false, 10, 15000},
	{"stop-ms", "MS", "a stop sends what is there for so long", AT(stop_ms), false, 0, 5000},
#undef AT
};

#define FIRST_KEY 256 /* row i has the key FIRST_KEY + i */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "follow takes no arguments: \"%s\"", arg);
	if (key < FIRST_KEY || key >= FIRST_KEY + (int)ARRAY_LEN(rows))
		return ARGP_ERR_UNKNOWN;
	size_t row = (size_t)(key - FIRST_KEY);
	char *end, *field = (char *)state->input + rows[row].offset;
	if (rows[row].text) {
		*(const char **)field = arg;
		return 0;
	}
	errno = 0;
	long n = strtol(arg, &end, 10);
	if (errno || *end || end == arg || n < rows[row].min || n > INT_MAX)
		argp_error(state, "--%s: expected a whole number from %d, not \"%s\"", rows[row].name, rows[row].min,
			   arg);
	*(int *)field = (int)n;
	return 0;
}

#define HELP_MAX 128

/* Row i for argp; help has room for its text. */
static struct argp_option make_option(size_t i, char help[HELP_MAX])
{
	snprintf(help, HELP_MAX, rows[i].text ? "%s" : "%s (default: %d)", rows[i].help, rows[i].otherwise);
	return (struct argp_option){.name = rows[i].name, .key = FIRST_KEY + (int)i, .arg = rows[i].arg, .doc = help};
}

int verb_follow(int argc, char **argv)
{
	char help[ARRAY_LEN(rows)][HELP_MAX];
	struct argp_option table[ARRAY_LEN(rows) + 1] = {0};
	const struct argp argp = {
		.options = table,
		.parser = parse,
		.doc = "Sends the runs of a sweepd's store to Weights & Biases as they are committed."};
	struct follow_options o = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		table[i] = make_option(i, help[i]);
		if (!rows[i].text)
			*(int *)((char *)&o + rows[i].offset) = rows[i].otherwise;
	}
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	return follow_run(&o);
}

void follow_manual(const struct roff_entry *verbs)
{
	char help[ARRAY_LEN(rows)][HELP_MAX];
	struct argp_option table[ARRAY_LEN(rows) + 1] = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		table[i] = make_option(i, help[i]);
	manual_print(verbs, table);
}
