/* sweepctl compare JOB JOB...: what differs above, what came out below, the curves of the metric under it. */
#include "ctl/compare.h"
#include "ctl/curve.h"
#include "ctl/format.h"
#include "ctl/table.h"
#include "common/json.h"

#include <math.h>

#define CURVE_ROWS       10
#define CURVE_COLUMNS    79 /* without a terminal */
#define ROOM_FOR_PERCENT 4  /* jobs: of more the differences in percent have no room on 80 columns */

struct compared {
	const struct job_row *job;
	struct epoch_row *epochs; /* those that count */
	size_t n_epochs;
};

struct comparison {
	struct ctl *ctl;
	const struct selection *sel;
	struct metric_column metric;
	bool maximize; /* the metric */
	struct compared jobs[COMPARE_MAX];
	size_t n;
	json_t *equal, *differs; /* lists of parameters */
};

static int load(struct comparison *c, struct reader *r, struct err *err)
{
	c->n = c->sel->n_jobs;
	for (size_t i = 0; i < c->n; i++) {
		struct compared *one = &c->jobs[i];
		one->job = &c->sel->jobs[i];
		int e = reader_epochs(r, one->job->id, c->metric.name, &one->epochs, &one->n_epochs, err);
		if (e < 0)
			return e;
	}
	return 0;
}

/* Sorts the parameters into those that differ and those that do not, in the order of the table of parameters. */
static void sort_parameters(struct comparison *c)
{
	json_t *names = json_object(), *value;
	const char *name;

	c->equal = json_array();
	c->differs = json_array();
	for (size_t i = 0; i < c->n; i++)
		json_object_update_missing(names, c->jobs[i].job->config);
	json_object_foreach(names, name, value)
	{
		const json_t *first = json_object_get(c->jobs[0].job->config, name);
		bool equal = first;
		for (size_t i = 1; i < c->n; i++) {
			const json_t *other = json_object_get(c->jobs[i].job->config, name);
			equal = equal && other && json_equal(first, other);
		}
		json_array_append_new(equal ? c->equal : c->differs, json_string(name));
	}
	json_decref(names);
}

/* Last or best value of a metric, and the epoch of the best. */
static double value_of(const struct compared *one, const struct metric_column *m, bool maximize, bool best,
		       int *ret_epoch)
{
	double found = NAN;

	*ret_epoch = 0;
	for (size_t i = 0; i < one->n_epochs; i++) {
		double v = metric_of(m, &one->epochs[i]);
		if (!best) {
			found = v;
		} else if (!isnan(v) && (isnan(found) || (maximize ? v > found : v < found))) {
			found = v;
			*ret_epoch = one->epochs[i].epoch;
		}
	}
	return found;
}

/* --- what is measured: a row each --- */

static double minutes_of(const struct compared *one)
{
	return one->n_epochs ? one->job->seconds / 60 : NAN;
}

static double epoch_seconds_of(const struct compared *one)
{
	return one->n_epochs ? one->job->seconds / (double)one->n_epochs : NAN;
}

static double speed_of(const struct compared *one)
{
	return one->job->images_per_second;
}

static double ram_of(const struct compared *one)
{
	return one->job->ram_mib;
}

static double vram_of(const struct compared *one)
{
	return one->job->vram_mib;
}

static const struct measure {
	const char *title, *key; /* on the screen, in JSON */
	const char *format; /* NULL: minutes */
	double (*of)(const struct compared *one);
} measures[] = {
	{"minutes", "minutes", NULL, minutes_of},
	{"s per epoch", "seconds_per_epoch", "%.1f", epoch_seconds_of},
	{"images/s", "images_per_second", "%.0f", speed_of},
	{"peak RAM MiB", "ram_mib", "%.0f", ram_of},
	{"peak VRAM MiB", "vram_mib", "%.0f", vram_of},
};

/* --- the table --- */

static void row_config(const struct comparison *c, struct table *t, const char *name)
{
	table_cell(t, name);
	for (size_t i = 0; i < c->n; i++) {
		autofree char *text = format_value(json_object_get(c->jobs[i].job->config, name));
		table_cell(t, text);
	}
}

static void row_last(const struct comparison *c, struct table *t, const struct metric_column *m)
{
	char number[FORMAT_MAX];
	int epoch;

	table_cell(t, m->name);
	for (size_t i = 0; i < c->n; i++)
		table_cell(t, metric_text(m->name, value_of(&c->jobs[i], m, true, false, &epoch), number));
}

