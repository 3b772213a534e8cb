/* sweepctl compare SWEEP: what each swept parameter does.
 *
 * Marginal means: of all finished jobs that have one value of a parameter, the mean of the metric's last value.  In a
 * whole grid every value meets the same other values, so the differences are the parameter's own; where jobs are
 * missing that is not so, and it is said. */
#include "ctl/compare.h"
#include "ctl/format.h"
#include "ctl/table.h"

#include <math.h>

#define BAR_CELLS  10
#define LEVELS_TERMINAL 20 /* of one parameter, that a person reads */
#define LEVELS_MAX 1000 /* a parameter that has more values (a seed per job) is left out: nobody reads their means */

struct level { /* one value of a parameter */
	json_t *value;
	size_t n, n_all; /* jobs that count; jobs of the sweep */
	double sum, best, minutes;
	int64_t best_job;
};

struct effect { /* of one parameter */
	const char *name;
	struct level *levels;
	size_t n;
	bool too_many; /* more than LEVELS_MAX: none is kept */
	double size; /* the greatest difference between two means */
};

struct effects {
	const struct sweep_row *sweep;
	const char *metric_name;
	bool maximize;
	struct effect *items;
	size_t n, n_jobs, n_counted;
	double low, high; /* of all means */
};

static double mean_of(const struct level *l)
{
	return l->n ? l->sum / (double)l->n : NAN;
}

static void drop_levels(struct effect *e)
{
	for (size_t i = 0; i < e->n; i++)
		json_decref(e->levels[i].value);
	free(e->levels);
	e->levels = NULL;
	e->n = 0;
}

/* NULL: there are too many. */
static struct level *level_of(struct effect *e, json_t *value)
{
	if (e->too_many)
		return NULL;
	for (size_t i = 0; i < e->n; i++)
		if (json_equal(e->levels[i].value, value))
			return &e->levels[i];
	if (e->n == LEVELS_MAX) {
		drop_levels(e);
		e->too_many = true;
		return NULL;
	}
	e->levels = xrealloc_array(e->levels, e->n + 1, sizeof(e->levels[0]));
	e->levels[e->n] = (struct level){.value = json_incref(value), .best = NAN};
	return &e->levels[e->n++];
}

static int by_number(const void *a, const void *b)
{
	double x = json_number_value(((const struct level *)a)->value),
	       y = json_number_value(((const struct level *)b)->value);

	return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b)
{
	const struct effect *x = a, *y = b;

	if (x->size == y->size || (isnan(x->size) && isnan(y->size)))
		return strcmp(x->name, y->name);
	return isnan(y->size) || x->size > y->size ? -1 : 1;
}

static void count(const struct effects *all, struct effect *e, const struct job_row *job, double value)
{
	json_t *of_job = json_object_get(job->config, e->name);
	struct level *l = of_job ? level_of(e, of_job) : NULL;

	if (!l)
		return;
	l->n_all++;
	if (isnan(value))
		return;
	l->n++;
	l->sum += value;
	l->minutes += job->seconds / 60;
	if (isnan(l->best) || (all->maximize ? value > l->best : value < l->best)) {
		l->best = value;
		l->best_job = job->id;
	}
}

static void finish(struct effects *all, struct effect *e)
{
	double low = INFINITY, high = -INFINITY;
	bool numbers = true;

	for (size_t i = 0; i < e->n; i++) {
		double mean = mean_of(&e->levels[i]);
		numbers &= json_is_number(e->levels[i].value);
		low = isnan(mean) ? low : fmin(low, mean);
		high = isnan(mean) ? high : fmax(high, mean);
	}
	if (numbers && e->n)
		qsort(e->levels, e->n, sizeof(e->levels[0]), by_number);
	e->size = low <= high ? high - low : NAN;
	all->low = fmin(all->low, low);
	all->high = fmax(all->high, high);
}

