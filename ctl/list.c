/* sweepctl list: the sweeps, or the jobs of a target. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/survey.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "ctl/text.h"
#include "common/clock.h"
#include "common/json.h"

#include <math.h>

struct list_input {
	struct words targets;
	int state; /* or JOB_ANY */
	int limit; /* 0: all; < 0: as it fits */
};

static const struct argp_option options[] = {
	{"state", 's', "STATE", 0, "only jobs in that state: queued, running, paused, done, failed, cancelled"},
	{"limit", 'n', "N", 0, "at most N jobs or sweeps, what needs eyes first; 0: all (a terminal: 100, else: all)"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct list_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->state = JOB_ANY;
		input->limit = -1;
		return 0;
	case 's':
		input->state = job_state_parse(arg);
		if (input->state < 0)
			argp_error(state, "no state \"%s\"", arg);
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "--limit", "a number of lines", 0);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

/* What a whole sweep is doing, in one word. */
static const char *sweep_state(const struct estimate *e)
{
	if (e->counts[JOB_RUNNING])
		return "running";
	if (e->counts[JOB_QUEUED])
		return "queued";
	if (e->counts[JOB_PAUSED])
		return "paused";
	return e->counts[JOB_FAILED] ? "failed" : e->counts[JOB_DONE] ? "done" : "cancelled";
}

static json_t *sweep_json(const struct sweep_row *sweep, const struct estimate *e, const struct job_row *best)
{
	char id[32], time[FORMAT_MAX];
	json_t *states = json_object();

	snprintf(id, sizeof(id), "s%lld", (long long)sweep->id);
	for (int i = 0; i < N_JOB_STATES; i++)
		json_object_set_new(states, job_state_names[i], json_integer((json_int_t)e->counts[i]));
	json_t *object = json_pack("{ss, ss, ss, sI, so, ss, ss}", "sweep", id, "name", sweep->name, "state",
				   sweep_state(e), "jobs", (json_int_t)sweep->n_jobs, "states", states, "metric",
				   sweep->metric, "submitted", format_rfc3339(sweep->submitted_ms, time));
	json_object_set_new(object, "best_job", best ? json_integer(best->id) : json_null());
	json_object_set_new(object, "best", best ? json_known(best->value) : json_null());
	json_object_set_new(object, "minutes", json_known(e->done_seconds / 60));
	json_object_set_new(object, "minutes_left", left_json(e, 60));
	return object;
}

static bool has_other_metric(const struct selection *sel)
{
	for (size_t i = 0; i < sel->n_sweeps; i++)
		if (!str_eq(sel->sweeps[i].metric, "test_accuracy"))
			return true;
	return false;
}

static struct table *sweep_table(const struct selection *sel)
{
	struct table *t = table_new();
	bool other = has_other_metric(sel); /* BEST says nothing without it */

	table_column(t, "SWEEP", false, 0);
	table_column(t, "NAME", false, 0);
	table_shrink_text(t, 12);
	table_column(t, "STATE", false, 0);
	table_column(t, "JOBS", true, 0);
	table_column(t, "DONE", true, 0);
	table_column(t, "FAILED", true, 3);
	table_column(t, "CANCELLED", true, 0);
	table_when_any(t);
	table_column(t, "BEST", false, 0);
	table_column(t, "METRIC", false, other ? 2 : 9);
	if (other)
		table_shrink_text(t, 9);
	table_column(t, "TIME", true, other ? 5 : 1);
	table_column(t, "LEFT", true, 4);
	return t;
}

static void cell_count(struct table *t, size_t count)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", count);
	table_cell(t, text);
}

static void sweep_cells(struct table *t, const struct sweep_row *sweep, const struct estimate *e,
			const struct job_row *best)
{
	char text[FORMAT_MAX];
	autofree char *id = xasprintf("s%lld", (long long)sweep->id);
	autofree char *leader =
		best ? xasprintf("%s  (job %lld)", metric_text(sweep->metric, best->value, text), (long long)best->id)
		     : xstrdup("-");
	const char *state = sweep_state(e);

	table_cell(t, id);
	table_cell(t, sweep->name);
	table_cell_tone(t, state, state_tone(state));
	cell_count(t, (size_t)sweep->n_jobs);
	cell_count(t, e->counts[JOB_DONE]);
	cell_count(t, e->counts[JOB_FAILED]);
	if (e->counts[JOB_CANCELLED])
		cell_count(t, e->counts[JOB_CANCELLED]);
	else
		table_cell(t, "");
	table_cell(t, leader);
	table_cell(t, sweep->metric);
	table_cell(t, e->done_seconds > 0 ? format_span(e->done_seconds, text) : "-");
	table_cell(t, left_text(e, text));
}

