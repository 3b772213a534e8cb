/* sweepctl show: all about a job. */
#include "ctl/show.h"
#include "ctl/ctl.h"
#include "ctl/target.h"
#include "ctl/text.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/json.h"
#include "common/params.h"

#include <math.h>

struct show_input {
	struct words targets;
	bool all;
	int limit; /* 0: all; < 0: as it fits */
};

#define TERMINAL_JOBS 5 /* a screen or two each */

static const struct argp_option options[] = {
	{"all", 'a', NULL, 0, "every parameter, defaults too"},
	{"limit", 'n', "N", 0, "only the first N jobs; 0: all (a terminal: 5, else: all)"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct show_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->limit = -1;
		return 0;
	case 'a':
		input->all = true;
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "--limit", "a number of jobs", 0);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which job? (sweepctl list)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

struct shown { /* one job with all that is read for it */
	const struct job_row *job;
	const struct sweep_row *sweep;
	struct attempt_row *attempts;
	size_t n_attempts;
	struct resources_row used;
	char *notes, *log, *config; /* the paths are NULL where there is no such file yet */
	struct job_tests tests;
	struct run_row run; /* empty: nothing is known of it at W&B */
};

/* "  name        value   name value ..." broken into lines of 78 columns. */
struct paragraph {
	const char *title;
	size_t at;
};

static void add_pair(struct paragraph *p, const char *name, const json_t *value)
{
	autofree char *text = format_value(value);
	size_t size = strlen(name) + 1 + strlen(text);

	if (p->at == 0 || p->at + 3 + size > 78) {
		printf("%s  %-11s ", p->at ? "\n" : "", p->at ? "" : p->title);
		p->at = 14;
	} else {
		fputs("   ", stdout);
		p->at += 3;
	}
	printf("%s %s", name, text);
	p->at += size;
}

static void end_paragraph(struct paragraph *p)
{
	if (p->at)
		putchar('\n');
}

/* What the sweep varies, then what was set to something else than its default. */
static void show_config(const struct job_row *job, bool all)
{
	struct paragraph swept = {"swept"}, set = {"set"};
	struct train_config defaults;
	const char *name;
	json_t *value;
	size_t hidden = 0;

	json_object_foreach(job->swept, name, value) add_pair(&swept, name, value);
	end_paragraph(&swept);
	config_defaults(&defaults);
	json_object_foreach(job->config, name, value)
	{
		const struct param *p = param_find(name);
		autojson json_t *normal = p ? config_get(&defaults, p) : NULL;
		if (json_object_get(job->swept, name))
			continue;
		if (all || !normal || !json_equal(normal, value))
			add_pair(&set, name, value);
		else
			hidden++;
	}
	end_paragraph(&set);
	if (hidden)
		printf("  %-11s %zu more (--all)\n", "defaults", hidden);
}

static bool has_text(const json_t *list, const json_t *text)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
		if (json_equal(item, text))
			return true;
	return false;
}

/* What is unusual about its configuration, and what its newest attempt found unusual about it on its device. */
static json_t *warnings_of(const struct shown *s)
{
	struct train_config config;
	json_t *all = config_from_json(&config, s->job->config, NULL) == 0 ? config_warnings(&config) : json_array(), *sentence;
	const json_t *details = s->n_attempts ? s->attempts[s->n_attempts - 1].details : NULL;
	size_t i;
	json_array_foreach(json_object_get(details, "warnings"), i, sentence)
		if (json_is_string(sentence) && !has_text(all, sentence))
			json_array_append(all, sentence);
	return all;
}

/* "  name        sentence", broken into lines where a terminal is too narrow. */
static void show_sentence(const struct screen *out, const char *name, const char *sentence)
{
	autofree char *line = xasprintf("  %-11s %s", name, sentence);

	screen_wrap(out, stdout, line, 14);
}

static void show_warnings(const struct screen *out, const struct shown *s)
{
	autojson json_t *warnings = warnings_of(s);
	size_t i;
	json_t *sentence;
	json_array_foreach(warnings, i, sentence) {
		autofree char *clean = text_clean(json_string_value(sentence));
		show_sentence(out, i ? "" : "warnings", clean);
	}
}