/* Of a finished job the last value of the metric; NaN: it does not count. */
static int value_of(const struct effects *all, struct reader *r, const struct job_row *job, double *ret,
		    struct err *err)
{
	struct metric_column m = metric_named(all->metric_name);
	struct epoch_row *epochs;
	size_t n;

	*ret = job->state == JOB_DONE ? job->value : NAN;
	if (job->state != JOB_DONE || str_eq(all->metric_name, all->sweep->metric))
		return 0;
	int e = reader_epochs(r, job->id, all->metric_name, &epochs, &n, err);
	if (e < 0)
		return e;
	*ret = n ? metric_of(&m, &epochs[n - 1]) : NAN;
	free(epochs);
	return 0;
}

struct counting {
	struct effects *all;
	struct reader *reader;
};

static int count_job(void *data, const struct job_row *job, struct err *err)
{
	const struct counting *c = data;
	double value;
	int e = value_of(c->all, c->reader, job, &value, err);

	if (e < 0)
		return e;
	c->all->n_jobs++;
	c->all->n_counted += !isnan(value);
	for (size_t k = 0; k < c->all->n; k++)
		count(c->all, &c->all->items[k], job, value);
	return 0;
}

static int compute(struct effects *all, struct reader *r, const struct selection *sel, struct err *err)
{
	const struct job_listing every = {.state = JOB_ANY};
	struct counting counting = {all, r};
	size_t i;
	json_t *name;

	all->low = INFINITY;
	all->high = -INFINITY;
	all->items = xcalloc(json_array_size(all->sweep->swept) + 1, sizeof(all->items[0]));
	json_array_foreach(all->sweep->swept, i, name) all->items[all->n++].name = json_string_value(name);
	int e = selection_each(sel, r, &every, count_job, &counting, err);
	if (e < 0)
		return e;
	for (i = 0; i < all->n; i++)
		finish(all, &all->items[i]);
	qsort(all->items, all->n, sizeof(all->items[0]), by_size);
	return 0;
}

/* --- the table --- */

static void row_level(const struct effects *all, struct table *t, const struct effect *e, const struct level *l)
{
	char text[FORMAT_MAX];
	double mean = mean_of(l);
	autofree char *value = format_value(l->value);
	autofree char *bar =
		format_bar(all->high > all->low ? (mean - all->low) / (all->high - all->low) : 1, BAR_CELLS);
	autofree char *count = l->n == l->n_all ? xasprintf("%zu", l->n) : xasprintf("%zu of %zu", l->n, l->n_all);

	table_cell(t, l == e->levels ? e->name : "");
	table_cell(t, value);
	table_cell(t, count);
	table_cell(t, metric_text(all->metric_name, mean, text));
	table_cell(t, isnan(mean) ? "" : bar);
	table_cell(t, metric_text(all->metric_name, l->best, text));
	snprintf(text, sizeof(text), "%lld", (long long)l->best_job);
	table_cell(t, l->best_job ? text : "");
	table_cell(t, format_minutes_bare(l->n ? l->minutes / (double)l->n : NAN, text));
}

static void print_notes(const struct ctl *ctl, const struct effects *all)
{
	if (!all->n_counted) {
		puts("no job is done yet");
	} else if (all->n_counted < all->n_jobs) {
		autofree char *line = xasprintf("%zu of %zu jobs count: the others are not done, so the means are of unequal sets",
						all->n_counted, all->n_jobs);
		screen_wrap(&ctl->out, stdout, line, 2);
	}
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].too_many)
			printf("%s is left out: it has more than %d values\n", all->items[i].name, LEVELS_MAX);
}

/* How many of a parameter's values are shown. */
static size_t shown_of(const struct ctl *ctl, const struct compare_input *input, const struct effect *e)
{
	int limit = input->limit >= 0 ? input->limit : ctl->out.terminal ? LEVELS_TERMINAL : 0;

	return limit ? MIN((size_t)limit, e->n) : e->n;
}

