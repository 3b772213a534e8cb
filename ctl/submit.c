/* sweepctl submit: hands a sweep to sweepd.
 *
 * The text of the file travels with an id of this submit, so that a lost answer may be asked for again: the same id is
 * stored once. */
#include "ctl/submit.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "ctl/reader.h"
#include "ctl/wandb.h"
#include "ctl/watch.h"
#include "common/json.h"

#include <sys/random.h>

enum { OPTION_DATA = 512, OPTION_NAME, OPTION_NOTE, OPTION_AGAIN, OPTION_ALL };

static const struct argp_option options[] = {
	{"dry-run", 'n', NULL, 0, "print the jobs and store nothing"},
	{"override", 'o', "KEY=VALUE", 0, "set a parameter for every job; may be repeated"},
	{"data", OPTION_DATA, "DIR", 0, "the data set lies there"},
	{"name", OPTION_NAME, "NAME", 0, "name of the sweep, instead of the file's"},
	{"note", OPTION_NOTE, "TEXT", 0, "shown in the Notes of its results"},
	{"again", OPTION_AGAIN, NULL, 0, "store it anew although the same sweep is there"},
	{"all", OPTION_ALL, NULL, 0, "--dry-run: every parameter, every job"},
	{"quiet", 'q', NULL, 0, "print the sweep's id alone"},
	{"watch", 'w', NULL, 0, "watch it then"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct submit_input *input = state->input;

	switch (key) {
	case 'n':
		input->dry_run = true;
		return 0;
	case 'o':
		input->overrides = xrealloc_array(input->overrides, input->n_overrides + 1, sizeof(char *));
		input->overrides[input->n_overrides++] = arg;
		return 0;
	case OPTION_DATA:
		input->data = arg;
		return 0;
	case OPTION_NAME:
		input->name = arg;
		return 0;
	case OPTION_NOTE:
		input->note = arg;
		return 0;
	case OPTION_AGAIN:
		input->again = true;
		return 0;
	case OPTION_ALL:
		input->all = true;
		return 0;
	case 'q':
		input->quiet = true;
		return 0;
	case 'w':
		input->watch = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->file)
			argp_error(state, "one file at a time; \"%s\" is a second", arg);
		input->file = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which file? (- is standard input)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

/* The most that a sweep of a million jobs takes beside busy workers. */
#define SUBMIT_MS 120000

/* RFC 4122, version 4. */
static void make_uuid(char *buf)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		BUG("getrandom: %s", strerror(errno));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(buf, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static json_t *request_of(const struct sweep_file *f, const struct submit_input *input)
{
	json_t *overrides = json_array();
	char uuid[37];

	for (size_t i = 0; i < input->n_overrides; i++)
		json_array_append_new(overrides, json_pack("[ss]", f->overrides[i].key, f->overrides[i].value));
	make_uuid(uuid);
	return json_pack("{ss, ss%, ss, so, ss?, ss?, ss?, sO, ss?, sn, sb, ss}", "verb", "submit", "text", f->text,
			 f->size, "file_name", f->base, "overrides", overrides, "name", input->name, "data_dir",
			 f->data_dir, "file_dir", f->file_dir, "wandb", f->wandb, "note", input->note, "priority",
			 "again", (int)input->again, "submission", uuid);
}

/* Asks; where no daemon runs starts a private one; where the answer was lost asks once more. */
static int send_sweep(struct ctl *ctl, const json_t *request, json_t **ret)
{
	struct err err;
	int pid;
	int e = client_ask(&ctl->paths, json_deep_copy(request), SUBMIT_MS, ret, &err);

	if (e == -ENOTCONN && !ctl->paths.system) {
		int code = launch_daemon(ctl, &pid);
		if (code)
			return code;
		fprintf(stderr, "no sweepd was running: started one for you (pid %d); stop: sweepctl daemon stop\n",
			pid);
		e = client_ask(&ctl->paths, json_deep_copy(request), SUBMIT_MS, ret, &err);
	}
	if (e == -ETIMEDOUT || e == -ECONNRESET || e == -EPIPE)
		e = client_ask(&ctl->paths, json_deep_copy(request), SUBMIT_MS, ret, &err);
	return e < 0 ? ctl_fail(ctl, e, &err) : EXIT_OK;
}

/* "cpu, cuda:0" of the daemon's devices that are ready; allocated. */
static char *ready_devices(const struct ctl *ctl)
{
	autojson json_t *answer = NULL;
	char *text = NULL;
	size_t i;
	json_t *device;

	if (client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, NULL) < 0)
		return xstrdup("not known");
	json_array_foreach(json_object_get(answer, "devices"), i,
			   device) if (str_eq(json_str_or(device, "state", ""), "ready"))
		text_append(&text, "%s%s", text ? ", " : "", json_str_or(device, "id", "?"));
	return text ? text : xstrdup("none ready yet");
}

/* Two facts on a line, or where the first is long on a line each. */
static void print_pair(const struct ctl *ctl, const char *a, const char *first, const char *b, const char *second)
{
	bool beside = strlen(first) <= 29;
	autofree char *line = beside ? xasprintf("  %-8s %-29s %-7s %s", a, first, b, second) : xasprintf("  %-8s %s", a, first);

	screen_wrap(&ctl->out, stdout, line, 11);
	if (!beside)
		printf("  %-8s %s\n", b, second);
}

static void print_new(const struct ctl *ctl, const struct sweep_file *f, const json_t *answer, const char *id)
{
	autofree char *swept = xstrdup("");
	autofree char *metric = xasprintf("%s, %s", f->sweep->metric, f->sweep->maximize ? "maximize" : "minimize");
	autofree char *devices = ready_devices(ctl);
	long long n = json_int_or(answer, "jobs", 0), first = json_int_or(answer, "first_job", 0);

	for (size_t i = 0; i < f->sweep->n_swept; i++)
		text_append(&swept, "%s%s", i ? ", " : "", f->sweep->swept[i]);
	printf("%s %s: %lld job%s queued (%lld", id, json_str_or(answer, "name", ""), n, n == 1 ? "" : "s", first);
	if (n > 1)
		printf("-%lld", (long long)json_int_or(answer, "last_job", 0));
	puts("), on disk");
	print_pair(ctl, "swept", *swept ? swept : "nothing", "metric", metric);
	print_pair(ctl, "devices", devices, "time", "known after the first epoch");
	wandb_print_new(ctl, f->sweep, f->file_dir);
	autofree char *follow = xasprintf("follow: sweepctl watch %s", id);
	printf("%-40s stop: sweepctl cancel %s\n", follow, id);
}

/* "s1 grid holds these 8 configurations already (5 done, 1 failed); nothing new. anew: submit --again FILE" */
static void print_existing(const struct ctl *ctl, const struct sweep *sweep, const json_t *answer, const char *id,
			   const char *file)
{
	struct reader *r = NULL;
	const struct job_part part = {.sweep = json_int_or(answer, "sweep", -1)};
	size_t counts[N_JOB_STATES] = {0};
	bool any = false;

	if (reader_open(&r, &ctl->paths, NULL) == 0 &&
	    reader_count(r, &part, counts, NULL) < 0)
		fputs("the store cannot be read at the moment\n", stderr);
	printf("%s %s holds these %lld configurations already", id, json_str_or(answer, "name", ""),
	       (long long)json_int_or(answer, "jobs", 0));
	for (int i = 0; i < N_JOB_STATES; i++) {
		if (!counts[i])
			continue;
		printf("%s%zu %s", any ? ", " : " (", counts[i], job_state_names[i]);
		any = true;
	}
	printf("%s; nothing new\n", any ? ")" : "");
	wandb_print_existing(r, part.sweep, sweep);
	printf("anew: sweepctl submit --again %s\n", file);
	reader_close(r);
}

static int submit(struct ctl *ctl, const struct sweep_file *f, const struct submit_input *input)
{
	autojson json_t *request = request_of(f, input);
	autojson json_t *answer = NULL;

	if (!request) {
		fputs("error: file name, --name, --note and --override must be UTF-8 text\n", stderr);
		return EXIT_USAGE;
	}
	int code = send_sweep(ctl, request, &answer);
	if (code)
		return code;
	if (!json_bool_or(answer, "ok", false))
		return ctl_refused(answer);
	autofree char *id = xasprintf("s%lld", (long long)json_int_or(answer, "sweep", 0));
	if (ctl->json)
		print_json(json_incref(answer));
	else if (input->quiet)
		puts(id);
	else if (json_bool_or(answer, "existing", false))
		print_existing(ctl, f->sweep, answer, id, input->file);
	else
		print_new(ctl, f, answer, id);
	fflush(stdout);
	return input->watch ? watch_target(ctl, id) : EXIT_OK;
}

static int run(struct ctl *ctl, void *data)
{
	struct submit_input *input = data;
	struct sweep_file f;
	int code = sweep_file_load(&f, input);

	if (!code)
		submit_tell_precision(f.sweep);
	if (!code && input->dry_run)
		dry_run_print(ctl, &f, input);
	else if (!code)
		code = submit(ctl, &f, input);
	sweep_file_fini(&f);
	free(input->overrides);
	return code;
}

const struct verb verb_submit = {
	.name = "submit",
	.args = "FILE|-",
	.line = "store a sweep and run it",
	.group = "Start",
	.example = "sweepctl submit --override epochs=50 sweeps/grid.json",
	.input_size = sizeof(struct submit_input),
	.argp = &argp,
	.exits = EXITS(EXIT_NO_DAEMON, EXIT_REFUSED, EXIT_PERMISSION, EXIT_INTERRUPTED),
	.run = run,
};