static void show_speed(const struct job_row *job)
{
	char speed[FORMAT_MAX];

	if (!job->epoch)
		return;
	printf("  speed       %s images/s; an epoch takes %.1f s (%.1f training, %.1f testing)\n",
	       format_speed(job->images_per_second, speed), job->last_seconds,
	       job->last_seconds - job->last_test_seconds, job->last_test_seconds);
}

/* "187 % of a core (199 % at most)"; appended where it is known. */
static void add_share(char **text, const char *what, double mean, double most)
{
	if (isnan(mean))
		return;
	text_append(text, "%s%s %.0f %%", *text ? ", " : "", what, mean);
	if (most >= mean + 1)
		text_append(text, " (%.0f %% at most)", most);
}

static void show_resources(const struct resources_row *u)
{
	autofree char *use = NULL;

	if (!isnan(u->ram_mib))
		printf("  memory      host %.0f MiB at most", u->ram_mib);
	if (!isnan(u->ram_mib) && !isnan(u->vram_mib))
		printf(", device %.0f MiB", u->vram_mib);
	if (!isnan(u->ram_mib))
		putchar('\n');
	add_share(&use, "CPU", u->cpu_percent, u->cpu_percent_max);
	add_share(&use, "GPU", u->gpu_percent, u->gpu_percent_max);
	if (!isnan(u->temperature_c))
		text_append(&use, "%s%.0f C at most", use ? ", " : "", u->temperature_c);
	if (use)
		printf("  use         %s\n", use);
	if (isnan(u->watts))
		return;
	printf("  power       %.1f W", u->watts);
	if (u->watts_max >= u->watts + 0.1)
		printf(" (%.1f W at most)", u->watts_max);
	if (!isnan(u->watt_hours))
		printf(", %.3g Wh in all", u->watt_hours);
	putchar('\n');
}

static void show_limit(const struct sweep_row *sweep)
{
	char text[DURATION_TEXT_MAX];

	if (sweep && !isnan(sweep->time_limit_s))
		printf("  time limit  %s for each attempt\n", duration_text(sweep->time_limit_s, text));
}

static void show_attempt(const struct screen *out, const struct attempt_row *a, int64_t now)
{
	char text[FORMAT_MAX];

	printf("  attempt %-3lld %s, %s since %s", (long long)a->number, a->state, a->device ? a->device : "no device",
	       format_clock(a->started_ms, text));
	if (a->start_epoch || a->start_step)
		printf(", from epoch %lld step %lld", (long long)a->start_epoch, (long long)a->start_step);
	putchar('\n');
	if (a->details) {
		autofree char *backend = text_clean(json_str_or(a->details, "backend", "?"));
		autofree char *amp = text_clean(json_str_or(a->details, "amp", "?"));
		printf("              %s, %s, batch %lld, %lld threads\n", backend, amp,
		       (long long)json_int_or(a->details, "batch_size", 0),
		       (long long)json_int_or(a->details, "threads", 0));
	}
	if (a->ended_ms)
		printf("              ended %s after %s", format_clock(a->ended_ms, text),
		       format_span(isnan(a->seconds) ? (double)(a->ended_ms - a->started_ms) / 1000 : a->seconds,
				   (char[FORMAT_MAX]){0}));
	else if (a->checkpoint_ms)
		printf("              worker pid %lld, checkpoint %s old", (long long)a->worker_pid,
		       format_span((double)(now - a->checkpoint_ms) / 1000, text));
	else
		printf("              worker pid %lld, no checkpoint yet", (long long)a->worker_pid);
	printf(a->class ? ", class %s\n" : "\n", a->class);
	if (a->reason) {
		autofree char *reason = text_clean(a->reason);
		show_sentence(out, "", reason);
	}
}

