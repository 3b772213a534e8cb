/* sweepctl results: the report's table. */
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
};

static const struct argp_option options[] = {
	{"best", 'b', NULL, 0, "each job's best epoch instead of its last (chosen on the test set, so it flatters)"},
	{"csv", 'c', NULL, 0, "comma-separated, unrounded"},
	{"markdown", 'm', NULL, 0, "a table that pastes into a report"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct results_input *input = state->input;

	switch (key) {
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

struct result {
	const struct job_row *job;
	double accuracy, minutes; /* NaN unless the job is done */
	char *notes;
};

struct results {
	const struct selection *sel;
	json_t *columns;
	struct result *rows; /* sel->n_jobs */
	const struct result *top, *fastest;
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

static int collect(struct results *res, struct reader *r, bool best, struct err *err)
{
	for (size_t i = 0; i < res->sel->n_jobs; i++) {
		const struct job_row *job = &res->sel->jobs[i];
		struct result *row = &res->rows[i];
		bool done = job->state == JOB_DONE;
		int e = reader_notes(r, job->id, &row->notes, err);
		if (e < 0)
			return e;
		row->job = job;
		row->notes = notes_of(selection_sweep(res->sel, job), row->notes);
		row->accuracy = !done ? NAN : best ? job->best_test_accuracy : job->test_accuracy;
		row->minutes = done ? job->seconds / 60 : NAN;
		if (!isnan(row->accuracy) && (!res->top || row->accuracy > res->top->accuracy))
			res->top = row;
		if (done && (!res->fastest || row->minutes < res->fastest->minutes))
			res->fastest = row;
	}
	return 0;
}

static void print_table(const struct ctl *ctl, const struct results *res, bool best)
{
	struct table *t = table_new();
	char number[FORMAT_MAX];
	size_t i;
	json_t *name;

	json_array_foreach(res->columns, i, name)
	{
		table_column(t, param_heading(json_string_value(name)), false, 0);
		table_shrink(t, 8);
	}
	table_column(t, best ? "Best Test Accuracy" : "Test Accuracy", true, 0);
	table_column(t, "Training Time", true, 0);
	table_column(t, "Notes", false, 0);
	table_shrink_text(t, 16);
	table_rule(t);
	for (size_t k = 0; k < res->sel->n_jobs; k++) {
		const struct result *row = &res->rows[k];
		json_array_foreach(res->columns, i, name)
		{
			autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
			table_cell(t, text);
		}
		autofree char *accuracy = xasprintf("%s %%", format_accuracy(row->accuracy, number));
		table_cell_tone(t, isnan(row->accuracy) ? "" : accuracy, row == res->top ? TONE_GOOD : TONE_PLAIN);
		table_cell(t, format_minutes(row->minutes, number));
		table_cell_tone(t, row->notes, row->job->state == JOB_FAILED ? TONE_BAD : TONE_PLAIN);
	}
	table_print(t, &ctl->out, stdout);
	table_free(t);
}

/* "best: job 8, 78.05 %    fastest: job 2, 31.83 min    last epoch (--best: 78.21)"; talk, so on stderr in a pipe. */
static void print_summary(const struct ctl *ctl, const struct results *res, bool best)
{
	char number[FORMAT_MAX];
	double flattered = NAN;

	if (!res->top || !res->fastest)
		return;
	for (size_t i = 0; i < res->sel->n_jobs; i++)
		if (res->rows[i].job->state == JOB_DONE && !(res->rows[i].job->best_test_accuracy <= flattered))
			flattered = res->rows[i].job->best_test_accuracy;
	FILE *out = ctl->out.terminal ? stdout : stderr;
	fflush(stdout);
	fprintf(out, "best: job %lld, %s %%    ", (long long)res->top->job->id,
		format_accuracy(res->top->accuracy, number));
	fprintf(out, "fastest: job %lld, %s    ", (long long)res->fastest->job->id,
		format_minutes(res->fastest->minutes, number));
	if (best)
		fputs("best epochs, chosen on the test set\n", out);
	else if (isnan(flattered))
		fputs("last epoch\n", out);
	else
		fprintf(out, "last epoch (--best: %s)\n", format_accuracy(flattered, number));
}

static void print_json_rows(const struct results *res)
{
	json_t *array = json_array();

	for (size_t i = 0; i < res->sel->n_jobs; i++) {
		const struct result *row = &res->rows[i];
		bool done = row->job->state == JOB_DONE;
		json_t *o = job_json(res->sel, row->job);
		json_object_set_new(o, "test_accuracy", json_known(done ? row->job->test_accuracy : NAN));
		json_object_set_new(o, "minutes", json_known(row->minutes));
		json_object_set_new(o, "notes", json_string(row->notes));
		json_object_set(o, "seed", json_object_get(row->job->config, "seed"));
		json_array_append_new(array, o);
	}
	print_json(array);
}

/* RFC 4180: quoted where the text needs it. */
static void print_csv_field(const char *raw, bool first)
{
	autofree char *clean = text_clean(raw);
	const char *text = clean;

	if (!first)
		putchar(',');
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++)
		printf(*text == '"' ? "\"\"" : "%c", *text);
	putchar('"');
}

static void print_csv(const struct results *res, bool best)
{
	size_t i;
	json_t *name;

	fputs("job", stdout);
	json_array_foreach(res->columns, i, name) print_csv_field(json_string_value(name), false);
	printf(",%s,minutes,notes\n", best ? "best_test_accuracy" : "test_accuracy");
	for (size_t k = 0; k < res->sel->n_jobs; k++) {
		const struct result *row = &res->rows[k];
		printf("%lld", (long long)row->job->id);
		json_array_foreach(res->columns, i, name)
		{
			autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
			print_csv_field(text, false);
		}
		printf(isnan(row->accuracy) ? "," : ",%.6g", row->accuracy);
		printf(isnan(row->minutes) ? "," : ",%.6g", row->minutes);
		print_csv_field(row->notes, false);
		putchar('\n');
	}
}

static void print_markdown(const struct results *res, bool best)
{
	char number[FORMAT_MAX];
	size_t i;
	json_t *name;

	json_array_foreach(res->columns, i, name) printf("| %s ", param_heading(json_string_value(name)));
	printf("| %s (%%) | Training Time (min) | Notes |\n", best ? "Best Test Accuracy" : "Test Accuracy");
	for (i = 0; i < json_array_size(res->columns); i++)
		fputs("| --- ", stdout);
	puts("| ---: | ---: | --- |");
	for (size_t k = 0; k < res->sel->n_jobs; k++) {
		const struct result *row = &res->rows[k];
		const char *bold = row == res->top ? "**" : "";
		json_array_foreach(res->columns, i, name)
		{
			autofree char *text = format_value(json_object_get(row->job->config, json_string_value(name)));
			printf("| %s ", text);
		}
		printf("| %s%s%s ", bold, format_accuracy(row->accuracy, number), bold);
		printf(isnan(row->minutes) ? "| " : "| %.2f ", row->minutes);
		autofree char *notes = text_clean(row->notes);
		printf(*notes ? "| %s |\n" : "| |\n", notes);
	}
}

static void print_results(const struct ctl *ctl, const struct results *res, const struct results_input *input)
{
	if (ctl->json) {
		print_json_rows(res);
	} else if (!res->sel->n_jobs) {
		puts("no sweeps yet. do this: sweepctl submit FILE");
	} else if (input->shape == SHAPE_CSV) {
		print_csv(res, input->best);
	} else if (input->shape == SHAPE_MARKDOWN) {
		print_markdown(res, input->best);
	} else {
		print_table(ctl, res, input->best);
		print_summary(ctl, res, input->best);
	}
}

static int run(struct ctl *ctl, void *data)
{
	struct results_input *input = data;
	struct selection sel = {0};
	struct results res = {.sel = &sel};
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = reader_begin(r, &err);
	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_add_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	res.columns = selection_columns(&sel, true);
	res.rows = xcalloc(sel.n_jobs + 1, sizeof(res.rows[0]));
	if (e == 0)
		e = collect(&res, r, input->best, &err);
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	else if (sel.n_jobs || !sel.missing)
		print_results(ctl, &res, input);
	if (code == EXIT_OK && sel.missing)
		code = EXIT_NO_SUCH;
	for (size_t i = 0; i < sel.n_jobs; i++)
		free(res.rows[i].notes);
	free(res.rows);
	json_decref(res.columns);
	selection_fini(&sel);
	reader_close(r);
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
