/* sweepctl leaderboard: finished jobs, ranked by their sweep's metric and goal. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "ctl/text.h"

#include <math.h>

struct leaderboard_input {
	struct words targets;
	int lines; /* 0: all */
};

static const struct argp_option options[] = {
	{"lines", 'n', "N", 0, "only the best N"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct leaderboard_input *input = state->input;

	switch (key) {
	case 'n':
		input->lines = number_take(arg, state, "-n", "a number of lines", 1);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

struct ranked {
	const struct job_row *job;
	double cost; /* lower is better; INFINITY: no value */
};

static int by_cost(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->job->sweep != y->job->sweep)
		return x->job->sweep < y->job->sweep ? -1 : 1;
	if (x->cost != y->cost)
		return x->cost < y->cost ? -1 : 1;
	return x->job->id < y->job->id ? -1 : x->job->id > y->job->id;
}

static size_t rank(const struct selection *sel, struct ranked *out)
{
	size_t n = 0;

	for (size_t i = 0; i < sel->n_jobs; i++) {
		const struct job_row *job = &sel->jobs[i];
		const struct sweep_row *sweep = selection_sweep(sel, job);
		double sign = sweep && sweep->maximize ? -1 : 1;
		if (job->state == JOB_DONE)
			out[n++] = (struct ranked){job, isnan(job->value) ? INFINITY : sign * job->value};
	}
	qsort(out, n, sizeof(*out), by_cost);
	return n;
}

static void print_table(const struct ctl *ctl, const struct selection *sel, const struct ranked *rows, size_t n)
{
	struct table *t = table_new();
	json_t *columns = selection_columns(sel, false), *name;
	const char *metric = n ? selection_sweep(sel, rows[0].job)->metric : "value";
	char text[FORMAT_MAX];
	size_t k;

	table_column(t, "RANK", true, 0);
	table_column(t, "JOB", true, 0);
	json_array_foreach(columns, k, name)
	{
		autofree char *title = format_upper(json_string_value(name));
		table_column(t, title, false, 0);
		table_shrink(t, 8);
	}
	autofree char *value_title = format_upper(metric);
	table_column(t, value_title, true, 0);
	table_column(t, "MINUTES", true, 1);
	for (size_t i = 0, place = 0; i < n; i++) {
		const struct job_row *job = rows[i].job;
		place = i && rows[i - 1].job->sweep == job->sweep ? place + 1 : 1;
		snprintf(text, sizeof(text), "%zu", place);
		table_cell(t, text);
		snprintf(text, sizeof(text), "%lld", (long long)job->id);
		table_cell(t, text);
		json_array_foreach(columns, k, name)
		{
			autofree char *cell = format_value(json_object_get(job->config, json_string_value(name)));
			table_cell(t, cell);
		}
		table_cell(t, metric_text(selection_sweep(sel, job)->metric, job->value, text));
		snprintf(text, sizeof(text), "%.2f", job->seconds / 60);
		table_cell(t, text);
	}
	table_print(t, &ctl->out, stdout);
	table_free(t);
	json_decref(columns);
}

static void print_rows(const struct ctl *ctl, const struct selection *sel, const struct leaderboard_input *input)
{
	autofree struct ranked *rows = xcalloc(sel->n_jobs + 1, sizeof(*rows));
	size_t n = rank(sel, rows);

	if (input->lines && n > (size_t)input->lines)
		n = (size_t)input->lines;
	if (ctl->json) {
		json_t *array = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(array, job_json(sel, rows[i].job));
		print_json(array);
	} else if (n) {
		print_table(ctl, sel, rows, n);
	} else {
		fputs("no job is done yet\n", stderr);
	}
}

static int run(struct ctl *ctl, void *data)
{
	const struct leaderboard_input *input = data;
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_add_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	if (e == 0 && (sel.n_jobs || !sel.missing))
		print_rows(ctl, &sel, input);
	bool missing = sel.missing;
	selection_fini(&sel);
	reader_close(r);
	return e < 0 ? ctl_fail(ctl, e, &err) : missing ? EXIT_NO_SUCH : EXIT_OK;
}

const struct verb verb_leaderboard = {
	.name = "leaderboard",
	.args = "[TARGET...]",
	.line = "finished jobs, best first",
	.group = "Results",
	.example = "sweepctl leaderboard s1 -n 3",
	.input_size = sizeof(struct leaderboard_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
