/* The tables of a report: what was swept, results, efficiency; see report.h. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/html.h"
#include "ctl/text.h"
#include "common/json.h"
#include "common/params.h"

#include <math.h>

static bool list_has(const json_t *list, const char *name)
{
	size_t i;
	json_t *have;

	json_array_foreach(list, i, have) if (str_eq(json_string_value(have), name)) return true;
	return false;
}

#define LEVELS_LISTED 20 /* nobody reads a thousand seeds */

char *report_levels_text(const struct report *rep, const char *name)
{
	autojson json_t *levels = report_levels(rep, name);
	size_t n = json_array_size(levels), listed = n > LEVELS_LISTED ? LEVELS_LISTED : n;
	char *text = xstrdup("");

	for (size_t i = 0; i < listed; i++) {
		autofree char *value = format_value(json_array_get(levels, i));
		text_append(&text, "%s%s", i ? ", " : "", value);
	}
	if (n > listed)
		text_append(&text, " and %zu more", n - listed);
	return text;
}

/* One row: the parameter, the values it takes and, where that needs saying (else NULL), why. */
static void put_levels(const struct report *rep, FILE *out, const char *name, const char *why)
{
	autofree char *levels = report_levels_text(rep, name);

	fputs("<tr><th scope=\"row\">", out);
	html_put(out, name);
	fputs("</th><td>", out);
	html_put(out, levels);
	fprintf(out, why ? "</td><td>%s</td></tr>\n" : "</td></tr>\n", why);
}

static void put_constants(FILE *out, json_t *pairs)
{
	const char *name;
	json_t *value;

	fputs("<ul class=\"pairs\">", out);
	json_object_foreach(pairs, name, value)
	{
		autofree char *text = format_value(value);
		fputs("<li>", out);
		html_put(out, name);
		fputs(" <b>", out);
		html_put(out, text);
		fputs("</b></li>\n", out);
	}
	fputs("</ul>\n", out);
}

/* What differs without being swept (the sweep's `when`), what is the same in all, by choice or by default. */
static void sort_parameters(const struct report *rep, json_t *follow, json_t *set, json_t *normal)
{
	struct train_config defaults;
	const char *name;
	json_t *value;

	config_defaults(&defaults);
	json_object_foreach(rep->runs[0].job->config, name, value)
	{
		if (list_has(rep->sweep->swept, name) && list_has(rep->axes, name))
			continue;
		autojson json_t *levels = report_levels(rep, name);
		const struct param *p = param_find(name);
		autojson json_t *usual = p ? config_get(&defaults, p) : NULL;
		if (json_array_size(levels) > 1)
			json_array_append_new(follow, json_string_nocheck(name));
		else
			json_object_set_nocheck(usual && json_equal(usual, value) ? normal : set, name, value);
	}
}

void report_swept(const struct report *rep, FILE *out)
{
	autojson json_t *follow = json_array(), *set = json_object(), *normal = json_object();
	size_t i;
	json_t *name;

	sort_parameters(rep, follow, set, normal);
	fputs("<section>\n<h2>What was swept</h2>\n", out);
	if (json_array_size(rep->axes) + json_array_size(follow)) {
		fputs("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">Parameter</th>"
		      "<th scope=\"col\">Values</th>",
		      out);
		fputs(json_array_size(follow) ? "<th scope=\"col\">Why</th></tr></thead><tbody>\n"
					      : "</tr></thead><tbody>\n",
		      out);
		json_array_foreach(rep->axes, i, name)
			put_levels(rep, out, json_string_value(name), json_array_size(follow) ? "swept" : NULL);
		json_array_foreach(follow, i, name)
			put_levels(rep, out, json_string_value(name), "follows another parameter");
		fputs("</tbody></table></div>\n", out);
	} else {
		fputs("<p class=\"none\">Nothing differs between these runs.</p>\n", out);
	}
	fputs("<h3>Constant</h3>\n", out);
	put_constants(out, set);
	if (json_object_size(normal)) {
		fprintf(out, "<details><summary>%zu more at their defaults</summary>\n", json_object_size(normal));
		put_constants(out, normal);
		fputs("</details>\n", out);
	}
	fputs("</section>\n", out);
}

static void put_column(FILE *out, const char *title, bool number)
{
	fprintf(out, "<th scope=\"col\"%s>", number ? " class=\"num\"" : "");
	html_put(out, title);
	fputs("</th>", out);
}