static int list_sweep(struct ctl *ctl, struct reader *r, const struct sweep_row *sweep, struct table *t, size_t *n,
		      struct err *err)
{
	const struct job_part part = {.sweep = sweep->id};
	const struct job_page first = {.of = part, .ranked = true, .limit = 1};
	struct job_row *best = NULL;
	size_t n_best = 0;
	struct survey survey = {0};
	int e = reader_begin(r, err);

	if (e == 0)
		e = survey_take(&survey, r, &part, 1, err);
	if (e == 0)
		e = reader_page(r, &first, &best, &n_best, err);
	reader_end(r);
	if (e == 0) {
		struct estimate estimate;
		const struct job_row *leader = n_best && !isnan(best->value) ? best : NULL;
		survey_estimate(&survey, NULL, &estimate);
		if (ctl->json)
			print_json_row(n, sweep_json(sweep, &estimate, leader));
		else
			sweep_cells(t, sweep, &estimate, leader);
		estimate_fini(&estimate);
	}
	job_rows_free(best, n_best);
	survey_fini(&survey);
	return e;
}

/* The newest, and all that have something left to run. */
static int list_sweeps(struct ctl *ctl, struct reader *r, const struct selection *sel, int64_t limit, struct err *err)
{
	struct table *t = sweep_table(sel);
	size_t n = 0, skipped = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i < sel->n_sweeps; i++) {
		const struct sweep_row *sweep = &sel->sweeps[i];
		bool newest = !limit || i + (size_t)limit >= sel->n_sweeps;
		int shown = newest ? 1 : reader_is_unfinished(r, sweep->id, err);
		skipped += shown == 0;
		e = shown > 0 ? list_sweep(ctl, r, sweep, t, &n, err) : shown;
	}
	if (e == 0 && ctl->json)
		print_json_end(n);
	else if (e == 0 && sel->n_sweeps)
		table_print(t, &ctl->out, stdout);
	else if (e == 0)
		puts("no sweeps yet. do this: sweepctl submit FILE");
	if (e == 0 && skipped)
		say_more(ctl, (int64_t)skipped, "older, all over", "list", NULL);
	table_free(t);
	return e;
}

struct job_list {
	struct ctl *ctl;
	const struct selection *sel;
	int state; /* or JOB_ANY */
	json_t *columns;
	const char *metric;  /* of all of them, or "metric" where they differ; NULL: the test accuracy, which has a column */
	struct table *table; /* NULL: no job yet, or JSON */
	size_t n;
};

static const char metrics_differ[] = "metric";

/* What job_list.metric is. */
static const char *metric_of_all(const struct selection *sel)
{
	const char *metric = NULL;

	for (size_t i = 0; i < sel->n_parts; i++) {
		const struct sweep_row *sweep = sweep_row_find(sel->sweeps, sel->n_sweeps, sel->parts[i].sweep);
		if (metric && !str_eq(metric, sweep->metric))
			return metrics_differ;
		metric = sweep->metric;
	}
	return metric && str_eq(metric, "test_accuracy") ? NULL : metric;
}

/* "61.20"; where the jobs' sweeps have several "61.20 val_accuracy". */
static void metric_cell(const struct job_list *list, const struct job_row *job)
{
	const struct sweep_row *sweep = selection_sweep(list->sel, job);
	char number[FORMAT_MAX];

	if (!list->metric)
		return;
	metric_text(sweep->metric, job->value, number);
	autofree char *both = xasprintf("%s %s", number, sweep->metric);
	table_cell(list->table, !*number || !str_eq(list->metric, metrics_differ) ? number : both);
}

static void job_cells(const struct job_list *list, const struct job_row *job)
{
	struct table *t = list->table;
	char epoch[32], text[FORMAT_MAX], id[32];
	autofree char *reason = job_reason(job, wall_ms());
	size_t i;
	json_t *name;

	snprintf(id, sizeof(id), "%lld", (long long)job->id);
	table_cell(t, id);
	json_array_foreach(list->columns, i, name)
	{
		autofree char *value = format_value(json_object_get(job->config, json_string_value(name)));
		table_cell(t, value);
	}
	table_cell_tone(t, job_state_names[job->state], state_tone(job_state_names[job->state]));
	snprintf(epoch, sizeof(epoch), "%d/%d", job->epoch, job->epochs);
	table_cell(t, job->attempts ? epoch : "");
	metric_cell(list, job);
	table_cell(t, format_accuracy(job->test_accuracy, text));
	table_cell(t, job->device ? job->device : "-");
	table_cell(t, reason);
}

static struct table *job_table(const struct job_list *list, const struct job_row *first)
{
	struct table *t = table_new();
	size_t i;
	json_t *name;

