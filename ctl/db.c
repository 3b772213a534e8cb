/* sweepctl db check|backup FILE: the database looked at as a whole, and copied; with or without a running sweepd. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "common/db.h"
#include "common/json.h"
#include "schema/schema.h"

#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_MAX 10 /* breaches of one kind */

enum db_action { DB_NONE, DB_CHECK, DB_BACKUP };

struct db_input {
	enum db_action action;
	const char *file;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct db_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (input->action == DB_BACKUP && !input->file) {
			input->file = arg;
			return 0;
		}
		if (input->action)
			return ARGP_ERR_UNKNOWN;
		input->action = str_eq(arg, "check") ? DB_CHECK : str_eq(arg, "backup") ? DB_BACKUP : DB_NONE;
		if (!input->action)
			argp_error(state, "check or backup, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_END:
		if (!input->action)
			argp_error(state, "check or backup?");
		if (input->action == DB_BACKUP && !input->file)
			argp_error(state, "backup needs the name of a file that is not there yet");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {NULL, parse};

/* --- check --- */

struct check {
	struct db *db;
	json_t *breaches; /* sentences */
	int n_checks;
};

static int run_query(struct check *c, const char *sql, struct err *err)
{
	struct stmt *s;
	int n = 0;
	int e = db_prepare(c->db, sql, &s, err);

	while (e >= 0 && (e = stmt_step(s, err)) > 0) {
		const char *sentence = stmt_text(s, 0);
		if (n++ < SHOWN_MAX)
			json_array_append_new(c->breaches, json_string(sentence ? sentence : "?"));
	}
	if (n > SHOWN_MAX)
		json_array_append_new(c->breaches, json_sprintf("... and %d more like these", n - SHOWN_MAX));
	c->n_checks++;
	return e;
}

static int run_checks(struct check *c, struct err *err)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < n_schema_checks; i++)
		e = run_query(c, schema_checks[i].sql, err);
	return e;
}

static int say_breaches(struct ctl *ctl, const struct check *c)
{
	size_t n = json_array_size(c->breaches), i;
	json_t *sentence;
	autofree char *shown = format_path(ctl->paths.db);

	if (ctl->json) {
		print_json(json_pack("{s:b, s:i, s:O}", "ok", n == 0, "checks", c->n_checks, "breaches", c->breaches));
		return n ? EXIT_BAD_OUTCOME : EXIT_OK;
	}
	json_array_foreach(c->breaches, i, sentence)
		puts(json_string_value(sentence));
	if (n == 0) {
		printf("%s: %d checks, all well\n", shown, c->n_checks);
		return EXIT_OK;
	}
	fprintf(stderr, "error: %s does not hold together\n  do this:  sweepctl db backup before-repair.db, then report the "
			"lines above;\n            a copy from before is restored by: sweepctl daemon stop; mv COPY %s;\n"
			"            rm -f %s-wal %s-shm; sweepctl daemon start\n", shown, shown, shown, shown);
	return EXIT_BAD_OUTCOME;
}

/* The pages may be so damaged that a query fails in the middle. */
static int check(struct ctl *ctl, struct db *db)
{
	autojson json_t *breaches = json_array();
	struct check c = {.db = db, .breaches = breaches};
	struct err err;
	int e = db_exec(db, "BEGIN", &err); /* all of one instant */

	e = e ? e : run_checks(&c, &err);
	if (e < 0 && e != -EBADMSG)
		return ctl_fail(ctl, e, &err);
	if (e == -EBADMSG)
		json_array_append_new(breaches, json_string(err.text));
	return say_breaches(ctl, &c);
}

/* --- backup --- */

static int backup(struct ctl *ctl, struct db *db, const char *file)
{
	char size[FORMAT_MAX];
	struct err err;
	struct stat st;
	int e = db_backup(db, file, &err);

	if (e == -EEXIST) {
		fprintf(stderr, "error: %s\n  do this:  choose another name\n", err.text);
		return EXIT_STATE;
	}
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	format_bytes(stat(file, &st) == 0 ? (double)st.st_size : 0, size);
	if (ctl->json)
		print_json(json_pack("{ss, sI}", "file", file, "bytes", (json_int_t)st.st_size));
	else
		fprintf(stderr, "%s written, %s\n", file, size);
	return EXIT_OK;
}

static int run(struct ctl *ctl, void *data)
{
	const struct db_input *input = data;
	struct err err;
	struct db *db;

	if (access(ctl->paths.db, F_OK) < 0 && errno == ENOENT) {
		fprintf(stderr, "error: there is no database yet: %s\n", ctl->paths.db);
		return EXIT_NO_SUCH;
	}
	int e = db_open(&db, ctl->paths.db, DB_READ, &err);
	if (e < 0)
		return ctl_fail(ctl, e, &err);
	int code = input->action == DB_CHECK ? check(ctl, db) : backup(ctl, db, input->file);
	db_close(db);
	return code;
}

const struct verb verb_db = {
	.name = "db",
	.args = "check|backup [FILE]",
	.line = "look whether the database is whole; copy it",
	.group = "Machine",
	.example = "sweepctl db backup ~/results-$(date +%F).db",
	.input_size = sizeof(struct db_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_SUCH, EXIT_STATE, EXIT_PERMISSION),
	.run = run,
};
