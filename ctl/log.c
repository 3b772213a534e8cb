/* sweepctl log: what a job's worker wrote, STATE/jobs/ID/log.txt. */
#include "ctl/ctl.h"
#include "ctl/target.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

struct log_input {
	struct words targets;
	long lines; /* < 0: all */
	bool follow;
};

static const struct argp_option options[] = {
	{"lines", 'n', "N", 0, "only the last N lines"},
	{"follow", 'f', NULL, 0, "go on until the job ends"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct log_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->lines = -1;
		return 0;
	case 'n':
		input->lines = number_take(arg, state, "-n", "a number of lines", 0);
		return 0;
	case 'f':
		input->follow = true;
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		if (input->targets.n > 1)
			argp_error(state, "one job at a time");
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which job? (sweepctl list)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

/* Look for new lines, and for the end of the job, so often. */
#define FOLLOW_MS 250

/* Where the last n lines begin, found from the end in blocks. */
static off_t tail_start(int fd, off_t size, long n)
{
	char block[65536];
	long lines = 0;

	for (off_t end = size; end > 0;) {
		size_t want = (size_t)MIN(end, (off_t)sizeof(block));
		ssize_t got = pread(fd, block, want, end - (off_t)want);
		if (got != (ssize_t)want)
			return 0;
		for (size_t i = want; i-- > 0;) {
			off_t at = end - (off_t)want + (off_t)i;
			/* A newline at the very end closes the last line. */
			if (block[i] == '\n' && at != size - 1 && ++lines == n)
				return at + 1;
		}
		end -= (off_t)want;
	}
	return 0;
}

struct log_tail {
	int fd;
	off_t at;
	bool json;
	const struct screen *out;
	int64_t job;
	char *rest; /* JSON, terminal: a line that is not whole yet */
};

static void print_line(struct log_tail *t, const char *line, size_t size)
{
	json_t *text = json_stringn(line, size);

	print_json(json_pack("{sI, so}", "job", (json_int_t)t->job, "line", text ? text : json_string("(not UTF-8)")));
}

/* A line for a person's terminal, which it must not drive; a pipe or a file gets the bytes as they are. */
static void print_harmless(const struct screen *out, const char *line)
{
	autofree char *clean = text_clean_lines(line);

	screen_wrap(out, stdout, clean, 2);
}

static void print_bytes(struct log_tail *t, const char *bytes, size_t size)
{
	if (!t->json && !t->out->terminal) {
		fwrite(bytes, 1, size, stdout);
		return;
	}
	for (size_t i = 0; i < size;) {
		const char *end = memchr(bytes + i, '\n', size - i);
		size_t length = end ? (size_t)(end - bytes) - i : size - i;
		size_t have = t->rest ? strlen(t->rest) : 0;
		t->rest = xrealloc_array(t->rest, have + length + 1, 1);
		memcpy(t->rest + have, bytes + i, length);
		t->rest[have + length] = 0;
		if (end && t->json)
			print_line(t, t->rest, have + length);
		else if (end)
			print_harmless(t->out, t->rest);
		if (end) {
			t->rest[0] = 0;
		}
		i += length + (end != NULL);
	}
}

/* Everything from t->at to the end of the file. */
static int copy_new(struct log_tail *t, struct err *err)
{
	char block[65536];
	ssize_t n;

	while ((n = pread(t->fd, block, sizeof(block), t->at)) > 0) {
		print_bytes(t, block, (size_t)n);
		t->at += n;
	}
	fflush(stdout);
	return n < 0 ? err_sys(err, -errno, "log of job %lld", (long long)t->job) : 0;
}

/* The job is read before the file, so that its last lines are not missed. */
static int follow(struct log_tail *t, struct reader *r, const char *path, struct err *err)
{
	for (;;) {
		struct job_row job;
		int found = reader_job(r, t->job, &job, err);
		if (found < 0)
			return found;
		bool over = found == 0 || job_is_final(job.state);
		if (found)
			job_row_fini(&job);
		if (t->fd < 0)
			t->fd = open(path, O_RDONLY | O_CLOEXEC);
		int e = t->fd < 0 ? 0 : copy_new(t, err);
		if (e < 0 || over)
			return e;
		poll(NULL, 0, FOLLOW_MS);
	}
}

static int print_log(struct ctl *ctl, struct reader *r, const struct job_row *job, const struct log_input *input,
		     int *code, struct err *err)
{
	autofree char *dir = paths_job_dir(&ctl->paths, job->id);
	autofree char *path = xasprintf("%s/log.txt", dir);
	struct log_tail t = {.fd = open(path, O_RDONLY | O_CLOEXEC),
			     .json = ctl->json,
			     .out = &ctl->out,
			     .job = job->id};
	struct stat st;
	int e = 0;

	if (t.fd < 0 && errno != ENOENT)
		return err_sys(err, -errno, "%s", path);
	if (t.fd < 0 && (!input->follow || job_is_final(job->state))) {
		fprintf(stderr, "error: job %lld is %s and has no log%s\n", (long long)job->id,
			job_state_names[job->state], job->attempts ? "" : ": it has not been started");
		*code = EXIT_STATE;
		return 0;
	}
	if (t.fd >= 0 && input->lines >= 0 && fstat(t.fd, &st) == 0)
		t.at = input->lines ? tail_start(t.fd, st.st_size, input->lines) : st.st_size;
	e = input->follow ? follow(&t, r, path, err) : copy_new(&t, err);
	if (t.rest && *t.rest && t.json)
		print_line(&t, t.rest, strlen(t.rest));
	else if (t.rest && *t.rest)
		print_harmless(t.out, t.rest);
	free(t.rest);
	cleanup_close(&t.fd);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	struct log_input *input = data;
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	size_t counts[N_JOB_STATES];
	int64_t n = 0;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_name(&sel, r, input->targets.items[0], &err);
	if (e == 0 && (n = selection_count(&sel, r, counts, &err)) < 0)
		e = (int)n;
	if (e == 0 && sel.missing) {
		code = EXIT_NO_SUCH;
	} else if (e == 0 && n != 1) {
		fprintf(stderr, "error: \"%s\" is %lld jobs; log shows one\n  do this:  sweepctl list %s\n",
			input->targets.items[0], (long long)n, input->targets.items[0]);
		code = EXIT_USAGE;
	} else if (e == 0 && (e = selection_load(&sel, r, &err)) == 0) {
		e = print_log(ctl, r, &sel.jobs[0], input, &code, &err);
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_log = {
	.name = "log",
	.args = "JOB",
	.line = "what a job's worker wrote",
	.group = "Follow",
	.example = "sweepctl log 5 -n 20 -f",
	.input_size = sizeof(struct log_input),
	.argp = &argp,
	.exits = EXITS(EXIT_NO_SUCH, EXIT_STATE, EXIT_PERMISSION),
	.run = run,
};
