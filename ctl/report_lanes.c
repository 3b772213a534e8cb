/* The charts of a report in which every run has a place of its own: time per epoch, parallel coordinates. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/plot.h"
#include "ctl/text.h"

#include <math.h>

#define LANES_MAX 64 /* runs in the chart of epoch times */
enum { LANE_HEIGHT = 18, LANE_LEFT = 280, LANE_WIDTH = 760, LANE_RIGHT = 20, LANE_TOP = 6, LANE_BOTTOM = 40 };

static int compare_numbers(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

/* Of finite seconds; NaN: there are none. */
static double median_seconds(const struct report_run *run)
{
	double *all = xcalloc(run->n_epochs + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < run->n_epochs; i++)
		if (isfinite(run->epochs[i].seconds))
			all[n++] = run->epochs[i].seconds;
	qsort(all, n, sizeof(*all), compare_numbers);
	double median = !n ? NAN : n % 2 ? all[n / 2] : (all[n / 2 - 1] + all[n / 2]) / 2;
	free(all);
	return median;
}

/* At most so many columns of text, an ellipsis where some are left out; allocated. */
static char *shortened(const char *text, size_t columns)
{
	if (text_columns(text, strlen(text)) <= columns)
		return xstrdup(text);
	return xasprintf("%.*s\xE2\x80\xA6", (int)text_fit(text, columns - 1), text);
}

static void draw_lane(FILE *out, const struct report *rep, const struct report_run *run, const struct svg_scale *x,
		      double y)
{
	double *at = xcalloc(2 * run->n_epochs + 1, sizeof(*at)), middle = svg_at(x, median_seconds(run));
	autofree char *label = xasprintf("%lld%s%s", (long long)run->job->id, *run->label ? ": " : "", run->label);
	autofree char *cut = shortened(label, 40);
	char span[FORMAT_MAX];

	for (size_t i = 0; i < run->n_epochs; i++)
		at[i] = svg_at(x, run->epochs[i].seconds);
	size_t n = svg_thin_row(at, run->n_epochs);
	for (size_t i = 0; i < n; i++)
		at[n + i] = y;
	fprintf(out, "<g class=\"run lane c%d\" data-job=\"%lld\"><title>job %lld: ", run->hue, (long long)run->job->id,
		(long long)run->job->id);
	if (isnan(middle))
		fputs("no epoch yet", out);
	else
		fprintf(out, "median %s s an epoch", format_speed(median_seconds(run), span));
	fputs("</title><path class=\"dots\" d=\"", out);
	svg_dots(out, at, at + n, n, false);
	fputs("\"/>", out);
	if (!isnan(middle))
		fprintf(out, "<path class=\"median\" d=\"M%.1f %.1fv%d\"/>", middle, y - 7, 14);
	plot_text(out, run == rep->best[0] && run->rank ? "tick best" : "tick", LANE_LEFT - 8, y + 4, "end", cut);
	fputs("</g>\n", out);
	free(at);
}

static double longest_epoch(const struct report *rep)
{
	double longest = 0;

	for (size_t i = 0; i < rep->n_runs; i++)
		for (size_t k = 0; k < rep->runs[i].n_epochs; k++)
			longest = fmax(longest, rep->runs[i].epochs[k].seconds); /* fmax passes over NaN */
	return longest;
}

void report_epoch_times(const struct report *rep, FILE *out)
{
	struct svg_ticks ticks;
	size_t n = MIN(rep->n_runs, (size_t)LANES_MAX);
	double longest = longest_epoch(rep), height = LANE_TOP + (double)n * LANE_HEIGHT + LANE_BOTTOM;
	char text[SVG_TEXT_MAX];

	if (longest <= 0)
		return;
	svg_ticks(&ticks, 0, longest, 6);
	struct svg_scale x = {0, ticks.at[ticks.n - 1], LANE_LEFT, LANE_WIDTH - LANE_RIGHT, false};
	fputs("<section>\n<h2>Time per epoch</h2>\n<div class=\"scroll\" tabindex=\"0\"><figure class=\"wide\">\n",
	      out);
	plot_open(out, "epoch-times", "Time per epoch",
		  "Seconds of training and testing: a dot for each epoch, a stroke at the median, one line a run.",
		  LANE_WIDTH, height);
	fputs("<path class=\"grid\" d=\"", out);
	for (size_t i = 0; i < ticks.n; i++)
		fprintf(out, "M%.1f %dV%.1f", svg_at(&x, ticks.at[i]), LANE_TOP, height - LANE_BOTTOM);
	fputs("\"/>\n", out);
	for (size_t i = 0; i < ticks.n; i++)
		plot_text(out, "tick", svg_at(&x, ticks.at[i]), height - LANE_BOTTOM + 17, "middle",
			  svg_tick_text(&ticks, i, text));
	plot_text(out, "tick", (x.from + x.to) / 2, height - 5, "middle", "seconds an epoch, training and testing");
	for (size_t i = 0; i < n; i++)
		draw_lane(out, rep, &rep->runs[i], &x, LANE_TOP + ((double)i + 0.5) * LANE_HEIGHT);
	plot_close(out);
	fputs("</figure></div>\n", out);
	fprintf(out, "<p class=\"sub\">A dot is an epoch, a stroke the median%s.</p>\n</section>\n",
		n < rep->n_runs ? "; the first 64 runs" : "");
}

/* Parallel coordinates. */

enum { AXES_TOP = 34, AXES_HEIGHT = 300, AXES_BOTTOM = 16, AXES_GAP = 190, AXES_LEFT = 20, AXES_RIGHT = 190 };
#define LEVELS_FEW 8 /* up to so many values of a number, each has its tick */

struct parallel_axis {
	char *name;
	double x;
	bool numeric;
	json_t *levels; /* NULL: the metric */
	struct svg_scale scale;
	struct svg_ticks ticks;
};

/* Real scale for numbers, on a logarithm where they span more than one power of ten. */
static void axis_scale(struct parallel_axis *axis, double lo, double hi)
{
	bool log = axis->levels && lo > 0 && hi >= 10 * lo;

	if (log)
		svg_ticks_log(&axis->ticks, lo, hi);
	else
		svg_ticks(&axis->ticks, lo, hi, 6);
	if (!axis->levels || json_array_size(axis->levels) > LEVELS_FEW) {
		lo = axis->ticks.at[0];
		hi = axis->ticks.at[axis->ticks.n - 1];
	}
	axis->scale = (struct svg_scale){lo, hi, AXES_HEIGHT - AXES_BOTTOM, AXES_TOP, log};
}

static void axis_of_parameter(struct parallel_axis *axis, const struct report *rep, const char *name)
{
	size_t n, i;
	json_t *level;

	axis->name = xstrdup(name);
	axis->levels = report_levels(rep, name);
	n = json_array_size(axis->levels);
	axis->numeric = true;
	json_array_foreach(axis->levels, i, level) axis->numeric = axis->numeric && json_is_number(level);
	if (axis->numeric)
		axis_scale(axis, json_number_value(json_array_get(axis->levels, 0)),
			   json_number_value(json_array_get(axis->levels, n - 1)));
	else
		axis->scale = (struct svg_scale){-0.5, (double)n - 0.5, AXES_TOP, AXES_HEIGHT - AXES_BOTTOM, false};
}

static void axis_of_metric(struct parallel_axis *axis, const struct report *rep)
{
	double lo = rep->best[0]->job->value, hi = rep->best[rep->n_ranked - 1]->job->value;

	axis->name = xasprintf("%s%s", rep->sweep->metric, strstr(rep->sweep->metric, "accuracy") ? " (%)" : "");
	axis->numeric = true;
	axis_scale(axis, fmin(lo, hi), fmax(lo, hi));
}

/* Where run i crosses the axis.  Runs that share a category pass it side by side. */
static double crossing(const struct parallel_axis *axis, const struct report *rep, size_t i)
{
	const struct report_run *run = &rep->runs[i];
	json_t *value = json_object_get(run->job->config, axis->name), *level;
	size_t k, n = json_array_size(axis->levels);

	if (!axis->levels)
		return run->rank ? svg_at(&axis->scale, run->job->value) : NAN;
	if (axis->numeric)
		return svg_at(&axis->scale, json_number_value(value));
	double room = (AXES_HEIGHT - AXES_TOP - AXES_BOTTOM) / (double)n * 0.6;
	double side = fmin(room, 6.0 * (double)rep->n_runs) * (((double)i + 0.5) / (double)rep->n_runs - 0.5);
	json_array_foreach(axis->levels, k, level) if (json_equal(level, value ? value : json_null())) break;
	return svg_at(&axis->scale, (double)k) + side;
}

static void draw_axis(FILE *out, const struct parallel_axis *axis)
{
	char number[SVG_TEXT_MAX];
	size_t i, n = json_array_size(axis->levels);
	json_t *level;
	double last = INFINITY;
	autofree char *name = shortened(axis->name, 24);

	fprintf(out, "<path class=\"axis\" d=\"M%.1f %dV%d\"/>\n", axis->x, AXES_TOP, AXES_HEIGHT - AXES_BOTTOM);
	plot_text(out, "tick best", axis->x, 14, axis->x > AXES_LEFT ? "middle" : "start", name);
	if (!axis->numeric || (axis->levels && n <= LEVELS_FEW)) {
		json_array_foreach(axis->levels, i, level)
		{
			double y = svg_at(&axis->scale, axis->numeric ? json_number_value(level) : (double)i);
			autofree char *value = format_value(level);
			autofree char *text = shortened(value, 22);
			if (fabs(last - y) < 11) /* they would lie on each other */
				continue;
			last = y;
			plot_text(out, "tick halo", axis->x + 7, y + 4, "start", text);
		}
		return;
	}
	for (i = 0; i < axis->ticks.n; i++)
		plot_text(out, "tick halo", axis->x + 7, svg_at(&axis->scale, axis->ticks.at[i]) + 4, "start",
			  svg_tick_text(&axis->ticks, i, number));
}

static void draw_run(FILE *out, const struct report *rep, const struct parallel_axis *axes, size_t n, size_t i)
{
	const struct report_run *run = &rep->runs[i];
	size_t n_strong = rep->n_runs <= REPORT_FEW ? 1 : 3;
	double *x = xcalloc(2 * n, sizeof(*x)), *y = x + n;

	for (size_t k = 0; k < n; k++) {
		x[k] = axes[k].x;
		y[k] = crossing(&axes[k], rep, i);
	}
	fprintf(out, "<g class=\"run c%d d%d%s\" data-job=\"%lld\"><title>job %lld</title><path d=\"", run->hue,
		run->dash,
		run->rank && (size_t)run->rank <= n_strong ? " strong"
		: rep->n_runs > REPORT_FEW                 ? " faint"
							   : "",
		(long long)run->job->id, (long long)run->job->id);
	svg_path(out, x, y, n, false);
	fputs("\"/></g>\n", out);
	free(x);
}

void report_parallel(const struct report *rep, FILE *out)
{
	size_t n = json_array_size(rep->axes) + 1;
	struct parallel_axis *axes = xcalloc(n, sizeof(*axes));

	if (n < 2 || rep->n_ranked < 2) { /* one run, or none: there is nothing to compare */
		free(axes);
		return;
	}
	fputs("<section>\n<h2>Parameters and result</h2>\n", out);
	fputs("<div class=\"scroll\" tabindex=\"0\"><figure class=\"wide\">\n", out);
	plot_open(out, "parallel", "Parameters and result",
		  "Parallel coordinates: one line a run through its swept values to the sweep's metric.",
		  AXES_LEFT + AXES_GAP * (double)(n - 1) + AXES_RIGHT / 2, AXES_HEIGHT);
	for (size_t k = 0; k < n; k++) {
		axes[k].x = AXES_LEFT + AXES_GAP * (double)k;
		if (k + 1 < n)
			axis_of_parameter(&axes[k], rep, json_string_value(json_array_get(rep->axes, k)));
		else
			axis_of_metric(&axes[k], rep);
	}
	for (size_t i = rep->n_runs; i-- > 0;)
		draw_run(out, rep, axes, n, (size_t)(rep->best[i] - rep->runs));
	for (size_t k = 0; k < n; k++)
		draw_axis(out, &axes[k]);
	plot_close(out);
	fputs("</figure></div>\n<p class=\"sub\">Runs that share a category pass it side by side; runs that are not "
	      "done end before the metric.</p>\n</section>\n",
	      out);
	for (size_t k = 0; k < n; k++) {
		free(axes[k].name);
		json_decref(axes[k].levels);
	}
	free(axes);
}
