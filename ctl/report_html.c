/* The page of a report: head, key numbers and the order of its parts; see report.h.  Well-formed XML too, without a
 * byte from elsewhere; the script only adds hovering and sorting. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/html.h"
#include "ctl/text.h"

#include <math.h>
#include <time.h>

/* Local time with its zone: the document will be read elsewhere. */
static char *when_text(int64_t ms)
{
	time_t t = ms / 1000;
	struct tm tm;
	char text[64];

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M %Z", &tm);
	return xstrdup(text);
}

/* What became of those that are not done: "1 failed, 2 queued" */
static char *counts_text(const struct report *rep)
{
	char *text = xstrdup("");

	for (int i = 0; i < N_JOB_STATES; i++)
		if (rep->counts[i] && i != JOB_DONE)
			text_append(&text, "%s%zu %s", *text ? ", " : "", rep->counts[i], job_state_names[i]);
	if (!*text)
		text_append(&text, "none failed");
	return text;
}

static void put_head(const struct report *rep, FILE *out)
{
	autofree char *name = html_escaped(rep->sweep->name);
	autofree char *when = when_text(rep->sweep->submitted_ms), *made = when_text(rep->made_ms);
	autofree char *project = html_escaped(rep->source.project ? rep->source.project : "");
	size_t waiting = rep->counts[JOB_QUEUED] + rep->counts[JOB_RUNNING] + rep->counts[JOB_PAUSED];

	fprintf(out,
		"<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
		"<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
		"<meta name=\"generator\" content=\"sweepctl " SWEEPD_VERSION "\"/>\n"
		"<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>%s: sweep report</title>\n"
		"<style>\n%s</style>\n</head>\n<body>\n<main>\n<header>\n<h1>%s</h1>\n",
		name, report_style, name);
	fprintf(out, "<p class=\"sub\">Sweep s%lld of project %s, %s, submitted %s. Report made %s.</p>\n",
		(long long)rep->sweep->id, project, rep->jobs, when, made);
	if (rep->sweep->note) {
		fputs("<p class=\"note\">", out);
		html_put(out, rep->sweep->note);
		fputs("</p>\n", out);
	}
	if (waiting)
		fprintf(out,
			"<p class=\"note\" id=\"unfinished\">%zu of %zu jobs %s not over yet: "
			"what is said here will change.</p>\n",
			waiting, rep->n_runs, waiting == 1 ? "is" : "are");
	fputs("</header>\n", out);
}

static void put_tile(FILE *out, const char *title, const char *value, const char *more)
{
	fprintf(out, "<div><dt>%s</dt><dd><b>", title);
	html_put(out, value);
	fputs("</b>", out);
	if (*more) {
		fputs("<span>", out);
		html_put(out, more);
		fputs("</span>", out);
	}
	fputs("</dd></div>\n", out);
}

/* "job 8: resnet50, 0.05, ReduceLROnPlateau" */
static char *run_text(const struct report_run *run)
{
	return xasprintf("job %lld%s%s", (long long)run->job->id, *run->label ? ": " : "", run->label);
}

static void put_best(const struct report *rep, FILE *out)
{
	autofree char *metric = html_escaped(rep->sweep->metric);
	autofree char *title = xasprintf("Best run, %s", metric);
	char number[FORMAT_MAX];

	if (!rep->n_ranked) {
		put_tile(out, title, "\xE2\x80\x93", "no run is done yet");
		return;
	}
	const struct report_run *best = rep->best[0];
	autofree char *value = xasprintf("%s%s", metric_text(rep->sweep->metric, best->job->value, number),
					 strstr(rep->sweep->metric, "accuracy") ? " %" : "");
	autofree char *run = run_text(best);
	put_tile(out, title, value, run);
}

static void put_fastest(const struct report *rep, FILE *out)
{
	char number[FORMAT_MAX];

	if (!rep->fastest) {
		put_tile(out, "Fastest run", "\xE2\x80\x93", "no run is done yet");
		return;
	}
	autofree char *run = run_text(rep->fastest);
	put_tile(out, "Fastest run", format_minutes(rep->fastest->job->seconds / 60, number), run);
}