/* Job and parameters: how every table of runs begins. */
static void put_run_columns(const struct report *rep, FILE *out)
{
	size_t i;
	json_t *name;

	fputs("<div class=\"scroll\" tabindex=\"0\"><table class=\"runs\"><thead><tr>", out);
	put_column(out, "Job", true);
	json_array_foreach(rep->columns, i, name) put_column(out, param_heading(json_string_value(name)), false);
}

static void put_run_cells(const struct report *rep, FILE *out, const struct report_run *run)
{
	size_t i;
	json_t *name;

	fprintf(out, "<tr data-job=\"%lld\"%s><th scope=\"row\" class=\"num\">", (long long)run->job->id,
		run->rank == 1 ? " class=\"best\"" : "");
	fprintf(out,
		"<svg class=\"key\" viewBox=\"0 0 28 8\" aria-hidden=\"true\"><g class=\"run c%d d%d\">"
		"<path d=\"M1 4H27\"/></g></svg>%lld</th>",
		run->hue, run->dash, (long long)run->job->id);
	json_array_foreach(rep->columns, i, name)
	{
		autofree char *value = report_value(run, json_string_value(name));
		fputs("<td>", out);
		html_put(out, value);
		fputs("</td>", out);
	}
}

static void put_number(FILE *out, const char *text, bool best)
{
	fprintf(out, best ? "<td class=\"num\"><b>%s</b></td>" : "<td class=\"num\">%s</td>", text);
}

static bool is_done(const struct report_run *run)
{
	return run->job->state == JOB_DONE;
}

/* The best test accuracy of the last epochs, which is not always the sweep's metric. */
static double top_accuracy(const struct report *rep)
{
	double top = NAN;

	for (size_t i = 0; i < rep->n_runs; i++)
		if (is_done(&rep->runs[i]) && !(rep->runs[i].job->test_accuracy <= top))
			top = isnan(rep->runs[i].job->test_accuracy) ? top : rep->runs[i].job->test_accuracy;
	return top;
}

static void put_result(const struct report *rep, FILE *out, const struct report_run *run, bool other_metric, double top)
{
	char number[FORMAT_MAX];
	const struct job_row *job = run->job;
	const char *state = job->state == JOB_FAILED ? " failed" : job->state == JOB_CANCELLED ? " cancelled" : "";
	double minutes = is_done(run) ? job->seconds / 60 : NAN;

	put_run_cells(rep, out, run);
	put_number(out, format_accuracy(is_done(run) ? job->test_accuracy : NAN, number),
		   is_done(run) && job->test_accuracy == top);
	if (other_metric)
		put_number(out, metric_text(rep->sweep->metric, is_done(run) ? job->value : NAN, number),
			   run->rank == 1);
	format_minutes_bare(minutes, number);
	put_number(out, number, false);
	fprintf(out, "<td class=\"notes%s\">", state);
	html_put(out, run->notes);
	fputs("</td></tr>\n", out);
}

void report_results(const struct report *rep, FILE *out)
{
	bool other_metric = !str_eq(rep->sweep->metric, "test_accuracy");
	double top = top_accuracy(rep), flattered = NAN;
	char number[FORMAT_MAX];

	fputs("<section>\n<h2>Results</h2>\n", out);
	put_run_columns(rep, out);
	put_column(out, "Test Accuracy (%)", true);
	if (other_metric)
		put_column(out, rep->sweep->metric, true);
	put_column(out, "Training Time (min)", true);
	put_column(out, "Notes", false);
	fputs("</tr></thead><tbody>\n", out);
	for (size_t i = 0; i < rep->n_runs; i++)
		put_result(rep, out, &rep->runs[i], other_metric, top);
	fputs("</tbody></table></div>\n", out);
	for (size_t i = 0; i < rep->n_runs; i++)
		if (is_done(&rep->runs[i]) && !isnan(rep->runs[i].job->best_test_accuracy))
			flattered = fmax(rep->runs[i].job->best_test_accuracy, isnan(flattered) ? 0 : flattered);
	fputs("<p class=\"sub\">Values are the last epoch's; the best is bold.", out);
	if (!isnan(flattered))
		fprintf(out, " The best epoch of any run had a test accuracy of %s\u00a0%%, chosen on the test set.",
			format_accuracy(flattered, number));
	fputs("</p>\n</section>\n", out);
}

struct efficiency { /* NaN: not known */
	double minutes, epoch_seconds, images_per_second, ram_mib, vram_mib, watt_hours;
};