	table_column(t, "JOB", true, 0);
	json_array_foreach(list->columns, i, name)
	{
		autofree char *title = format_upper(json_string_value(name));
		table_column(t, title, json_is_number(json_object_get(first->config, json_string_value(name))), 0);
		table_shrink(t, 8);
		table_fold(t, "CONFIG", json_string_value(name));
	}
	table_column(t, "STATE", false, 0);
	table_column(t, "EPOCH", true, 1);
	if (list->metric) {
		autofree char *title = format_upper(list->metric);
		table_column(t, title, !str_eq(list->metric, metrics_differ), 0);
	}
	table_column(t, "TEST %", true, 2);
	table_column(t, "DEVICE", false, 3);
	table_column(t, "REASON", false, 0);
	table_shrink_text(t, list->state == JOB_FAILED ? 30 : 18);
	return t;
}

static int list_job(void *data, const struct job_row *job, struct err *err)
{
	struct job_list *list = data;

	(void)err;
	if (list->ctl->json) {
		print_json_row(&list->n, job_json(list->sel, job));
		return 0;
	}
	if (!list->n++)
		list->table = job_table(list, job);
	job_cells(list, job);
	if (table_is_due(list->table))
		table_print(list->table, &list->ctl->out, stdout);
	return 0;
}

static int list_jobs(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct list_input *input, struct err *err)
{
	struct job_list list = {.ctl = ctl, .sel = sel, .state = input->state, .metric = metric_of_all(sel)};
	struct job_listing how = {.state = input->state, .limit = page_limit(ctl, input->limit)};
	size_t counts[N_JOB_STATES];
	int64_t total = selection_count(sel, r, counts, err);

	if (total < 0)
		return (int)total;
	if (input->state != JOB_ANY)
		total = (int64_t)counts[input->state];
	else if (how.limit && how.limit < total)
		how.order = ORDER_EYES;
	list.columns = selection_columns(sel, false);
	int e = selection_each(sel, r, &how, list_job, &list, err);
	if (e == 0 && ctl->json)
		print_json_end(list.n);
	else if (e == 0 && list.n) {
		table_print(list.table, &ctl->out, stdout);
		say_cut(ctl, list.table);
	} else if (e == 0)
		printf("no job is %s\n", input->state == JOB_ANY ? "there" : job_state_names[input->state]);
	if (e == 0 && total > (int64_t)list.n)
		say_more(ctl, total - (int64_t)list.n, "more", "list", &input->targets);
	table_free(list.table);
	json_decref(list.columns);
	return e;
}

/* Talk: which daemon this is and how it does; on stderr, so that a pipe gets rows alone. */
static void say_daemon(struct ctl *ctl, struct reader *r)
{
	struct err err;
	struct event_row newest;
	char text[FORMAT_MAX];
	json_t *answer = NULL;
	int e = client_ask(&ctl->paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, &err);

	if (e == 0) {
		size_t i, busy = 0, n = 0;
		json_t *device;
		json_array_foreach(json_object_get(answer, "devices"), i, device)
		{
			n++;
			busy += json_is_integer(json_object_get(device, "job"));
		}
		fprintf(stderr, "%s daemon, %zu of %zu device%s busy\n", ctl->paths.system ? "system" : "private", busy,
			n, n == 1 ? "" : "s");
	} else if (e != -ENOTCONN) {
		fprintf(stderr, "daemon: %s\n", err.text);
	} else if (reader_newest_event(r, &newest, &err) == 0 && newest.id) {
		fprintf(stderr, "no daemon (%s); last row %s\n",
			ctl->paths.system ? "sudo systemctl start sweepd" : "sweepctl daemon start",
			format_clock(newest.at_ms, text));
	} else {
		fprintf(stderr, "no daemon (submit starts one)\n");
	}
	json_decref(answer);
}

static int run(struct ctl *ctl, void *data)
{
	struct list_input *input = data;
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0) {
		say_daemon(ctl, r);
		e = selection_init(&sel, r, &err);
	}
	if (e == 0 && !input->targets.n && input->state == JOB_ANY) {
		e = list_sweeps(ctl, r, &sel, page_limit(ctl, input->limit), &err);
	} else if (e == 0) {
		if (!input->targets.n)
			selection_name_sweeps(&sel);
		else
			e = selection_name_all(&sel, r, input->targets.items, input->targets.n, false, &err);
		if (e == 0 && (sel.n_parts || !sel.missing))
			e = list_jobs(ctl, r, &sel, input, &err);
		code = sel.missing ? EXIT_NO_SUCH : EXIT_OK;
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_list = {
	.name = "list",
	.args = "[TARGET...]",
	.line = "the sweeps, or the jobs of a target",
	.group = "Follow",
	.example = "sweepctl list s1 --state queued",
	.input_size = sizeof(struct list_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