/* From the first start to the last end, as far as there are any. */
static double wall_seconds(const struct report *rep)
{
	int64_t first = 0, last = 0;

	for (size_t i = 0; i < rep->n_runs; i++) {
		const struct job_row *job = rep->runs[i].job;
		int64_t end = job->ended_ms ? job->ended_ms : job->state == JOB_RUNNING ? rep->made_ms : 0;
		if (!job->started_ms)
			continue;
		first = !first || job->started_ms < first ? job->started_ms : first;
		last = end > last ? end : last;
	}
	return first && last > first ? (double)(last - first) / 1000 : NAN;
}

static void put_key_numbers(const struct report *rep, FILE *out)
{
	char span[FORMAT_MAX];
	double wall = wall_seconds(rep);
	autofree char *counts = counts_text(rep);
	autofree char *done = xasprintf("%zu of %zu", rep->counts[JOB_DONE], rep->n_runs);

	fputs("<section aria-label=\"Key numbers\">\n<dl class=\"tiles\">\n", out);
	put_best(rep, out);
	put_fastest(rep, out);
	autofree char *more =
		isnan(wall) ? xstrdup("") : xasprintf("%s from first start to last end", format_span(wall, span));
	put_tile(out, "Training and testing", format_span(report_seconds(rep), span), more);
	put_tile(out, "Jobs done", done, counts);
	fputs("</dl>\n</section>\n", out);
}

static void put_machines(const struct report *rep, FILE *out)
{
	const char *machine;
	json_t *jobs, *job;
	size_t i;

	fputs("<section>\n<h2>Machine and versions</h2>\n", out);
	if (!json_object_size(rep->machines))
		fputs("<p class=\"none\">No worker has started yet.</p>\n", out);
	json_object_foreach(rep->machines, machine, jobs)
	{
		int64_t *ids = xcalloc(json_array_size(jobs) + 1, sizeof(*ids));
		json_array_foreach(jobs, i, job) ids[i] = json_integer_value(job);
		autofree char *text = format_jobs(ids, i);
		free(ids);
		fprintf(out, "<p><b>%s</b>: ", text);
		html_put(out, machine);
		fputs("</p>\n", out);
	}
	fputs("</section>\n", out);
}

static void put_source(const struct report *rep, FILE *out)
{
	autofree char *commands = report_commands(rep);

	fputs("<section>\n<h2>Sweep file</h2>\n", out);
	if (rep->source.text && *rep->source.text) {
		fputs("<pre tabindex=\"0\"><code>", out);
		html_put(out, rep->source.text);
		fputs("</code></pre>\n", out);
	} else {
		fputs("<p class=\"none\">The store holds no text for this sweep.</p>\n", out);
	}
	fputs("</section>\n<section>\n<h2>Make it again</h2>\n<p>The sweep file above, saved; this report; its table "
	      "and its curves.</p>\n<pre tabindex=\"0\"><code>",
	      out);
	html_put(out, commands);
	fputs("</code></pre>\n</section>\n", out);
}

void report_html(const struct report *rep, FILE *out)
{
	put_head(rep, out);
	report_swept(rep, out);
	put_key_numbers(rep, out);
	report_results(rep, out);
	report_curves(rep, out);
	report_epoch_times(rep, out);
	report_parallel(rep, out);
	report_best_run(rep, out);
	report_classes(rep, out);
	report_power(rep, out);
	report_amp_and_batch(rep, out);
	report_efficiency(rep, out);
	put_machines(rep, out);
	put_source(rep, out);
	fprintf(out,
		"<footer><p>Accuracies are percent of the last epoch. Minutes are training and testing of the epochs "
		"that count, without queueing or work lost to a crash. Made by sweepctl " SWEEPD_VERSION
		".</p></footer>\n</main>\n<script>\n%s</script>\n</body>\n</html>\n",
		report_script);
}
