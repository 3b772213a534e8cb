/* sweepctl leaderboard: finished jobs, ranked by their sweep's metric and goal. */
#include "ctl/csv.h"
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/target.h"
#include "ctl/text.h"

enum board_shape { BOARD_TABLE, BOARD_CSV, BOARD_MARKDOWN };

struct leaderboard_input {
	struct words targets;
	enum board_shape shape;
	int limit; /* of each sweep; 0: all; < 0: as it fits */
};

static const struct argp_option options[] = {
	{"csv", 'c', NULL, 0, "comma-separated, unrounded"},
	{"limit", 'n', "N", 0, "only the best N of each sweep; 0: all (a terminal: 100, else: all)"},
	{"lines", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL},
	{"markdown", 'm', NULL, 0, "tables that paste into a report"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct leaderboard_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->limit = -1;
		return 0;
	case 'c':
		input->shape = BOARD_CSV;
		return 0;
	case 'm':
		input->shape = BOARD_MARKDOWN;
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
	const struct leaderboard_input *input;
	const struct selection *sel;   /* of one sweep */
	const struct sweep_row *sweep; /* that one */
	bool titled;		       /* there are several */
	json_t *columns;	       /* its own; CSV: of all */
	struct table *table;
	size_t place;	     /* rows of that sweep so far */
	size_t n;	     /* of all */
	int64_t more;	     /* that the limit left out */
};

static struct table *leaderboard_table(const struct leaderboard *board)
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
		table_fold(t, "CONFIG", json_string_value(name));
	}
	autofree char *value_title = format_upper(board->sweep->metric);
	table_column(t, value_title, true, 0);
	table_column(t, "MINUTES", true, 1);
	return t;
}

static char *column_value(const struct job_row *job, const json_t *name)
{
	return format_value(json_object_get(job->config, json_string_value(name)));
}

static void rank_cells(struct leaderboard *board, const struct job_row *job)
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
		autofree char *cell = column_value(job, name);
		table_cell(t, cell);
	}
	table_cell(t, metric_text(board->sweep->metric, job->value, text));
	table_cell(t, format_minutes_bare(job->seconds / 60, text));
	if (table_is_due(t))
		table_print(t, &board->ctl->out, stdout);
}

static void rank_json(struct leaderboard *board, const struct job_row *job)
{
	json_t *o = job_json(board->sel, job);

	json_object_set_new(o, "rank", json_integer((json_int_t)board->place));
	json_object_set_new(o, "goal", json_string(board->sweep->maximize ? "maximize" : "minimize"));
	json_object_set_new(o, "minutes", json_known(job->seconds / 60));
	print_json_row(&board->n, o);
}

static void rank_csv(struct leaderboard *board, const struct job_row *job)
{
	size_t k;
	json_t *name;

	if (!board->n++) {
		fputs("sweep,name,rank,job", stdout);
		json_array_foreach(board->columns, k, name) csv_field(json_string_value(name), false);
		puts(",metric,value,best,minutes");
	}
	printf("s%lld", (long long)job->sweep);
	csv_field(board->sweep->name, false);
	printf(",%zu,%lld", board->place, (long long)job->id);
	json_array_foreach(board->columns, k, name)
	{
		autofree char *text = column_value(job, name);
		csv_field(text, false);
	}
	csv_field(board->sweep->metric, false);
	csv_number(job->value);
	csv_number(job->best_value);
	csv_number(job->seconds / 60);
	putchar('\n');
}

static void markdown_titles(const struct leaderboard *board)
{
	autofree char *metric = text_clean(board->sweep->metric);
	size_t k;
	json_t *name;

	fputs("| Rank | Job ", stdout);
	json_array_foreach(board->columns, k, name) printf("| %s ", param_heading(json_string_value(name)));
	printf("| %s | Training Time (min) |\n| ---: | ---: ", metric);
	for (k = 0; k < json_array_size(board->columns); k++)
		fputs("| --- ", stdout);
	puts("| ---: | ---: |");
}

static void rank_markdown(struct leaderboard *board, const struct job_row *job)
{
	char text[FORMAT_MAX];
	size_t k;
	json_t *name;

	if (board->place == 1)
		markdown_titles(board);
	printf("| %zu | %lld ", board->place, (long long)job->id);
	json_array_foreach(board->columns, k, name)
	{
		autofree char *cell = column_value(job, name);
		printf("| %s ", cell);
	}
	printf("| %s ", metric_text(board->sweep->metric, job->value, text));
	printf("| %s |\n", format_minutes_bare(job->seconds / 60, text));
}

