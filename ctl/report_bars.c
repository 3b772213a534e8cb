/* What mixed precision and a growing batch cost and save: grouped bars of memory, time and energy, for a sweep that
 * varies use_amp, use_batch_scheduler or both.  A bar is the mean over the runs that are done, a dot one of them. */
#include "ctl/report.h"
#include "ctl/html.h"
#include "ctl/plot.h"
#include "ctl/text.h"
#include "common/json.h"

#include <math.h>

enum { BARS_WIDTH = 360, BARS_HEIGHT = 230, BARS_LEFT = 52, BARS_TOP = 22, BARS_BOTTOM = 26 };
#define GROUPS 4 /* 2 of use_amp, of each 2 of use_batch_scheduler */

static const struct bars_measure {
	const char *id, *title, *unit, *format;
	size_t offset; /* in struct report_run; NaN: not known */
	bool picture;
} measures[] = {
	{"bars-ram", "Peak RAM", "MiB", "%.0f", offsetof(struct report_run, used.ram_mib), true},
	{"bars-vram", "Peak VRAM", "MiB", "%.0f", offsetof(struct report_run, used.vram_mib), true},
	{"bars-time", "Run time", "min", "%.2f", offsetof(struct report_run, minutes), true},
	{"bars-energy", "Energy", "Wh", "%.2f", offsetof(struct report_run, used.watt_hours), true},
	{"bars-accuracy", "Test accuracy", "%", "%.2f", offsetof(struct report_run, accuracy), false},
};

/* Group 2 * (use_amp is true) + (use_batch_scheduler is true); false: not one of its bars. */
static bool group_of(const struct report_run *run, size_t *ret)
{
	if (run->job->state != JOB_DONE)
		return false;
	*ret = 2u * json_is_true(json_object_get(run->job->config, "use_amp")) +
	       json_is_true(json_object_get(run->job->config, "use_batch_scheduler"));
	return true;
}

struct bars {
	bool amp, batch;       /* which of the two differ */
	size_t groups[GROUPS]; /* runs that are done */
	double mean[GROUPS][ARRAY_LEN(measures)];
};

static double measured(const struct report_run *run, size_t m)
{
	return *(const double *)((const char *)run + measures[m].offset);
}

/* Of those runs of a group that know it; NaN: none does. */
static double mean_of(const struct report *rep, size_t group, size_t m)
{
	double sum = 0;
	size_t n = 0, own;

	for (size_t i = 0; i < rep->n_runs; i++) {
		double value = measured(&rep->runs[i], m);
		if (!group_of(&rep->runs[i], &own) || own != group || !isfinite(value))
			continue;
		sum += value;
		n++;
	}
	return n ? sum / (double)n : NAN;
}

/* False: neither of the two is varied, or no run is done. */
static bool bars_init(struct bars *b, const struct report *rep)
{
	autojson json_t *amp = report_levels(rep, "use_amp"), *batch = report_levels(rep, "use_batch_scheduler");
	size_t own;

	*b = (struct bars){.amp = json_array_size(amp) > 1, .batch = json_array_size(batch) > 1};
	for (size_t i = 0; i < rep->n_runs; i++)
		if (group_of(&rep->runs[i], &own))
			b->groups[own]++;
	for (size_t group = 0; group < GROUPS; group++)
		for (size_t m = 0; m < ARRAY_LEN(measures); m++)
			b->mean[group][m] = mean_of(rep, group, m);
	return (b->amp || b->batch) && rep->counts[JOB_DONE];
}

static bool is_known(const struct bars *b, size_t m)
{
	for (size_t group = 0; group < GROUPS; group++)
		if (isfinite(b->mean[group][m]))
			return true;
	return false;
}

/* Where a group stands, from 0 to 1: those with and without mixed precision apart, batches side by side. */
static double place_of(const struct bars *b, size_t group, double *ret_width)
{
	size_t amp = group / 2, batch = group % 2;

	*ret_width = b->amp && b->batch ? 0.18 : 0.26;
	if (b->amp && b->batch)
		return 0.25 + 0.5 * (double)amp + ((double)batch - 0.5) * 0.2;
	return 0.25 + 0.5 * (double)(b->amp ? amp : batch);
}

