/* The short version of a report, in Markdown: what was swept, key numbers, results, sweep file, commands. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/html.h"
#include "ctl/text.h"
#include "common/json.h"

#include <math.h>

static void put_cell(FILE *out, const char *text)
{
	autofree char *safe = markdown_escaped(text);

	fprintf(out, " %s |", safe);
}

static void put_result(const struct report *rep, FILE *out, const struct report_run *run)
{
	const struct job_row *job = run->job;
	const char *bold = run->rank == 1 ? "**" : "";
	bool done = job->state == JOB_DONE;
	char number[FORMAT_MAX];
	size_t i;
	json_t *name;

	fprintf(out, "| %lld |", (long long)job->id);
	json_array_foreach(rep->columns, i, name)
	{
		autofree char *value = report_value(run, json_string_value(name));
		put_cell(out, value);
	}
	fprintf(out, " %s%s%s |", bold, metric_text(rep->sweep->metric, done ? job->value : NAN, number), bold);
	if (done)
		fprintf(out, " %s |", format_minutes_bare(job->seconds / 60, number));
	else
		fputs(" |", out);
	put_cell(out, run->notes);
	fputc('\n', out);
}

static void put_results(const struct report *rep, FILE *out)
{
	size_t i;
	json_t *name;

	fputs("## Results\n\n| Job |", out);
	json_array_foreach(rep->columns, i, name) put_cell(out, json_string_value(name));
	put_cell(out, rep->sweep->metric);
	fputs(" minutes | Notes |\n| ---: |", out);
	json_array_foreach(rep->columns, i, name) fputs(" --- |", out);
	fputs(" ---: | ---: | --- |\n", out);
	for (i = 0; i < rep->n_runs; i++)
		put_result(rep, out, &rep->runs[i]);
}

/* Indented by four: no text can end such a block but an unindented line, and every line is indented. */
static void put_block(FILE *out, const char *text)
{
	bool start = true;

	for (; *text; text++) {
		if (start)
			fputs("    ", out);
		if (*text != '\r')
			fputc(*text, out);
		start = *text == '\n';
	}
	if (!start)
		fputc('\n', out);
}

void report_markdown(const struct report *rep, FILE *out)
{
	autofree char *name = markdown_escaped(rep->sweep->name), *commands = report_commands(rep);
	char number[FORMAT_MAX];
	size_t i;
	json_t *axis;

	fprintf(out, "# %s\n\nSweep s%lld, %s: %zu of %zu done, %zu failed.\n\n", name, (long long)rep->sweep->id,
		rep->jobs, rep->counts[JOB_DONE], rep->n_runs, rep->counts[JOB_FAILED]);
	json_array_foreach(rep->axes, i, axis)
	{
		autofree char *levels = report_levels_text(rep, json_string_value(axis)), *values = markdown_escaped(levels);
		autofree char *safe = markdown_escaped(json_string_value(axis));
		fprintf(out, "- %s: %s\n", safe, values);
	}
	if (rep->n_ranked)
		fprintf(out, "- best: job %lld, %s %s\n", (long long)rep->best[0]->job->id, rep->sweep->metric,
			metric_text(rep->sweep->metric, rep->best[0]->job->value, number));
	if (rep->fastest)
		fprintf(out, "- fastest: job %lld, %s\n", (long long)rep->fastest->job->id,
			format_minutes(rep->fastest->job->seconds / 60, number));
	fprintf(out, "- training and testing: %s in all\n\n", format_span(report_seconds(rep), number));
	put_results(rep, out);
	report_amp_and_batch_markdown(rep, out);
	report_classes_markdown(rep, out);
	fputs("\n## Sweep file\n\n", out);
	autofree char *source = text_clean_lines(rep->source.text ? rep->source.text : "");
	put_block(out, source);
	fputs("\n## Make it again\n\n", out);
	put_block(out, commands);
}
