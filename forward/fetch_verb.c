/* The verb fetch: options, and what is said of each item. */
#include "verbs.h"

#include "common/fetch_options.h"
#include "common/json.h"
#include "common/protocol.h"
#include "fetch.h"

#include <argp.h>
#include <curl/curl.h>
#include <limits.h>
#include <sys/stat.h>

#define MAX_MIRRORS 16

enum { KEY_WEIGHTS = 1000, KEY_SYSTEM, KEY_JSON };

struct input {
	enum place_kind kind;
	bool system, json;
	const char *data, *catalogue;
	struct fetch_options o;
	char *mirrors[MAX_MIRRORS];
	char **names;
	size_t n_names;
};

static double number(const char *arg, struct argp_state *state, const char *option, double min, double max)
{
	char *end;
	double value = strtod(arg, &end);
	if (end == arg || *end || !(value >= min && value <= max))
		argp_error(state, "--%s needs a number from %g to %g, not \"%s\"", option, min, max, arg);
	return value;
}

static void add_mirror(struct input *in, char *url, struct argp_state *state)
{
	if (in->o.n_mirrors == MAX_MIRRORS)
		argp_error(state, "at most %d mirrors", MAX_MIRRORS);
	in->mirrors[in->o.n_mirrors++] = url;
	in->o.mirrors = in->mirrors;
}

static void check(const struct input *in, struct argp_state *state)
{
	size_t size = in->o.from ? strlen(in->o.from) : 0;
	struct stat st;
	if (in->n_names > 1 && size && in->o.from[size - 1] != '/' &&
	    !(stat(in->o.from, &st) == 0 && S_ISDIR(st.st_mode)))
		argp_error(state,
			   "--from is one file, but there are %zu names; end an address of a directory with \"/\"",
			   in->n_names);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;
	switch (key) {
	case KEY_WEIGHTS:
		in->kind = PLACE_WEIGHTS;
		return 0;
	case KEY_SYSTEM:
		in->system = true;
		return 0;
	case KEY_JSON:
		in->json = true;
		return 0;
	case FETCH_OPTION_DATA:
		in->data = arg;
		return 0;
	case FETCH_OPTION_CATALOGUE:
		in->catalogue = arg;
		return 0;
	case FETCH_OPTION_MIRROR:
		add_mirror(in, arg, state);
		return 0;
	case FETCH_OPTION_FROM:
		in->o.from = arg;
		return 0;
	case FETCH_OPTION_AGAIN:
		in->o.again = true;
		return 0;
	case FETCH_OPTION_TIMEOUT:
		in->o.download.timeout_s = (int)number(arg, state, "timeout", 1, 86400);
		return 0;
	case FETCH_OPTION_RETRIES:
		in->o.download.retries = (int)number(arg, state, "retries", 0, 1000);
		return 0;
	case FETCH_OPTION_RETRY_DELAY:
		in->o.download.retry_delay_s = number(arg, state, "retry-delay", 0, 3600);
		return 0;
	case ARGP_KEY_ARGS:
		in->names = state->argv + state->next;
		in->n_names = (size_t)(state->argc - state->next);
		check(in, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "what shall be fetched? `sweepctl %s list` has the names",
			   in->kind == PLACE_WEIGHTS ? "weights" : "dataset");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{"weights", KEY_WEIGHTS, NULL, 0, "names are of weights, not of data sets"},
	{"system", KEY_SYSTEM, NULL, 0, "for the system's sweepd: below /var/lib/sweepd"},
	{"json", KEY_JSON, NULL, 0, "answer in JSON"},
#define FETCH_OPTION(id, name, arg, help) {name, FETCH_OPTION_##id, arg, 0, help},
#include "common/fetch_options.def"
#undef FETCH_OPTION
	{0},
};

static const struct argp argp = {options, parse, "NAME...", "Brings data sets or weights to this machine."};

static void on_signal(int signal)
{
	download_interrupted = 1;
}

static int exit_code_of(int r)
{
	switch (r) {
	case 0:
		return EXIT_OK;
	case -EINTR:
		return EXIT_INTERRUPTED;
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return EXIT_PERMISSION;
	}
	return EXIT_BAD_OUTCOME;
}

static json_t *result_json(const char *name, int r, const struct fetched *f, const struct err *err)
{
	if (r < 0)
		return json_pack("{ss, ss, ss}", "name", name, "state", "failed", "error", err->text);
	return json_pack("{ss, ss, ss, ss?, sI}", "name", name, "state", f->was_there ? "present" : "fetched", "path",
			 f->path, "source", f->source, "bytes", (json_int_t)f->bytes);
}

static void say(const struct input *in, const char *name, int r, const struct fetched *f, const struct err *err)
{
	char bytes[32];
	if (r < 0)
		fprintf(stderr, "error: %s\n", err->text);
	else
		fprintf(in->json ? stderr : stdout, "%s %s: %s (%s)\n", name,
			f->was_there ? "is there" : "fetched and checked", f->path, bytes_text(f->bytes, bytes));
	if (r == 0 && in->data && in->kind == PLACE_DATASETS)
		fprintf(stderr, "name it to a sweep: sweepctl submit --data %s\n", in->data);
}

static int fetch_one(struct input *in, const struct catalogue *c, const char *name, json_t *answer)
{
	const struct catalogue_item *item;
	struct fetched f = {0};
	struct err err;
	int code;
	int r = catalogue_find(c, in->kind, name, &item, &err);
	if (r < 0) {
		code = EXIT_NO_SUCH;
	} else {
		r = fetch_item(item, &in->o, &f, &err);
		code = exit_code_of(r);
	}
	if (r == -EINTR)
		err_set(&err, r, "interrupted; the same command goes on where it stopped");
	say(in, name, r, &f, &err);
	json_array_append_new(answer, result_json(name, r, &f, &err));
	fetched_fini(&f);
	return code;
}

static int fetch_names(struct input *in, const struct catalogue *c)
{
	autojson json_t *answer = json_array();
	int code = EXIT_OK;
	for (size_t i = 0; i < in->n_names && code != EXIT_INTERRUPTED; i++) {
		int one = fetch_one(in, c, in->names[i], answer);
		code = code == EXIT_OK || one == EXIT_INTERRUPTED ? one : code;
	}
	autofree char *line = json_line(answer);
	if (in->json)
		puts(line);
	if (fflush(stdout) != 0 && code == EXIT_OK)
		code = EXIT_BAD_OUTCOME;
	return code;
}

int verb_fetch(int argc, char **argv)
{
	struct progress progress;
	struct input in = {.o.download = {.timeout_s = 60, .retries = 5, .retry_delay_s = 1, .progress = &progress}};
	struct sigaction interrupt = {.sa_handler = on_signal}; /* no SA_RESTART: what waits shall wake */
	auto_catalogue struct catalogue c = {0};
	struct err err;
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &in);
	umask(0022); /* what is fetched is everybody's to read */
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &interrupt, NULL);
	if (catalogue_open(&c, in.catalogue, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fputs("error: libcurl does not start\n", stderr);
		return EXIT_BAD_OUTCOME;
	}
	autofree char *place = places_install(in.kind, in.data, in.system);
	progress_init(&progress);
	in.o.place = place;
	in.o.only_place = in.data != NULL;
	int code = fetch_names(&in, &c);
	curl_global_cleanup();
	return code;
}