static void draw_group(FILE *out, const struct report *rep, const struct bars *b, size_t group, size_t m,
		       const struct svg_scale *y)
{
	double width, span = BARS_WIDTH - BARS_LEFT, value = b->mean[group][m], top = svg_at(y, value);
	double x = BARS_LEFT + span * place_of(b, group, &width);
	char number[FORMAT_MAX];
	size_t own;

	if (!isfinite(value))
		return;
	fprintf(out, "<path class=\"bar b%zu\" d=\"M%.1f %.0fV%.1fh%.1fV%.0fz\"/>", b->batch ? group % 2 : 0,
		x - span * width / 2, y->from, top, span * width, y->from);
	fputs("<path class=\"bar-runs\" d=\"", out);
	for (size_t i = 0; i < rep->n_runs && b->groups[group] > 1; i++)
		if (group_of(&rep->runs[i], &own) && own == group && isfinite(measured(&rep->runs[i], m)))
			fprintf(out, "M%.1f %.1fh0", x, svg_at(y, measured(&rep->runs[i], m)));
	fputs("\"/>\n", out);
	snprintf(number, sizeof(number), measures[m].format, value);
	plot_text(out, "label halo", x, top - 5, "middle", number);
}

static double highest(const struct report *rep, size_t m)
{
	double most = 0;
	size_t own;

	for (size_t i = 0; i < rep->n_runs; i++)
		if (group_of(&rep->runs[i], &own) && isfinite(measured(&rep->runs[i], m)))
			most = fmax(most, measured(&rep->runs[i], m));
	return most;
}

static void draw_bars(FILE *out, const struct report *rep, const struct bars *b, size_t m)
{
	const char *const names[] = {b->amp ? "AMP off" : "fixed batch", b->amp ? "AMP on" : "growing batch"};
	struct svg_ticks ticks;
	char text[SVG_TEXT_MAX];

	svg_ticks(&ticks, 0, highest(rep, m), 4);
	struct svg_scale y = {0, ticks.at[ticks.n - 1], BARS_HEIGHT - BARS_BOTTOM, BARS_TOP, false};
	fprintf(out, "<figure><figcaption>%s (%s)</figcaption>\n", measures[m].title, measures[m].unit);
	plot_open(out, measures[m].id, measures[m].title,
		  "Bars: the mean of the runs that are done, with and without mixed precision and a growing batch.",
		  BARS_WIDTH, BARS_HEIGHT);
	fputs("<path class=\"grid\" d=\"", out);
	for (size_t i = 0; i < ticks.n; i++)
		fprintf(out, "M%d %.1fH%d", BARS_LEFT, svg_at(&y, ticks.at[i]), BARS_WIDTH);
	fputs("\"/>\n", out);
	for (size_t i = 0; i < ticks.n; i++)
		plot_text(out, "tick", BARS_LEFT - 6, svg_at(&y, ticks.at[i]) + 4, "end",
			  svg_tick_text(&ticks, i, text));
	for (size_t group = 0; group < GROUPS; group++)
		draw_group(out, rep, b, group, m, &y);
	for (size_t i = 0; i < 2; i++)
		plot_text(out, "tick best", BARS_LEFT + (BARS_WIDTH - BARS_LEFT) * (0.25 + 0.5 * (double)i),
			  BARS_HEIGHT - 7, "middle", names[i]);
	plot_close(out);
	fputs("</figure>\n", out);
}

static const char *on_off(size_t on)
{
	return on ? "on" : "off";
}

