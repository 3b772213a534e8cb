/* sweepctl results: the report's table. */
#include "ctl/csv.h"
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "ctl/text.h"

#include <math.h>

enum results_shape { SHAPE_TABLE, SHAPE_CSV, SHAPE_MARKDOWN };

struct results_input {
	struct words targets;
	enum results_shape shape;
	bool best;
	int limit; /* 0: all; < 0: as it fits */
};

static const struct argp_option options[] = {
	{"best", 'b', NULL, 0, "each job's best epoch instead of its last (chosen on the test set, so it flatters)"},
	{"csv", 'c', NULL, 0, "comma-separated, unrounded"},
	{"limit", 'n', "N", 0, "only the first N jobs; 0: all (a terminal: 100, else: all)"},
	{"markdown", 'm', NULL, 0, "a table that pastes into a report"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct results_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->limit = -1;
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "--limit", "a number of lines", 0);
		return 0;
	case 'b':
		input->best = true;
		return 0;
	case 'c':
		input->shape = SHAPE_CSV;
		return 0;
	case 'm':
		input->shape = SHAPE_MARKDOWN;
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

struct result { /* one job */
	const struct job_row *job;
	double accuracy, value, minutes; /* NaN unless the job is done; value: of the sweep's metric, in the same epoch */
	char *notes;
	bool top; /* the best of all that was asked for */
};

struct results {
	const struct ctl *ctl;
	const struct results_input *input;
	const struct selection *sel;   /* of one sweep; CSV and JSON: of all that is named */
	const struct sweep_row *sweep; /* that one */
	const char *metric;	       /* its metric, where it is not the test accuracy; else NULL */
	bool titled;		       /* there are several */
	struct reader *reader;
	json_t *columns;
	struct extremes extremes;
	struct table *table;
	size_t place; /* rows of that sweep so far */
	size_t n;     /* of all */
	int64_t more; /* that the limit left out */
};

/* What a reader must know, then the user's own text. */
static char *notes_of(const struct sweep_row *sweep, char *stored)
{
	if (!sweep || !sweep->note)
		return stored;
	char *both = xasprintf("%s%s%s", stored, *stored ? "; " : "", sweep->note);
	free(stored);
	return both;
}

static struct table *results_table(const struct results *res)
{
	struct table *t = table_new();
	size_t i;
	json_t *name;

	if (res->ctl->out.terminal) /* a person looks for the row of "best: job 8"; in a pipe it is the report's table */
		table_column(t, "Job", true, 0);
	json_array_foreach(res->columns, i, name)
	{
		table_column(t, param_heading(json_string_value(name)), false, 0);
		table_shrink(t, 8);
		table_fold(t, "Config", json_string_value(name));
	}
	if (res->metric)
		table_column(t, res->metric, true, 0);
	table_column(t, res->input->best ? "Best Test Accuracy" : "Test Accuracy", true, 0);
	table_column(t, "Training Time", true, 0);
	table_column(t, "Notes", false, 0);
	table_shrink_text(t, 22);
	table_rule(t);
	return t;
}

static void row_cells(struct results *res, const struct result *row)
{
	char number[FORMAT_MAX];
	size_t i;
	json_t *name;

	snprintf(number, sizeof(number), "%lld", (long long)row->job->id);
	if (res->ctl->out.terminal)
		table_cell(res->table, number);
	json_array_foreach(res->columns, i, name)
	{
		autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
		table_cell(res->table, text);
	}
	if (res->metric)
		table_cell(res->table, metric_text(res->metric, row->value, number));
	autofree char *accuracy = xasprintf("%s %%", format_accuracy(row->accuracy, number));
	table_cell_tone(res->table, isnan(row->accuracy) ? "" : accuracy, row->top ? TONE_GOOD : TONE_PLAIN);
	table_cell(res->table, format_minutes(row->minutes, number));
	table_cell_tone(res->table, row->notes, row->job->state == JOB_FAILED ? TONE_BAD : TONE_PLAIN);
	if (table_is_due(res->table))
		table_print(res->table, &res->ctl->out, stdout);
}

/* "best: job 8, 78.05 %    fastest: job 2, 31.83 min    last epoch (--best: 78.21)"; talk, so on stderr in a pipe. */
static void print_summary(const struct results *res)
{
	const struct extremes *x = &res->extremes;
	char number[FORMAT_MAX];

	if (!x->top || !x->fastest)
		return;
	FILE *out = res->ctl->out.terminal ? stdout : stderr;
	fflush(stdout);
	fprintf(out, "best%s: job %lld, %s %%    ", res->metric ? " by test accuracy" : "", (long long)x->top,
		format_accuracy(x->accuracy, number));
	fprintf(out, "fastest: job %lld, %s    ", (long long)x->fastest, format_minutes(x->minutes, number));
	if (res->input->best)
		fputs("best epochs, chosen on the test set\n", out);
	else if (isnan(x->best_accuracy))
		fputs("last epoch\n", out);
	else
		fprintf(out, "last epoch (--best: %s)\n", format_accuracy(x->best_accuracy, number));
}

static void print_json_result(struct results *res, const struct result *row)
{
	bool done = row->job->state == JOB_DONE;
	const struct sweep_row *sweep = selection_sweep(res->sel, row->job);
	json_t *o = job_json(res->sel, row->job);

	json_object_set_new(o, "test_accuracy", json_known(done ? row->job->test_accuracy : NAN));
	json_object_set_new(o, "minutes", json_known(row->minutes));
	json_object_set_new(o, "notes", json_string(row->notes));
	json_object_set_new(o, "goal", sweep ? json_string(sweep->maximize ? "maximize" : "minimize") : json_null());
	json_object_set(o, "seed", json_object_get(row->job->config, "seed"));
	print_json_row(&res->n, o);
}

static void print_csv_titles(const struct results *res)
{
	size_t i;
	json_t *name;

	fputs("job,sweep", stdout);
	json_array_foreach(res->columns, i, name) csv_field(json_string_value(name), false);
	printf(",%s,metric,value,minutes,notes\n", res->input->best ? "best_test_accuracy" : "test_accuracy");
}

static void print_csv_row(const struct results *res, const struct result *row)
{
	size_t i;
	json_t *name;

	const struct sweep_row *sweep = selection_sweep(res->sel, row->job);
	printf("%lld,s%lld", (long long)row->job->id, (long long)row->job->sweep);
	json_array_foreach(res->columns, i, name)
	{
		autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
		csv_field(text, false);
	}
	csv_number(row->accuracy);
	csv_field(sweep ? sweep->metric : "", false);
	csv_number(row->value);
	csv_number(row->minutes);
	csv_field(row->notes, false);
	putchar('\n');
}

static void print_markdown_titles(const struct results *res)
{
	size_t i;
	json_t *name;

	json_array_foreach(res->columns, i, name) printf("| %s ", param_heading(json_string_value(name)));
	if (res->metric) {
		autofree char *metric = text_clean(res->metric);
		printf("| %s ", metric);
	}
	printf("| %s (%%) | Training Time (min) | Notes |\n", res->input->best ? "Best Test Accuracy" : "Test Accuracy");
	for (i = 0; i < json_array_size(res->columns); i++)
		fputs("| --- ", stdout);
	puts(res->metric ? "| ---: | ---: | ---: | --- |" : "| ---: | ---: | --- |");
}

static void print_markdown_row(const struct results *res, const struct result *row)
{
	const char *bold = row->top ? "**" : "";
	char number[FORMAT_MAX];
	size_t i;
	json_t *name;

	json_array_foreach(res->columns, i, name)
	{
		autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
		printf("| %s ", text);
	}
	if (res->metric)
		printf("| %s ", metric_text(res->metric, row->value, number));
	printf("| %s%s%s ", bold, format_accuracy(row->accuracy, number), bold);
	printf(isnan(row->minutes) ? "| " : "| %s ", format_minutes_bare(row->minutes, number));
	autofree char *notes = text_clean(row->notes);
	printf(*notes ? "| %s |\n" : "| |\n", notes);
}

/* Rows that say themselves of which sweep they are. */
static bool is_one_list(const struct results *res)
{
	return res->ctl->json || res->input->shape == SHAPE_CSV;
}

/* "s1 grid" over a table, where there are several. */
static void print_title(const struct results *res)
{
	autofree char *title = xasprintf("s%lld %s", (long long)res->sweep->id, res->sweep->name);

	if (res->n)
		putchar('\n');
	screen_line(&res->ctl->out, stdout, title);
	if (res->input->shape == SHAPE_MARKDOWN)
		putchar('\n');
}

static int print_result(void *data, const struct job_row *job, struct err *err)
{
	struct results *res = data;
	bool done = job->state == JOB_DONE;
	struct result row = {
		.job = job,
		.accuracy = !done ? NAN : res->input->best ? job->best_test_accuracy : job->test_accuracy,
		.value = !done ? NAN : res->input->best ? job->best_value : job->value,
		.minutes = done ? job->seconds / 60 : NAN,
		.top = job->id == res->extremes.top,
	};
	int e = reader_notes(res->reader, job->id, &row.notes, err);

	if (e < 0)
		return e;
	row.notes = notes_of(selection_sweep(res->sel, job), row.notes);
	if (!res->place++ && res->titled && !is_one_list(res))
		print_title(res);
	if (res->ctl->json) {
		print_json_result(res, &row);
	} else if (res->input->shape == SHAPE_TABLE) {
		row_cells(res, &row);
		res->n++;
	} else {
		if (res->place == 1)
			(res->input->shape == SHAPE_CSV ? print_csv_titles : print_markdown_titles)(res);
		(res->input->shape == SHAPE_CSV ? print_csv_row : print_markdown_row)(res, &row);
		res->n++;
	}
	free(row.notes);
	return 0;
}

/* What is in res->sel: a table, or all of a list. */
static int print_part(struct results *res, struct err *err)
{
	bool page = res->input->shape == SHAPE_TABLE || res->input->limit >= 0;
	bool table = !res->ctl->json && res->input->shape == SHAPE_TABLE;
	const struct job_listing how = {.state = JOB_ANY, .limit = page ? page_limit(res->ctl, res->input->limit) : 0};
	size_t counts[N_JOB_STATES];
	int64_t total = selection_count(res->sel, res->reader, counts, err);

	if (total < 0)
		return (int)total;
	res->extremes = (struct extremes)EXTREMES_NONE;
	for (size_t i = 0; i < res->sel->n_parts; i++) {
		int e = reader_extremes(res->reader, &res->sel->parts[i], res->input->best, &res->extremes, err);
		if (e < 0)
			return e;
	}
	res->place = 0;
	res->metric = res->sweep && !str_eq(res->sweep->metric, "test_accuracy") ? res->sweep->metric : NULL;
	res->columns = selection_columns(res->sel, true);
	res->table = results_table(res);
	int e = selection_each(res->sel, res->reader, &how, print_result, res, err);
	if (e == 0 && table && res->place) {
		table_print(res->table, &res->ctl->out, stdout);
		say_cut(res->ctl, res->table);
		print_summary(res);
	}
	res->more += total - (int64_t)res->place;
	table_free(res->table);
	json_decref(res->columns);
	return e;
}

/* The first of its sweep's parts. */
static bool is_first(const struct selection *sel, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (sel->parts[i].sweep == sel->parts[k].sweep)
			return false;
	return true;
}

/* Everything that is named, in the order of the words; a table for each sweep. */
static int print_results(struct results *res, const struct selection *all, struct err *err)
{
	int e = 0;

	res->titled = selection_n_named(all) > 1;
	res->sel = all;
	if (is_one_list(res))
		e = print_part(res, err);
	for (size_t k = 0; e == 0 && !is_one_list(res) && k < all->n_parts; k++) {
		struct selection one;
		if (!is_first(all, k))
			continue;
		selection_narrow(all, all->parts[k].sweep, &one);
		res->sel = &one;
		res->sweep = sweep_row_find(all->sweeps, all->n_sweeps, all->parts[k].sweep);
		e = print_part(res, err);
		free(one.parts);
	}
	if (e == 0 && res->ctl->json)
		print_json_end(res->n);
	else if (e == 0 && !res->n)
		puts("no sweeps yet. do this: sweepctl submit FILE");
	if (e == 0 && res->n && res->more > 0)
		say_more(res->ctl, res->more, "more", "results", &res->input->targets);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	const struct results_input *input = data;
	struct selection sel = {0};
	struct results res = {.ctl = ctl, .input = input};
	struct err err;
	int e = reader_open(&res.reader, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, res.reader, &err);
	if (e == 0)
		e = selection_name_all(&sel, res.reader, input->targets.items, input->targets.n, false, &err);
	if (e == 0 && (sel.n_parts || !sel.missing))
		e = print_results(&res, &sel, &err);
	int code = e < 0 ? ctl_fail(ctl, e, &err) : sel.missing ? EXIT_NO_SUCH : EXIT_OK;
	selection_fini(&sel);
	reader_close(res.reader);
	return code;
}

const struct verb verb_results = {
	.name = "results",
	.args = "[TARGET...]",
	.line = "the table of a sweep (default: the newest)",
	.group = "Results",
	.example = "sweepctl results s1 --markdown",
	.input_size = sizeof(struct results_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
