/* sweepctl compare: jobs side by side, or what each parameter of a sweep does; see compare.h. */
#include "ctl/compare.h"
#include "common/sweep.h"

static const struct argp_option options[] = {
	{"all", 'a', NULL, 0, "jobs: the parameters that are equal, too"},
	{"limit", 'n', "N", 0, "sweeps: only the first N values of each parameter; 0: all (a terminal: 20, else: all)"},
	{"metric", 'm', "NAME", 0, "instead of the sweep's: test_accuracy, test_loss, train_loss, val_accuracy, ..."},
	{0},
};

static const char *metric_known(const char *name)
{
	for (size_t i = 0; i < n_sweep_metrics; i++)
		if (str_eq(sweep_metrics[i], name))
			return sweep_metrics[i];
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct compare_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->limit = -1;
		return 0;
	case 'n':
		input->limit = number_take(arg, state, "--limit", "a number of values", 0);
		return 0;
	case 'a':
		input->all = true;
		return 0;
	case 'm':
		input->metric = metric_known(arg);
		if (!input->metric) {
			autofree char *text = xasprintf("--metric is no \"%s\"; it is " SWEEP_METRIC_RULE, arg);
			say_error(text);
			argp_state_help(state, stderr, ARGP_HELP_STD_ERR); /* ends */
		}
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

/* Sweeps and nothing else: what their parameters do.  No word means the newest sweep. */
static bool names_sweeps(const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (target_is_jobs(words->items[i]))
			return false;
	return true;
}

/* Each sweep by itself, in the order of the words. */
static int compare_sweeps(struct ctl *ctl, struct reader *r, struct selection *sel, const struct compare_input *input,
			  struct err *err)
{
	json_t *array = json_array();
	int e = selection_name_all(sel, r, input->targets.items, input->targets.n, false, err);

	for (size_t i = 0; e == 0 && i < sel->n_parts; i++) {
		struct selection one = *sel;
		one.parts = sel->parts + i;
		one.n_parts = 1;
		if (i && !ctl->json)
			putchar('\n');
		e = compare_sweep(ctl, r, &one, sweep_row_find(sel->sweeps, sel->n_sweeps, sel->parts[i].sweep), input, array, err);
	}
	if (e == 0 && ctl->json)
		print_json(json_pack("{sO}", "sweeps", array));
	else if (e == 0 && !sel->n_parts && !sel->missing)
		puts("no sweeps yet. do this: sweepctl submit FILE");
	json_decref(array);
	return e;
}

static int wrong_number(const struct selection *sel, int64_t n)
{
	if (sel->missing) /* that was said; nothing is compared with what is not there */
		return EXIT_NO_SUCH;
	fprintf(stderr,
		"error: compare sets 2 to %d jobs side by side; %s %lld\n"
		"  do this:  sweepctl compare s%lld   (what each parameter of the sweep does)\n",
		COMPARE_MAX, n == 1 ? "this is" : "these are", (long long)n, (long long)sel->parts[0].sweep);
	return EXIT_USAGE;
}

static int run(struct ctl *ctl, void *data)
{
	const struct compare_input *input = data;
	struct selection sel = {0};
	struct reader *r = NULL;
	struct err err;
	int code = EXIT_OK;
	int e = reader_open(&r, &ctl->paths, &err);

	if (e == 0)
		e = reader_begin(r, &err);
	if (e == 0)
		e = selection_init(&sel, r, &err);
	if (e == 0 && names_sweeps(&input->targets)) {
		e = compare_sweeps(ctl, r, &sel, input, &err);
	} else if (e == 0) {
		size_t counts[N_JOB_STATES];
		e = selection_name_all(&sel, r, input->targets.items, input->targets.n, false, &err);
		int64_t n = e == 0 ? selection_count(&sel, r, counts, &err) : e;
		e = n < 0 ? (int)n : 0;
		if (e == 0 && (n < 2 || n > COMPARE_MAX))
			code = wrong_number(&sel, n);
		else if (e == 0 && (e = selection_load(&sel, r, &err)) == 0)
			e = compare_jobs(ctl, r, &sel, input, &err);
	}
	if (e < 0)
		code = ctl_fail(ctl, e, &err);
	else if (sel.missing)
		code = EXIT_NO_SUCH;
	selection_fini(&sel);
	reader_close(r);
	return code;
}

const struct verb verb_compare = {
	.name = "compare",
	.args = "[TARGET...]",
	.line = "jobs side by side; what a sweep's parameters do",
	.group = "Results",
	.example = "sweepctl compare 3 5,8",
	.input_size = sizeof(struct compare_input),
	.argp = &argp,
	.exits = exits_of_reading,
	.run = run,
};