/* "s1 grid: test_accuracy, the largest first" over a table, where there are several. */
static void print_title(const struct leaderboard *board)
{
	const struct sweep_row *sweep = board->sweep;
	autofree char *title = xasprintf("s%lld %s: %s, the %s first", (long long)sweep->id, sweep->name, sweep->metric,
					 sweep->maximize ? "largest" : "smallest");

	if (!board->titled)
		return;
	if (board->n > 1)
		putchar('\n');
	screen_line(&board->ctl->out, stdout, title);
	if (board->input->shape == BOARD_MARKDOWN)
		putchar('\n');
}

static int print_rank(void *data, const struct job_row *job, struct err *err)
{
	struct leaderboard *board = data;

	(void)err;
	board->place++;
	if (board->ctl->json) {
		rank_json(board, job);
		return 0;
	}
	if (board->input->shape == BOARD_CSV) {
		rank_csv(board, job);
		return 0;
	}
	board->n++;
	if (board->place == 1)
		print_title(board);
	if (board->input->shape == BOARD_MARKDOWN) {
		rank_markdown(board, job);
		return 0;
	}
	if (!board->table)
		board->table = leaderboard_table(board);
	rank_cells(board, job);
	return 0;
}

/* The table of one sweep. */
static int print_sweep(struct leaderboard *board, struct reader *r, struct err *err)
{
	const struct leaderboard_input *input = board->input;
	bool page = input->shape == BOARD_TABLE || input->limit >= 0;
	const struct job_listing how = {.order = ORDER_RANK, .limit = page ? page_limit(board->ctl, input->limit) : 0};
	size_t counts[N_JOB_STATES];
	int64_t n = selection_count(board->sel, r, counts, err);

	if (n < 0)
		return (int)n;
	board->place = 0;
	if (input->shape != BOARD_CSV)
		board->columns = selection_columns(board->sel, false);
	int e = selection_each(board->sel, r, &how, print_rank, board, err);
	if (e == 0 && board->table)
		table_print(board->table, &board->ctl->out, stdout);
	if (e == 0 && how.limit && board->place == (size_t)how.limit && counts[JOB_DONE] > board->place)
		board->more += (int64_t)(counts[JOB_DONE] - board->place);
	if (e == 0 && !board->place && board->titled && !board->ctl->json)
		fprintf(stderr, "s%lld: no job is done yet\n", (long long)board->sweep->id);
	table_free(board->table);
	board->table = NULL;
	if (input->shape != BOARD_CSV)
		json_decref(board->columns);
	return e;
}

/* Sweep by sweep, each by its own metric. */
static int print_board(struct leaderboard *board, struct reader *r, const struct selection *all, struct err *err)
{
	int e = 0;

	board->titled = selection_n_named(all) > 1;
	if (board->input->shape == BOARD_CSV)
		board->columns = selection_columns(all, false);
	for (size_t k = 0; e == 0 && k < all->n_sweeps; k++) {
		struct selection one;
		board->sel = &one;
		board->sweep = &all->sweeps[k];
		if (selection_narrow(all, board->sweep->id, &one))
			e = print_sweep(board, r, err);
		free(one.parts);
	}
	if (e == 0 && board->ctl->json)
		print_json_end(board->n);
	else if (e == 0 && !board->n && !board->titled)
		fputs("no job is done yet\n", stderr);
	if (e == 0 && board->more && board->input->limit < 0)
		say_more(board->ctl, board->more, "more", "leaderboard", &board->input->targets);
	if (board->input->shape == BOARD_CSV)
		json_decref(board->columns);
	return e;
}

static int run(struct ctl *ctl, void *data)
{
	const struct leaderboard_input *input = data;
	struct selection sel = {0};
	struct leaderboard board = {.ctl = ctl, .input = input};
	struct reader *r = NULL;
	struct err err;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0)
		e = selection_name_all(&sel, r, input->targets.items, input->targets.n, false, &err);
	if (e == 0 && (sel.n_parts || !sel.missing))
		e = print_board(&board, r, &sel, &err);
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
