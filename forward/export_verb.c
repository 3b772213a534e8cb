/* The verb export: runs as offline directories, which `wandb sync` takes. */
#include "offline_run.h"
#include "verbs.h"

#include "common/json.h"
#include "common/paths.h"
#include "common/protocol.h"

#include <argp.h>

struct options {
	const char *dir, *to, *jobs;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->dir = arg;
		return 0;
	case 'o':
		o->to = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->jobs)
			argp_error(state, "one list of jobs; \"%s\" is a second", arg);
		o->jobs = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which jobs? (5, 5-8 or 1,3)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void say_written(const struct options *o, int64_t job, const struct offline_result *result)
{
	if (o->json) {
		autojson json_t *answer =
			json_pack("{s:I, s:s, s:s, s:I, s:b}", "job", (json_int_t)job, "run", result->run_id, "path",
				  result->path, "rows", (json_int_t)result->at.history, "ended", result->ended);
		autofree char *line = json_line(answer);
		puts(line);
	} else {
		printf("job %lld: %s%s\n", (long long)job, result->path,
		       result->ended ? "" : "  (it is not over: without an end)");
	}
	fflush(stdout);
}

/* One after the other; a full disk ends it, since the next one would meet it too. */
static int write_jobs(const struct options *o, struct rows *rows, const struct paths *paths, const char *dir)
{
	int code = EXIT_OK;
	for (const char *at = o->jobs; *at;) {
		char *end;
		long long first = strtoll(at, &end, 10), last = *end == '-' ? strtoll(end + 1, &end, 10) : first;
		if (end == at || last < first || (*end && *end != ',')) {
			fprintf(stderr, "error: \"%s\" names no jobs; expected 5, 5-8 or 1,3\n", o->jobs);
			return EXIT_USAGE;
		}
		for (int64_t job = first; job <= last; job++) {
			struct err err;
			struct offline_result result;
			int r = offline_write_run(rows, paths, dir, job, &result, &err);
			if (r == 0) {
				say_written(o, job, &result);
				offline_result_fini(&result);
				continue;
			}
			fprintf(stderr, "error: %s\n", err.text);
			code = MAX(code, r == -ENOENT || r == -ENODATA ? EXIT_NO_SUCH : EXIT_BAD_OUTCOME);
			if (r == -ENOSPC)
				return EXIT_BAD_OUTCOME;
		}
		at = *end ? end + 1 : end;
	}
	return code;
}

int verb_export(int argc, char **argv)
{
	static const struct argp_option rows_of[] = {
		{"dir", 'd', "DIR", 0, "of the sweepd whose runs are written ($SWEEPD_DIR)"},
		{"to", 'o', "DIR", 0, "write them there; else into wandb/ beside the store"},
		{"json", 'j', NULL, 0, "a line of JSON for each"},
		{0},
	};
	static const struct argp argp = {rows_of, parse, "JOBS", "Writes runs as directories that `wandb sync` takes."};
	struct options o = {0};
	struct paths paths;
	struct rows *rows;
	struct err err;
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	int r = paths_client(&paths, o.dir, &err);
	r = r ? r : rows_open(&rows, &paths, &err);
	if (r < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_PERMISSION;
	}
	autofree char *dir = o.to ? xstrdup(o.to) : offline_default_dir(&paths);
	int code = write_jobs(&o, rows, &paths, dir);
	if (code == EXIT_OK && !o.json)
		printf("to send them: wandb sync %s/offline-run-*\n", dir);
	rows_close(rows);
	paths_fini(&paths);
	return code;
}