static void rows_best(const struct comparison *c, struct table *t)
{
	char number[FORMAT_MAX];
	int epochs[COMPARE_MAX];

	table_cell(t, "  best");
	for (size_t i = 0; i < c->n; i++) {
		double v = value_of(&c->jobs[i], &c->metric, c->maximize, true, &epochs[i]);
		table_cell(t, metric_text(c->metric.name, v, number));
	}
	table_cell(t, "  at epoch");
	for (size_t i = 0; i < c->n; i++) {
		snprintf(number, sizeof(number), "%d", epochs[i]);
		table_cell(t, epochs[i] ? number : "");
	}
}

/* A measure with its difference to the first job's, where that is 1 % or more; no row where nothing is known. */
static void row_measure(const struct comparison *c, struct table *t, const struct measure *m)
{
	bool known = false;

	for (size_t i = 0; i < c->n; i++)
		known |= isfinite(m->of(&c->jobs[i]));
	if (!known)
		return;
	double first = m->of(&c->jobs[0]);
	char number[FORMAT_MAX];
	table_cell(t, m->title);
	for (size_t i = 0; i < c->n; i++) {
		double v = m->of(&c->jobs[i]), percent = 100 * (v - first) / first;
		char *text = !isfinite(v) ? NULL : m->format ? xasprintf(m->format, v) : xstrdup(format_minutes_bare(v, number));
		bool room = c->n <= ROOM_FOR_PERCENT || !c->ctl->out.columns;
		if (text && room && isfinite(percent) && fabs(percent) >= 1)
			text_append(&text, " %+.0f %%", percent);
		table_cell(t, text);
		free(text);
	}
}

static void row_blank(const struct comparison *c, struct table *t)
{
	for (size_t i = 0; i <= c->n; i++)
		table_cell(t, "");
}

static void row_sweep(const struct comparison *c, struct table *t)
{
	bool differ = false;

	for (size_t i = 1; i < c->n; i++)
		differ |= c->jobs[i].job->sweep != c->jobs[0].job->sweep;
	if (!differ)
		return;
	table_cell(t, "sweep");
	for (size_t i = 0; i < c->n; i++) {
		const struct sweep_row *sweep = selection_sweep(c->sel, c->jobs[i].job);
		autofree char *text = xasprintf("s%lld %s", (long long)c->jobs[i].job->sweep, sweep ? sweep->name : "");
		table_cell(t, text);
	}
}

static void row_states(const struct comparison *c, struct table *t)
{
	char text[FORMAT_MAX];

	table_cell(t, "state");
	for (size_t i = 0; i < c->n; i++) {
		const char *state = job_state_names[c->jobs[i].job->state];
		table_cell_tone(t, state, state_tone(state));
	}
	table_cell(t, "epochs");
	for (size_t i = 0; i < c->n; i++) {
		snprintf(text, sizeof(text), "%d of %d", c->jobs[i].job->epoch, c->jobs[i].job->epochs);
		table_cell(t, text);
	}
}

static void print_table(const struct comparison *c, bool all)
{
	struct table *t = table_new();
	size_t i;
	json_t *name;

	table_column(t, "", false, 0);
	table_shrink(t, 14);
	for (i = 0; i < c->n; i++) {
		autofree char *title = xasprintf("%c job %lld", (char)('A' + i), (long long)c->jobs[i].job->id);
		table_column(t, title, false, 0);
		table_shrink(t, 8);
	}
	row_sweep(c, t);
	json_array_foreach(c->differs, i, name) row_config(c, t, json_string_value(name));
	if (all)
		json_array_foreach(c->equal, i, name) row_config(c, t, json_string_value(name));
	row_blank(c, t);
	row_states(c, t);
	row_last(c, t, &c->metric);
	rows_best(c, t);
	for (i = 0; i < n_metric_columns; i++)
		if (!str_eq(metric_columns[i].name, c->metric.name))
			row_last(c, t, &metric_columns[i]);
	for (i = 0; i < ARRAY_LEN(measures); i++)
		row_measure(c, t, &measures[i]);
	table_print(t, &c->ctl->out, stdout);
	table_free(t);
	if (!all)
		printf("%zu parameter%s equal: --all\n", json_array_size(c->equal),
		       json_array_size(c->equal) == 1 ? " is" : "s are");
}