/* "job 5 of s1 grid: running on cpu, epoch 85 of 200, 43 min left" */
static void show_title(const struct ctl *ctl, const struct shown *s)
{
	const struct job_row *job = s->job;
	const char *state = job_state_names[job->state];
	enum tone tone = state_tone(state);
	autofree char *name = text_clean(s->sweep ? s->sweep->name : "");
	char text[FORMAT_MAX];
	autofree char *line = xasprintf("job %lld of s%lld %s: %s%s%s", (long long)job->id, (long long)job->sweep, name,
					tone_on(&ctl->out, tone), state, tone_off(&ctl->out, tone));

	if (job->state == JOB_RUNNING) {
		double left = job->epoch ? job->seconds / job->epoch * (job->epochs - job->epoch) : NAN;
		text_append(&line, " on %s, epoch %d of %d, ", job->device ? job->device : "?", job->epoch, job->epochs);
		text_append(&line, isnan(left) ? "time: known after the first epoch" : "%s left", format_span(left, text));
		screen_wrap(&ctl->out, stdout, line, 2);
		return;
	}
	if (job->state == JOB_DONE) {
		text_append(&line, ", %s %%", format_accuracy(job->test_accuracy, text));
		autofree char *notes = text_clean(s->notes);
		text_append(&line, ", %s%s%s", format_minutes(job->seconds / 60, text), *notes ? ", " : "", notes);
		screen_wrap(&ctl->out, stdout, line, 2);
		return;
	}
	autofree char *stored = job_reason(job, wall_ms());
	autofree char *reason = text_clean(stored);
	bool says_state = strncmp(reason, state, strlen(state)) == 0; /* "cancelled by uid 1000" */
	text_append(&line, "%s%s", says_state || !*reason ? "" : ": ", says_state ? reason + strlen(state) : reason);
	screen_wrap(&ctl->out, stdout, line, 2);
}

static void show_run(const struct screen *out, const struct run_row *run)
{
	autofree char *url = text_clean(run->url ? run->url : "");
	autofree char *problem = text_clean_lines(run->problem ? run->problem : "");

	if (run->url)
		printf("  W&B         %s, %s, epoch %lld is there\n", url, run->phase, (long long)run->last_epoch);
	if (run->problem)
		show_sentence(out, run->url ? "" : "W&B", problem);
}

static json_t *run_json(const struct run_row *run)
{
	if (!run->url && !run->problem)
		return json_null();
	return json_pack("{ss?, ss?, ss?, sI}", "url", run->url, "phase", run->phase, "problem", run->problem, "epoch",
			 (json_int_t)run->last_epoch);
}

static int show_text(struct ctl *ctl, struct reader *r, const struct shown *s, bool all, struct err *err)
{
	int64_t now = wall_ms();

	show_title(ctl, s);
	show_config(s->job, all);
	show_warnings(&ctl->out, s);
	int e = job_tests_print(&s->tests, &ctl->out, r, s->job, err);
	if (e < 0)
		return e;
	show_speed(s->job);
	show_resources(&s->used);
	show_limit(s->sweep);
	for (size_t i = 0; i < s->n_attempts; i++)
		show_attempt(&ctl->out, &s->attempts[i], now);
	if (s->log)
		printf("  log         %s\n", s->log);
	if (s->config)
		printf("  by hand     sweep-worker --standalone --config %s\n", s->config);
	show_run(&ctl->out, &s->run);
	return 0;
}

static json_t *attempt_json(const struct attempt_row *a)
{
	char text[FORMAT_MAX];
	json_t *o = json_pack("{sI, ss, ss?, ss?, ss?, sI, sI, sI}", "attempt", (json_int_t)a->number, "state",
			      a->state, "device", a->device, "class", a->class, "reason", a->reason, "start_epoch",
			      (json_int_t)a->start_epoch, "start_step", (json_int_t)a->start_step, "last_epoch",
			      (json_int_t)a->last_epoch);

	json_object_set_new(o, "started", json_string(format_rfc3339(a->started_ms, text)));
	json_object_set_new(o, "ended", a->ended_ms ? json_string(format_rfc3339(a->ended_ms, text)) : json_null());
	json_object_set_new(o, "worker_pid", a->worker_pid ? json_integer(a->worker_pid) : json_null());
	json_object_set_new(o, "details", a->details ? json_incref(a->details) : json_null());
	return o;
}

static json_t *resources_json(const struct resources_row *u)
{
	const struct {
		const char *name;
		double value;
	} values[] = {{"ram_mib", u->ram_mib},
		      {"vram_mib", u->vram_mib},
		      {"watt_hours", u->watt_hours},
		      {"watts", u->watts},
		      {"watts_max", u->watts_max},
		      {"cpu_percent", u->cpu_percent},
		      {"cpu_percent_max", u->cpu_percent_max},
		      {"gpu_percent", u->gpu_percent},
		      {"gpu_percent_max", u->gpu_percent_max},
		      {"temperature_c", u->temperature_c}};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		json_object_set_new(o, values[i].name, json_known(values[i].value));
	return o;
}

