/* sweepctl report: reads one sweep from the store and writes its document; see report.h. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/html.h"
#include "ctl/text.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

struct report_input {
	struct words targets;
	const char *file;
	bool markdown;
	int best; /* 0: all */
};

/* 2 KiB each: what a browser opens at once and a person still finds a run in. */
#define REPORT_JOBS 2000

static const struct argp_option options[] = {
	{"best", 'b', "N", 0, "only the best N finished jobs of the sweep (a report holds at most 2000)"},
	{"output", 'o', "FILE", 0, "default report-sN.html; - is standard output"},
	{"markdown", 'm', NULL, 0, "text and tables in Markdown, without the charts"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct report_input *input = state->input;

	switch (key) {
	case 'o':
		input->file = arg;
		return 0;
	case 'm':
		input->markdown = true;
		return 0;
	case 'b':
		input->best = number_take(arg, state, "--best", "a number of jobs", 1);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

double report_seconds(const struct report *rep)
{
	double sum = 0;

	for (size_t i = 0; i < rep->n_runs; i++)
		sum += rep->runs[i].job->seconds;
	return sum;
}

/* "sweepctl submit --override train_images=64 demo.json": FILE holds the sweep file as the report shows it. */
static char *submit_command(const struct report *rep)
{
	const char *start = rep->source.text ? rep->source.text : "";
	autofree char *data = rep->source.data_dir ? shell_quoted(rep->source.data_dir) : NULL;
	char *text = xstrdup("sweepctl submit");
	size_t i;
	json_t *pair;

	if (data)
		text_append(&text, " --data %s", data);
	json_array_foreach(rep->source.overrides, i, pair)
	{
		autofree char *value = format_value(json_array_get(pair, 1));
		autofree char *word = xasprintf("%s=%s", json_string_value(json_array_get(pair, 0)), value);
		autofree char *quoted = shell_quoted(word);
		text_append(&text, " --override %s", quoted);
	}
	text_append(&text, start[strspn(start, " \t\r\n")] == '{' ? " sweep.json" : " sweep.yaml");
	return text;
}

char *report_commands(const struct report *rep)
{
	autofree char *submit = submit_command(rep);
	autofree char *shown = format_path(rep->paths->db);
	autofree char *db = shell_quoted(shown);
	autofree char *sweep = xasprintf("s%lld", (long long)rep->sweep->id);
	bool whole = (int64_t)rep->n_runs == rep->sweep->n_jobs;

	return xasprintf("%s\n"
			 "sweepctl report %s\n"
			 "sqlite3 -column -header %s 'SELECT * FROM results WHERE job IN "
			 "(SELECT id FROM job WHERE sweep = %lld)'\n"
			 "sqlite3 -csv -header %s 'SELECT * FROM curves WHERE job IN "
			 "(SELECT id FROM job WHERE sweep = %lld)' > curves.csv\n",
			 submit, whole ? sweep : strchr(rep->jobs, ' ') + 1, db, (long long)rep->sweep->id, db,
			 (long long)rep->sweep->id);
}

/* What of a worker's `started` describes the machine and not the run; "backend cpu, device AMD EPYC, ...". */
static char *machine_of(const json_t *details)
{
	static const char *const of_the_run[] = {"type",         "attempt",     "seq",         "at_ms",
						 "start_epoch",  "start_step",  "batch_size",  "steps_per_epoch",
						 "train_images", "test_images", "num_workers", "resumed_note"};
	char *text = xstrdup("");
	const char *key, *name;
	json_t *value, *version;

	json_object_foreach((json_t *)details, key, value)
	{
		bool machine = !json_is_null(value) && !json_is_array(value); /* a list: warnings, told of their jobs */
		for (size_t i = 0; i < ARRAY_LEN(of_the_run); i++)
			machine = machine && !str_eq(key, of_the_run[i]);
		if (!machine)
			continue;
		if (json_is_object(value)) { /* versions */
			json_object_foreach(value, name, version)
			{
				autofree char *number = format_value(version);
				text_append(&text, "%s%s %s", *text ? "; " : "", name, number);
			}
			continue;
		}
		autofree char *one = format_value(value);
		text_append(&text, "%s%s %s", *text ? "; " : "", key, one);
	}
	return text;
}

static int add_machines(struct report *rep, struct reader *r, struct report_run *run, struct err *err)
{
	const struct job_row *job = run->job;
	struct attempt_row *attempts = NULL;
	size_t n = 0;
	int e = reader_attempts(r, job->id, &attempts, &n, err);

	for (size_t i = 0; e == 0 && i < n; i++) {
		autofree char *machine = attempts[i].details ? machine_of(attempts[i].details) : NULL;
		if (!machine)
			continue;
		run->only_fp32 = str_eq(json_str_or(attempts[i].details, "amp", ""), "fp32");
		json_t *jobs = json_object_get(rep->machines, machine);
		if (!jobs) {
			jobs = json_array();
			json_object_set_new_nocheck(rep->machines, machine, jobs);
		}
		size_t have = json_array_size(jobs);
		if (!have || json_integer_value(json_array_get(jobs, have - 1)) != job->id)
			json_array_append_new(jobs, json_integer(job->id));
	}
	attempt_rows_free(attempts, n);
	return e;
}

/* The swept parameters that differ between the jobs at hand, in the sweep's order. */
static json_t *axes_of(const struct report *rep)
{
	json_t *axes = json_array();
	size_t i;
	json_t *name;

	json_array_foreach(rep->sweep->swept, i, name)
	{
		autojson json_t *levels = report_levels(rep, json_string_value(name));
		if (json_array_size(levels) > 1)
			json_array_append(axes, name);
	}
	return axes;
}

static char *label_of(const struct report *rep, const struct report_run *run)
{
	char *text = xstrdup("");
	size_t i;
	json_t *name;

	json_array_foreach(rep->axes, i, name)
	{
		autofree char *value = report_value(run, json_string_value(name));
		text_append(&text, "%s%s", i ? ", " : "", value);
	}
	return text;
}

static int compare_runs(const void *a, const void *b, void *data)
{
	const struct report_run *first = *(struct report_run *const *)a, *second = *(struct report_run *const *)b;
	const struct sweep_row *sweep = data;
	bool first_done = first->job->state == JOB_DONE && !isnan(first->job->value);
	bool second_done = second->job->state == JOB_DONE && !isnan(second->job->value);

	if (first_done != second_done)
		return first_done ? -1 : 1;
	if (first_done && first->job->value != second->job->value)
		return (first->job->value > second->job->value) == sweep->maximize ? -1 : 1;
	return first->job->position < second->job->position ? -1 : 1;
}

static void rank_runs(struct report *rep)
{
	rep->best = xcalloc(rep->n_runs + 1, sizeof(*rep->best));
	for (size_t i = 0; i < rep->n_runs; i++) {
		const struct job_row *job = rep->runs[i].job;
		rep->best[i] = &rep->runs[i];
		rep->counts[job->state]++;
		if (job->state == JOB_DONE && (!rep->fastest || job->seconds < rep->fastest->job->seconds))
			rep->fastest = &rep->runs[i];
	}
	qsort_r(rep->best, rep->n_runs, sizeof(*rep->best), compare_runs, (void *)rep->sweep);
	for (size_t i = 0; i < rep->n_runs; i++) {
		const struct job_row *job = rep->best[i]->job;
		if (job->state == JOB_DONE && !isnan(job->value))
			rep->best[i]->rank = (int)++rep->n_ranked;
	}
}

/* What is shown of the best run alone. */
static int load_best(struct report *rep, struct reader *r, struct err *err)
{
	struct err why;
	int64_t job = rep->best[0]->job->id;
	int e = reader_metrics(r, job, &rep->metrics, &rep->n_metrics, err);

	if (e == 0)
		e = reader_samples(r, job, &rep->samples, &rep->n_samples, err);
	if (e == 0 && confusion_read(&rep->confusion, rep->paths, job, &why) < 0)
		rep->confusion_trouble = xstrdup(why.text);
	return e;
}

static int load_run(struct report *rep, struct reader *r, struct report_run *run, struct err *err)
{
	static const struct resources_row unknown = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	const struct job_row *job = run->job;
	bool done = job->state == JOB_DONE;
	int e = reader_epochs(r, job->id, rep->sweep->metric, &run->epochs, &run->n_epochs, err);

	run->used = unknown;
	run->minutes = done ? job->seconds / 60 : NAN;
	run->accuracy = done ? job->test_accuracy : NAN;
	if (e == 0)
		e = reader_notes(r, job->id, &run->notes, err);
	if (e == 0)
		e = MIN(reader_resources(r, job->id, &run->used, err), 0);
	return e < 0 ? e : add_machines(rep, r, run, err);
}

static char *jobs_of(const struct selection *sel)
{
	int64_t *ids = xcalloc(sel->n_jobs + 1, sizeof(*ids));

	for (size_t i = 0; i < sel->n_jobs; i++)
		ids[i] = sel->jobs[i].id;
	char *text = format_jobs(ids, sel->n_jobs);
	free(ids);
	return text;
}

/* Everything that the document says, as of one instant. */
static int report_load(struct report *rep, struct reader *r, const struct selection *sel, struct err *err)
{
	int e = reader_sweep_source(r, rep->sweep->id, &rep->source, err);

	rep->made_ms = wall_ms();
	rep->machines = json_object();
	rep->columns = selection_columns(sel, true);
	rep->jobs = jobs_of(sel);
	rep->n_runs = sel->n_jobs;
	rep->runs = xcalloc(rep->n_runs + 1, sizeof(rep->runs[0]));
	for (size_t i = 0; i < rep->n_runs; i++)
		rep->runs[i].job = &sel->jobs[i];
	for (size_t i = 0; e >= 0 && i < rep->n_runs; i++)
		e = load_run(rep, r, &rep->runs[i], err);
	if (e < 0)
		return e;
	rep->axes = axes_of(rep);
	for (size_t i = 0; i < rep->n_runs; i++)
		rep->runs[i].label = label_of(rep, &rep->runs[i]);
	rank_runs(rep);
	report_encode(rep);
	return rep->n_ranked ? load_best(rep, r, err) : 0;
}

static void report_fini(struct report *rep)
{
	for (size_t i = 0; i < rep->n_runs; i++) {
		free(rep->runs[i].epochs);
		free(rep->runs[i].label);
		free(rep->runs[i].notes);
	}
	free(rep->runs);
	free(rep->best);
	sweep_source_fini(&rep->source);
	report_code_fini(&rep->code);
	confusion_matrix_fini(&rep->confusion);
	free(rep->confusion_trouble);
	metric_rows_free(rep->metrics, rep->n_metrics);
	free(rep->samples);
	json_decref(rep->columns);
	json_decref(rep->axes);
	json_decref(rep->machines);
	free(rep->jobs);
	free(rep->file);
}

/* The sweep that all selected jobs are of; 0 or an exit code. */
static int one_sweep(struct report *rep, const struct selection *sel)
{
	if (sel->missing)
		return EXIT_NO_SUCH;
	if (!sel->n_jobs) {
		fputs("error: no sweeps yet\n  do this:  sweepctl submit FILE\n", stderr);
		return EXIT_NO_SUCH;
	}
	rep->sweep = selection_sweep(sel, &sel->jobs[0]);
	for (size_t i = 1; i < sel->n_jobs; i++) {
		if (sel->jobs[i].sweep == rep->sweep->id)
			continue;
		fprintf(stderr,
			"error: a report is about one sweep; job %lld is of s%lld, job %lld of s%lld\n"
			"  do this:  sweepctl report s%lld\n",
			(long long)sel->jobs[0].id, (long long)rep->sweep->id, (long long)sel->jobs[i].id,
			(long long)sel->jobs[i].sweep, (long long)sel->jobs[i].sweep);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

/* A file appears whole or not at all; a device or a pipe is written to, never replaced. */
static int write_to(const char *path, const char *text, size_t size, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return fs_write_file(path, text, size, 0666, err);
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	int e = fd < 0 ? -errno : fs_write_all(fd, text, size);
	return e < 0 ? err_sys(err, e, "cannot write %s", path) : 0;
}

static int report_write(const struct ctl *ctl, const struct report *rep, bool markdown, struct err *err)
{
	autofree char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	INVARIANT(out, "out of memory");
	if (markdown)
		report_markdown(rep, out);
	else
		report_html(rep, out);
	INVARIANT(fclose(out) == 0, "out of memory");
	if (str_eq(rep->file, "-")) {
		fwrite(text, 1, size, stdout);
		return 0;
	}
	int e = write_to(rep->file, text, size, err);
	if (e < 0)
		return e;
	autofree char *name = text_clean(rep->sweep->name);
	char bytes[FORMAT_MAX];
	if (ctl->json) {
		autofree char *id = xasprintf("s%lld", (long long)rep->sweep->id);
		print_json(json_pack("{ss, ss, sI, sI}", "file", rep->file, "sweep", id, "jobs",
				     (json_int_t)rep->n_runs, "bytes", (json_int_t)size));
	} else {
		printf("%s: s%lld %s, %zu job%s, %s\n", rep->file, (long long)rep->sweep->id, name, rep->n_runs,
		       rep->n_runs == 1 ? "" : "s", format_bytes((double)size, bytes));
	}
	return 0;
}

/* The jobs that the document is to show; 0 or an exit code. */
static int choose_jobs(struct selection *sel, struct reader *r, const struct report_input *input, int *ret_code, struct err *err)
{
	size_t counts[N_JOB_STATES];
	int e = selection_name_all(sel, r, input->targets.items, input->targets.n, false, err);

	if (e == 0 && input->best)
		e = selection_keep_best(sel, r, input->best, err);
	int64_t n = e == 0 ? selection_count(sel, r, counts, err) : e;
	if (n < 0)
		return (int)n;
	if (n <= REPORT_JOBS)
		return selection_load(sel, r, err);
	fprintf(stderr, "error: these are %lld jobs; a report holds at most %d\n  do this:  sweepctl report --best 100 s%lld\n",
		(long long)n, REPORT_JOBS, (long long)sel->parts[0].sweep);
	*ret_code = EXIT_USAGE;
	return 0;
}

static int run(struct ctl *ctl, void *data)
{
	struct report_input *input = data;
	struct selection sel = {0};
	struct report rep = {.paths = &ctl->paths};
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = reader_begin(r, &err);
	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = choose_jobs(&sel, r, input, &code, &err);
	if (e == 0 && code == EXIT_OK)
		code = one_sweep(&rep, &sel);
	if (e == 0 && code == EXIT_OK)
		e = report_load(&rep, r, &sel, &err);
	if (r)
		reader_end(r);
	if (e == 0 && code == EXIT_OK) {
		rep.file = input->file ? xstrdup(input->file)
				       : xasprintf("report-s%lld.%s", (long long)rep.sweep->id,
						   input->markdown ? "md" : "html");
		e = report_write(ctl, &rep, input->markdown, &err);
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	report_fini(&rep);
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_report = {
	.name = "report",
	.args = "[TARGET...]",
	.line = "a sweep as one HTML file: tables, curves, classes, power",
	.group = "Results",
	.example = "sweepctl report s1 -o report.html",
	.input_size = sizeof(struct report_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