/* y[i]: the metric of epoch i + 1.  Allocated. */
static double *curve_of(const struct comparison *c, const struct compared *one, size_t *ret_n)
{
	size_t n = one->n_epochs ? (size_t)one->epochs[one->n_epochs - 1].epoch : 0;
	double *y = xcalloc(n + 1, sizeof(*y));

	for (size_t i = 0; i < n; i++)
		y[i] = NAN;
	for (size_t i = 0; i < one->n_epochs; i++)
		y[one->epochs[i].epoch - 1] = metric_of(&c->metric, &one->epochs[i]);
	*ret_n = n;
	return y;
}

static void print_curves(const struct comparison *c)
{
	struct curve curves[COMPARE_MAX];
	double *values[COMPARE_MAX], low, high;
	char low_text[FORMAT_MAX], high_text[FORMAT_MAX];

	for (size_t i = 0; i < c->n; i++) {
		values[i] = curve_of(c, &c->jobs[i], &curves[i].n);
		curves[i].y = values[i];
		curves[i].letter = (char)('A' + i);
	}
	if (curve_range(curves, c->n, c->maximize, &low, &high)) {
		struct curve_frame frame = {
			.columns = c->ctl->out.columns ? c->ctl->out.columns - 1 : CURVE_COLUMNS,
			.rows = CURVE_ROWS,
			.low = low,
			.high = high,
			.low_text = metric_text(c->metric.name, low, low_text),
			.high_text = metric_text(c->metric.name, high, high_text),
		};
		printf("\n%s%s\n", c->metric.name, strstr(c->metric.name, "accuracy") ? ", %" : "");
		curve_draw(stdout, curves, c->n, &frame);
	}
	for (size_t i = 0; i < c->n; i++)
		free(values[i]);
}

/* --- JSON --- */

static void add_metric_json(json_t *o, const struct compared *one, const struct metric_column *m, bool maximize)
{
	int epoch;
	json_t *last = json_known(value_of(one, m, maximize, false, &epoch));
	json_t *best = json_known(value_of(one, m, maximize, true, &epoch));

	json_object_set_new(o, m->name,
			    json_pack("{so, so, so}", "last", last, "best", best, "best_epoch",
				      epoch ? json_integer(epoch) : json_null()));
}

static json_t *metrics_json(const struct comparison *c, const struct compared *one)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n_metric_columns; i++)
		add_metric_json(o, one, &metric_columns[i], metric_columns[i].maximize);
	add_metric_json(o, one, &c->metric, c->maximize);
	return o;
}

static json_t *one_json(const struct comparison *c, const struct compared *one)
{
	json_t *o = job_json(c->sel, one->job), *curve = json_array();

	json_object_set_new(o, "metrics", metrics_json(c, one));
	for (size_t i = 0; i < ARRAY_LEN(measures); i++)
		json_object_set_new(o, measures[i].key, json_known(measures[i].of(one)));
	for (size_t i = 0; i < one->n_epochs; i++)
		json_array_append_new(curve, json_pack("[io]", one->epochs[i].epoch,
						       json_known(metric_of(&c->metric, &one->epochs[i]))));
	json_object_set_new(o, "curve", curve);
	return o;
}

static void print_comparison_json(const struct comparison *c)
{
	json_t *jobs = json_array();

	for (size_t i = 0; i < c->n; i++)
		json_array_append_new(jobs, one_json(c, &c->jobs[i]));
	print_json(json_pack("{ss, ss, sO, sO, so}", "metric", c->metric.name, "goal",
			     c->maximize ? "maximize" : "minimize", "differs", c->differs, "equal", c->equal, "jobs",
			     jobs));
}

int compare_jobs(struct ctl *ctl, struct reader *r, const struct selection *sel, const struct compare_input *input,
		 struct err *err)
{
	const struct sweep_row *sweep = selection_sweep(sel, &sel->jobs[0]);
	const char *of_sweep = sweep ? sweep->metric : metric_columns[0].name;
	struct comparison c = {
		.ctl = ctl, .sel = sel, .metric = metric_named(input->metric ? input->metric : of_sweep)};

	c.maximize = sweep && str_eq(c.metric.name, of_sweep) ? sweep->maximize : c.metric.maximize;
	int e = load(&c, r, err);
	if (e == 0) {
		sort_parameters(&c);
		if (ctl->json) {
			print_comparison_json(&c);
		} else {
			print_table(&c, input->all);
			print_curves(&c);
		}
	}
	for (size_t i = 0; i < c.n; i++)
		free(c.jobs[i].epochs);
	json_decref(c.equal);
	json_decref(c.differs);
	return e;
}