static int show_json(const struct selection *sel, struct reader *r, const struct shown *s, json_t *array,
		     struct err *err)
{
	json_t *tests = NULL;
	int e = job_tests_json(&s->tests, r, s->job, &tests, err);

	if (e < 0)
		return e;
	json_t *o = job_json(sel, s->job), *attempts = json_array();
	for (size_t i = 0; i < s->n_attempts; i++)
		json_array_append_new(attempts, attempt_json(&s->attempts[i]));
	json_object_set_new(o, "attempts", attempts);
	json_object_set_new(o, "resources", resources_json(&s->used));
	json_object_set_new(o, "minutes", json_known(s->job->state == JOB_DONE ? s->job->seconds / 60 : NAN));
	json_object_set_new(o, "notes", json_string(s->notes));
	json_object_set_new(o, "warnings", warnings_of(s));
	json_object_set_new(o, "wandb", run_json(&s->run));
	json_object_update(o, tests);
	json_decref(tests);
	json_array_append_new(array, o);
	return 0;
}

/* STATE/jobs/ID/NAME where it can be read, shortened for a person; else NULL. */
static char *job_file(const struct ctl *ctl, int64_t job, const char *name)
{
	autofree char *dir = paths_job_dir(&ctl->paths, job);
	autofree char *path = xasprintf("%s/%s", dir, name);
	autofile FILE *f = fopen(path, "re");

	return f ? format_path(path) : NULL;
}

static int show_job(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct job_row *job, bool all,
		    json_t *array, struct err *err)
{
	static const struct resources_row unknown = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	struct shown s = {.job = job, .sweep = selection_sweep(sel, job), .used = unknown};
	int e = reader_attempts(r, job->id, &s.attempts, &s.n_attempts, err);

	if (e == 0)
		e = reader_notes(r, job->id, &s.notes, err);
	if (e == 0)
		e = MIN(reader_resources(r, job->id, &s.used, err), 0);
	if (e == 0)
		e = MIN(reader_run(r, job->id, &s.run, err), 0);
	if (e == 0)
		e = job_tests_read(&s.tests, r, &ctl->paths, job->id, err);
	if (e == 0) {
		s.log = job_file(ctl, job->id, "log.txt");
		s.config = job_file(ctl, job->id, "config.json");
		e = ctl->json ? show_json(sel, r, &s, array, err) : show_text(ctl, r, &s, all, err);
	}
	job_tests_fini(&s.tests);
	attempt_rows_free(s.attempts, s.n_attempts);
	free(s.notes);
	free(s.log);
	free(s.config);
	run_row_fini(&s.run);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	struct show_input *input = data;
	struct selection sel = {0};
	autojson json_t *array = json_array();
	struct reader *r = NULL;
	struct err err;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = reader_begin(r, &err);
	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_add_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	size_t limit = input->limit >= 0		      ? (size_t)input->limit
		       : ctl->out.terminal && !ctl->json ? TERMINAL_JOBS
							       : 0;
	size_t n = limit ? MIN(limit, sel.n_jobs) : sel.n_jobs;
	for (size_t i = 0; e == 0 && i < n; i++)
		e = show_job(ctl, r, &sel, &sel.jobs[i], input->all, array, &err);
	int code = e < 0 ? ctl_fail(ctl, e, &err) : sel.missing ? EXIT_NO_SUCH : EXIT_OK;
	if (e == 0 && ctl->json)
		print_json(json_incref(array));
	if (e == 0 && n < sel.n_jobs && input->limit < 0)
		say_more(ctl, (int64_t)(sel.n_jobs - n), sel.n_jobs - n == 1 ? "more job" : "more jobs", "show",
			 &input->targets);
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_show = {
	.name = "show",
	.args = "TARGET...",
	.line = "all about a job: configuration, metrics, attempts",
	.group = "Follow",
	.example = "sweepctl show 5",
	.input_size = sizeof(struct show_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