static void put_table(FILE *out, const struct bars *b)
{
	char number[FORMAT_MAX];

	fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Mixed precision</th><th "
	      "scope=\"col\">Batch "
	      "scheduler</th><th scope=\"col\" class=\"num\">Runs</th>",
	      out);
	for (size_t m = 0; m < ARRAY_LEN(measures); m++)
		if (is_known(b, m))
			fprintf(out, "<th scope=\"col\" class=\"num\">%s (%s)</th>", measures[m].title,
				measures[m].unit);
	fputs("</tr></thead><tbody>\n", out);
	for (size_t group = 0; group < GROUPS; group++) {
		if (!b->groups[group])
			continue;
		fprintf(out, "<tr><th scope=\"row\">%s</th><td>%s</td><td class=\"num\">%zu</td>", on_off(group / 2),
			on_off(group % 2), b->groups[group]);
		for (size_t m = 0; m < ARRAY_LEN(measures); m++) {
			if (!is_known(b, m))
				continue;
			snprintf(number, sizeof(number), isfinite(b->mean[group][m]) ? measures[m].format : "",
				 b->mean[group][m]);
			fprintf(out, "<td class=\"num\">%s</td>", number);
		}
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table></div>\n", out);
}

/* Some run asked for mixed precision that its device does not have. */
static bool amp_is_idle(const struct report *rep)
{
	size_t group;

	for (size_t i = 0; i < rep->n_runs; i++)
		if (group_of(&rep->runs[i], &group) && group >= 2 && rep->runs[i].only_fp32)
			return true;
	return false;
}

/* What a bar or a row stands for where other things are varied too. */
static bool several(const struct bars *b)
{
	for (size_t group = 0; group < GROUPS; group++)
		if (b->groups[group] > 1)
			return true;
	return false;
}

static void put_bars_legend(FILE *out, const struct bars *b)
{
	if (b->amp && b->batch)
		fputs("<ul class=\"legend\"><li class=\"title\">use_batch_scheduler:</li><li><span "
		      "class=\"b0\">\xE2\x96\xA0</span> "
		      "false, the batch stays</li><li><span class=\"b1\">\xE2\x96\xA0</span> true, it "
		      "grows</li></ul>\n",
		      out);
}

void report_amp_and_batch(const struct report *rep, FILE *out)
{
	struct bars b;

	if (!bars_init(&b, rep))
		return;
	fputs("<section>\n<h2>Mixed precision and batch scheduler</h2>\n", out);
	put_bars_legend(out, &b);
	fputs("<div class=\"charts bars\">\n", out);
	for (size_t m = 0; m < ARRAY_LEN(measures); m++)
		if (measures[m].picture && is_known(&b, m))
			draw_bars(out, rep, &b, m);
	fputs("</div>\n", out);
	put_table(out, &b);
	fprintf(out,
		"<p class=\"sub\">%s run time is training and testing, memory the highest of the "
		"run.%s</p>\n</section>\n",
		several(&b) ? "Means of the runs that are done, which differ in other parameters too (a dot is a run);"
			    : "One run each;",
		amp_is_idle(rep) ? " A device here has no mixed precision: it computed in fp32 with use_amp too." : "");
}

void report_amp_and_batch_markdown(const struct report *rep, FILE *out)
{
	struct bars b;

	if (!bars_init(&b, rep))
		return;
	fputs("\n## Mixed precision and batch scheduler\n\n| use\\_amp | use\\_batch\\_scheduler | Runs |", out);
	for (size_t m = 0; m < ARRAY_LEN(measures); m++)
		if (is_known(&b, m))
			fprintf(out, " %s (%s) |", measures[m].title, measures[m].unit);
	fputs("\n| --- | --- | ---: |", out);
	for (size_t m = 0; m < ARRAY_LEN(measures); m++)
		if (is_known(&b, m))
			fputs(" ---: |", out);
	fputc('\n', out);
	for (size_t group = 0; group < GROUPS; group++) {
		if (!b.groups[group])
			continue;
		fprintf(out, "| %s | %s | %zu |", group / 2 ? "true" : "false", group % 2 ? "true" : "false",
			b.groups[group]);
		for (size_t m = 0; m < ARRAY_LEN(measures); m++) {
			char number[FORMAT_MAX] = "";
			if (!is_known(&b, m))
				continue;
			if (isfinite(b.mean[group][m]))
				snprintf(number, sizeof(number), measures[m].format, b.mean[group][m]);
			fprintf(out, " %s |", number);
		}
		fputc('\n', out);
	}
}
