/* sweepctl leaderboard: finished jobs, ranked by their sweep's metric and goal. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "ctl/text.h"

struct leaderboard_input {
	struct words targets;
	int limit; /* 0: all; < 0: as it fits */
};

static const struct argp_option options[] = {
	{"limit", 'n', "N", 0, "only the best N; 0: all (a terminal: 100, else: all)"},
	{"lines", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct leaderboard_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->limit = -1;
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "-n", "a number of lines", 0);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

struct leaderboard {
	const struct ctl *ctl;
	const struct selection *sel;
	json_t *columns;
	struct table *table; /* NULL: no job yet, or JSON */
	int64_t sweep;	     /* of the last row */
	size_t n, place;     /* rows so far; of them of that sweep */
};

static struct table *leaderboard_table(const struct leaderboard *board, const char *metric)
{
	struct table *t = table_new();
	json_t *name;
	size_t k;

	table_column(t, "RANK", true, 0);
	table_column(t, "JOB", true, 0);
	json_array_foreach(board->columns, k, name)
	{
		autofree char *title = format_upper(json_string_value(name));
		table_column(t, title, false, 0);
		table_shrink(t, 8);
	}
	autofree char *value_title = format_upper(metric);
	table_column(t, value_title, true, 0);
	table_column(t, "MINUTES", true, 1);
	return t;
}

static void rank_cells(struct leaderboard *board, const struct job_row *job, const char *metric)
{
	struct table *t = board->table;
	char text[FORMAT_MAX];
	json_t *name;
	size_t k;

	snprintf(text, sizeof(text), "%zu", board->place);
	table_cell(t, text);
	snprintf(text, sizeof(text), "%lld", (long long)job->id);
	table_cell(t, text);
	json_array_foreach(board->columns, k, name)
	{
		autofree char *cell = format_value(json_object_get(job->config, json_string_value(name)));
		table_cell(t, cell);
	}
	table_cell(t, metric_text(metric, job->value, text));
	snprintf(text, sizeof(text), "%.2f", job->seconds / 60);
	table_cell(t, text);
	if (table_is_due(t))
		table_print(t, &board->ctl->out, stdout);
}

static int print_rank(void *data, const struct job_row *job, struct err *err)
{
	struct leaderboard *board = data;

	(void)err;
	if (board->ctl->json) {
		print_json_row(&board->n, job_json(board->sel, job));
		return 0;
	}
	const char *metric = selection_sweep(board->sel, job)->metric;
	if (!board->n++)
		board->table = leaderboard_table(board, metric);
	board->place = job->sweep == board->sweep ? board->place + 1 : 1;
	board->sweep = job->sweep;
	rank_cells(board, job, metric);
	return 0;
}

static int print_board(struct leaderboard *board, struct reader *r, const struct leaderboard_input *input, struct err *err)
{
	const struct job_listing how = {.order = ORDER_RANK, .limit = page_limit(board->ctl, input->limit)};
	size_t counts[N_JOB_STATES];
	int64_t n = selection_count(board->sel, r, counts, err);

	if (n < 0)
		return (int)n;
	board->columns = selection_columns(board->sel, false);
	int e = selection_each(board->sel, r, &how, print_rank, board, err);
	if (e == 0 && board->ctl->json)
		print_json_end(board->n);
	else if (e == 0 && board->n)
		table_print(board->table, &board->ctl->out, stdout);
	else if (e == 0)
		fputs("no job is done yet\n", stderr);
	if (e == 0 && how.limit && board->n == (size_t)how.limit && counts[JOB_DONE] > board->n && input->limit < 0)
		say_more(board->ctl, (int64_t)(counts[JOB_DONE] - board->n), "more", "leaderboard", &input->targets);
	table_free(board->table);
	json_decref(board->columns);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	const struct leaderboard_input *input = data;
	struct selection sel = {0};
	struct leaderboard board = {.ctl = ctl, .sel = &sel};
	struct reader *r = NULL;
	struct err err;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_name_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	if (e == 0 && (sel.n_parts || !sel.missing))
		e = print_board(&board, r, input, &err);
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