static void say_more_values(const struct ctl *ctl, const struct compare_input *input, const struct effects *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct effect *e = &all->items[i];
		autofree char *what = xasprintf("more values of %s", e->name);
		size_t shown = shown_of(ctl, input, e);
		if (shown < e->n && input->limit < 0)
			say_more(ctl, (int64_t)(e->n - shown), what, "compare", &input->targets);
	}
}

static void print_effects(const struct ctl *ctl, const struct compare_input *input, const struct effects *all)
{
	struct table *t = table_new();
	autofree char *title = xasprintf("s%lld %s: %s of the last epoch, %s is better", (long long)all->sweep->id,
					 all->sweep->name, all->metric_name, all->maximize ? "more" : "less");

	screen_line(&ctl->out, stdout, title);
	table_column(t, "PARAMETER", false, 0);
	table_shrink(t, 10);
	table_column(t, "VALUE", false, 0);
	table_shrink(t, 8);
	table_column(t, "JOBS", true, 0);
	table_column(t, "MEAN", true, 0);
	table_column(t, "", false, 2);
	table_column(t, "BEST", true, 0);
	table_column(t, "JOB", true, 0);
	table_column(t, "MINUTES", true, 1);
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < shown_of(ctl, input, &all->items[i]); k++)
			row_level(all, t, &all->items[i], &all->items[i].levels[k]);
	table_print(t, &ctl->out, stdout);
	table_free(t);
	say_more_values(ctl, input, all);
	print_notes(ctl, all);
}

/* --- JSON --- */

static json_t *level_json(const struct level *l)
{
	json_t *o = json_pack("{sO, sI, sI, so, so}", "value", l->value, "n", (json_int_t)l->n, "jobs",
			      (json_int_t)l->n_all, "mean", json_known(mean_of(l)), "best", json_known(l->best));

	json_object_set_new(o, "best_job", l->best_job ? json_integer(l->best_job) : json_null());
	json_object_set_new(o, "minutes", json_known(l->n ? l->minutes / (double)l->n : NAN));
	return o;
}

static json_t *effects_json(const struct effects *all)
{
	json_t *parameters = json_array();
	autofree char *id = xasprintf("s%lld", (long long)all->sweep->id);

	for (size_t i = 0; i < all->n; i++) {
		json_t *values = json_array();
		for (size_t k = 0; k < all->items[i].n; k++)
			json_array_append_new(values, level_json(&all->items[i].levels[k]));
		json_array_append_new(parameters, json_pack("{ss, so, so, sb}", "name", all->items[i].name, "effect",
							    json_known(all->items[i].size), "values", values,
							    "left_out", all->items[i].too_many));
	}
	return json_pack("{ss, ss, ss, ss, sI, sI, so}", "sweep", id, "name", all->sweep->name, "metric",
			 all->metric_name, "goal", all->maximize ? "maximize" : "minimize", "jobs",
			 (json_int_t)all->n_jobs, "counted", (json_int_t)all->n_counted, "parameters", parameters);
}

int compare_sweep(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct sweep_row *sweep,
		  const struct compare_input *input, json_t *array, struct err *err)
{
	bool own = !input->metric || str_eq(input->metric, sweep->metric);
	struct effects all = {
		.sweep = sweep,
		.metric_name = own ? sweep->metric : input->metric,
		.maximize = own ? sweep->maximize : metric_named(input->metric).maximize,
	};
	int e = compute(&all, r, sel, err);

	if (e == 0 && ctl->json)
		json_array_append_new(array, effects_json(&all));
	else if (e == 0 && all.n == 0)
		printf("s%lld sweeps no parameter: nothing to compare\n", (long long)sweep->id);
	else if (e == 0)
		print_effects(ctl, input, &all);
	for (size_t i = 0; i < all.n; i++)
		drop_levels(&all.items[i]);
	free(all.items);
	return e;
}