static struct efficiency efficiency_of(const struct report_run *run)
{
	const struct job_row *job = run->job;
	double images = 0, energy = 0;
	size_t n_images = 0;

	for (size_t i = 0; i < run->n_epochs; i++) {
		const struct epoch_row *epoch = &run->epochs[i];
		energy += epoch->watts * epoch->seconds / 3600;
		if (isnan(epoch->images_per_second))
			continue;
		images += epoch->images_per_second;
		n_images++;
	}
	return (struct efficiency){
		.minutes = run->n_epochs ? job->seconds / 60 : NAN,
		.epoch_seconds = run->n_epochs ? job->seconds / (double)run->n_epochs : NAN,
		.images_per_second = n_images ? images / (double)n_images : NAN,
		.ram_mib = job->ram_mib,
		.vram_mib = job->vram_mib,
		.watt_hours = !run->n_epochs ? NAN : isnan(run->used.watt_hours) ? energy : run->used.watt_hours,
	};
}

static const struct measure {
	const char *title, *format; /* format NULL: minutes */
	size_t offset;
	bool more;     /* is better */
	bool optional; /* no column where nothing is known */
} measures[] = {
	{"Minutes", NULL, offsetof(struct efficiency, minutes), false, false},
	{"s per epoch", "%.2f", offsetof(struct efficiency, epoch_seconds), false, false},
	{"Images/s", "%.0f", offsetof(struct efficiency, images_per_second), true, false},
	{"Peak RAM (MiB)", "%.0f", offsetof(struct efficiency, ram_mib), false, false},
	{"Peak VRAM (MiB)", "%.0f", offsetof(struct efficiency, vram_mib), false, true},
	{"Energy (Wh)", "%.1f", offsetof(struct efficiency, watt_hours), false, true},
};

static double measured(const struct efficiency *e, const struct measure *m)
{
	return *(const double *)((const char *)e + m->offset);
}

/* The best of the runs that are done; NaN: nothing is known, or so many share it that it distinguishes none. */
static double best_measured(const struct report *rep, const struct efficiency *all, const struct measure *m)
{
	double best = NAN;
	size_t ties = 0;

	for (size_t i = 0; i < rep->n_runs; i++) {
		double value = measured(&all[i], m);
		if (is_done(&rep->runs[i]) && !isnan(value))
			best = isnan(best) ? value : m->more ? fmax(best, value) : fmin(best, value);
	}
	for (size_t i = 0; i < rep->n_runs; i++)
		ties += is_done(&rep->runs[i]) && measured(&all[i], m) == best;
	return ties > MAX(rep->counts[JOB_DONE] / 4, (size_t)1) ? NAN : best;
}

static bool any_measured(const struct report *rep, const struct efficiency *all, const struct measure *m)
{
	for (size_t i = 0; i < rep->n_runs; i++)
		if (!isnan(measured(&all[i], m)))
			return true;
	return false;
}

void report_efficiency(const struct report *rep, FILE *out)
{
	struct efficiency *all = xcalloc(rep->n_runs, sizeof(*all));
	double best[ARRAY_LEN(measures)];
	bool shown[ARRAY_LEN(measures)];
	char number[FORMAT_MAX];

	fputs("<section>\n<h2>Efficiency</h2>\n", out);
	put_run_columns(rep, out);
	for (size_t i = 0; i < rep->n_runs; i++)
		all[i] = efficiency_of(&rep->runs[i]);
	for (size_t k = 0; k < ARRAY_LEN(measures); k++) {
		shown[k] = !measures[k].optional || any_measured(rep, all, &measures[k]);
		best[k] = best_measured(rep, all, &measures[k]);
		if (shown[k])
			put_column(out, measures[k].title, true);
	}
	fputs("</tr></thead><tbody>\n", out);
	for (size_t i = 0; i < rep->n_runs; i++) {
		put_run_cells(rep, out, &rep->runs[i]);
		for (size_t k = 0; k < ARRAY_LEN(measures); k++) {
			double value = measured(&all[i], &measures[k]);
			if (!shown[k])
				continue;
			number[0] = 0;
			if (!measures[k].format)
				format_minutes_bare(value, number);
			else if (!isnan(value))
				snprintf(number, sizeof(number), measures[k].format, value);
			put_number(out, number, is_done(&rep->runs[i]) && value == best[k]);
		}
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table></div>\n<p class=\"sub\">Means over the epochs, peaks of the whole run; images per "
	      "second are training's. The best of the runs that are done is bold.</p>\n</section>\n",
	      out);
	free(all);
}
