/* The charts of a report: curves of all runs, of the best one, time per epoch; see report.h. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "ctl/html.h"
#include "ctl/plot.h"
#include "ctl/text.h"

#include <math.h>

#define FEW_EPOCHS 12 /* up to so many each epoch has its dot */

enum curve { TEST_ACCURACY, TEST_LOSS, TRAIN_LOSS, LR, TRAIN_ACCURACY, OTHER, N_CURVES };

static const struct {
	const char *id, *title, *unit, *desc;
	size_t offset; /* in struct epoch_row */
	bool log;      /* always; a loss is so where its values are far apart */
	bool loss;
} curves[N_CURVES] = {
	[TEST_ACCURACY] = {"test-accuracy", "Test accuracy", "%", "Test accuracy after each epoch, one line a run.",
			   offsetof(struct epoch_row, test_accuracy), false, false},
	[TEST_LOSS] = {"test-loss", "Test loss", "", "Test loss after each epoch, one line a run.",
		       offsetof(struct epoch_row, test_loss), false, true},
	[TRAIN_LOSS] = {"train-loss", "Train loss", "", "Training loss of each epoch, one line a run.",
			offsetof(struct epoch_row, train_loss), false, true},
	[LR] = {"lr", "Learning rate", "log scale", "Learning rate of each epoch, one line a run.",
		offsetof(struct epoch_row, lr), true, false},
	[TRAIN_ACCURACY] = {"train-accuracy", "Train accuracy", "%", "Training accuracy of each epoch.",
			    offsetof(struct epoch_row, train_accuracy), false, false},
	[OTHER] = {"metric", NULL, "", "The sweep's metric after each epoch, one line a run.",
		   offsetof(struct epoch_row, other), false, false},
};

static bool has_epochs(const struct report *rep)
{
	for (size_t i = 0; i < rep->n_runs; i++)
		if (rep->runs[i].n_epochs)
			return true;
	return false;
}

/* The epoch numbers, then the values, of one curve of a run; allocated. */
static double *points_of(const struct report_run *run, enum curve c)
{
	double *points = xcalloc(2 * run->n_epochs + 1, sizeof(*points));

	for (size_t i = 0; i < run->n_epochs; i++) {
		points[i] = run->epochs[i].epoch;
		points[run->n_epochs + i] = *(const double *)((const char *)&run->epochs[i] + curves[c].offset);
	}
	return points;
}

/* "job 8: resnet50, 0.05, ReduceLROnPlateau; 78.05, done". */
static char *title_of(const struct report *rep, const struct report_run *run)
{
	char number[FORMAT_MAX];
	const char *value = metric_text(rep->sweep->metric, run->job->value, number);

	return xasprintf("job %lld%s%s%s%s; %s", (long long)run->job->id, *run->label ? ": " : "", run->label,
			 *value ? "; " : "", value, job_state_names[run->job->state]);
}

static struct plot_line line_of(const struct report *rep, const struct report_run *run, enum curve c)
{
	double *points = points_of(run, c);
	size_t n_strong = rep->n_runs <= REPORT_FEW ? 1 : 3;
	bool strong = run->rank > 0 && (size_t)run->rank <= n_strong;
	bool labelled = c != LR && (rep->n_runs <= REPORT_FEW || strong);

	return (struct plot_line){
		.x = points,
		.y = points + run->n_epochs,
		.n = run->n_epochs,
		.job = run->job->id,
		.hue = run->hue,
		.dash = run->dash,
		.strong = strong,
		.title = title_of(rep, run),
		.label = labelled ? xasprintf("%lld", (long long)run->job->id) : NULL,
	};
}

static void lines_free(struct plot_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((void *)lines[i].x);
		free((void *)lines[i].title);
		free((void *)lines[i].label);
	}
	free(lines);
}

/* Losses are on a logarithm where the largest is far above the smallest. */
static bool wants_log(enum curve c, const struct plot_line *lines, size_t n)
{
	double lo = INFINITY, hi = 0, l, h;

	if (!curves[c].loss)
		return curves[c].log;
	for (size_t i = 0; i < n; i++) {
		if (!plot_range(lines[i].y, lines[i].n, false, &l, &h))
			continue;
		lo = fmin(lo, l);
		hi = fmax(hi, h);
	}
	return lo > 0 && hi > 30 * lo;
}

static size_t most_epochs(const struct report *rep)
{
	size_t most = 0;

	for (size_t i = 0; i < rep->n_runs; i++)
		most = MAX(most, rep->runs[i].n_epochs);
	return most;
}

/* The worst run first, so that the best lies on top. */
static void draw_curve(const struct report *rep, FILE *out, enum curve c)
{
	struct plot_line *lines = xcalloc(rep->n_runs + 1, sizeof(*lines));

	for (size_t i = 0; i < rep->n_runs; i++)
		lines[i] = line_of(rep, rep->best[rep->n_runs - 1 - i], c);
	bool log = wants_log(c, lines, rep->n_runs);
	bool few = rep->n_runs <= REPORT_FEW && most_epochs(rep) <= FEW_EPOCHS;
	struct plot plot = {
		.id = curves[c].id,
		.title = c == OTHER ? rep->sweep->metric : curves[c].title,
		.unit = log                                                    ? "log scale"
			: c == OTHER && strstr(rep->sweep->metric, "accuracy") ? "%"
									       : curves[c].unit,
		.desc = curves[c].desc,
		.lines = lines,
		.n = rep->n_runs,
		.log = log,
		.steps = c == LR,
		.faint = rep->n_runs > REPORT_FEW,
		.dots = few && c != LR,
	};
	plot_draw(out, &plot);
	lines_free(lines, rep->n_runs);
}

static void put_key(FILE *out, int hue, int dash)
{
	fprintf(out,
		"<svg class=\"key\" viewBox=\"0 0 28 8\" aria-hidden=\"true\"><g class=\"run c%d d%d\">"
		"<path d=\"M1 4H27\"/></g></svg>",
		hue, dash);
}

/* "model, lr: " */
static void put_legend_title(FILE *out, const json_t *names)
{
	size_t i;
	json_t *name;

	fputs("<li class=\"title\">", out);
	json_array_foreach(names, i, name)
	{
		fputs(i ? ", " : "", out);
		html_put(out, json_string_value(name));
	}
	fputs("</li>\n", out);
}

static void put_codes(FILE *out, const json_t *names, char *const *codes, size_t n, bool dashes)
{
	if (!json_array_size(names))
		return;
	fputs("<ul class=\"legend\">", out);
	put_legend_title(out, names);
	for (size_t i = 0; i < n; i++) {
		if (!codes[i])
			continue;
		fputs("<li>", out);
		if (dashes)
			put_key(out, -1, (int)i);
		else
			put_key(out, (int)i, 0);
		html_put(out, codes[i]);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

static void put_legend(const struct report *rep, FILE *out)
{
	if (rep->n_runs > REPORT_FEW) {
		put_codes(out, rep->code.hue_by, rep->code.hues, ARRAY_LEN(rep->code.hues), false);
		put_codes(out, rep->code.dash_by, rep->code.dashes, ARRAY_LEN(rep->code.dashes), true);
		return;
	}
	fputs("<ul class=\"legend runs\">", out);
	for (size_t i = 0; i < rep->n_runs; i++) {
		const struct report_run *run = &rep->runs[i];
		fprintf(out, "<li data-job=\"%lld\"%s>", (long long)run->job->id,
			run->rank == 1 ? " class=\"best\"" : "");
		put_key(out, run->hue, run->dash);
		fprintf(out, "%lld%s", (long long)run->job->id, *run->label ? ": " : "");
		html_put(out, run->label);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

/* "No epoch: jobs 4,7-8." */
static void put_empty_runs(const struct report *rep, FILE *out)
{
	int64_t *ids = xcalloc(rep->n_runs + 1, sizeof(*ids));
	size_t n = 0;

	for (size_t i = 0; i < rep->n_runs; i++)
		if (!rep->runs[i].n_epochs)
			ids[n++] = rep->runs[i].job->id;
	autofree char *text = format_jobs(ids, n);
	free(ids);
	if (n)
		fprintf(out, "<p class=\"sub\">No epoch finished in %s.</p>\n", text);
}

void report_curves(const struct report *rep, FILE *out)
{
	fputs("<section>\n<h2>Curves</h2>\n", out);
	if (!has_epochs(rep)) {
		fputs("<p class=\"none\">No epoch has finished yet: there are no curves.</p>\n</section>\n", out);
		return;
	}
	put_legend(rep, out);
	fputs("<div class=\"charts\">\n", out);
	if (!metric_find(rep->sweep->metric))
		draw_curve(rep, out, OTHER);
	draw_curve(rep, out, TEST_ACCURACY);
	draw_curve(rep, out, TEST_LOSS);
	draw_curve(rep, out, TRAIN_LOSS);
	draw_curve(rep, out, LR);
	fputs("</div>\n", out);
	if (rep->n_runs > REPORT_FEW && rep->n_ranked)
		fprintf(out, "<p class=\"sub\">Strong lines, with their job's number: the best %zu of %zu runs.</p>\n",
			MIN(rep->n_ranked, (size_t)3), rep->n_runs);
	put_empty_runs(rep, out);
	fputs("</section>\n", out);
}

static struct plot_line own_line(const struct report_run *run, enum curve c, int hue, int dash, const char *label)
{
	double *points = points_of(run, c);

	return (struct plot_line){.x = points,
				  .y = points + run->n_epochs,
				  .n = run->n_epochs,
				  .hue = hue,
				  .dash = dash,
				  .strong = true,
				  .title = xstrdup(label),
				  .label = xstrdup(label)};
}

static void draw_own(const struct report_run *run, FILE *out, enum curve train, enum curve test, const char *id,
		     const char *title)
{
	struct plot_line *lines = xcalloc(2, sizeof(*lines));

	lines[0] = own_line(run, train, 2, 1, "train");
	lines[1] = own_line(run, test, 0, 0, "test");
	bool log = wants_log(test, lines, 2);
	struct plot plot = {
		.id = id,
		.title = title,
		.unit = log ? "log scale" : curves[test].unit,
		.desc = "Training (dashed) and test (solid) of the best run.",
		.lines = lines,
		.n = 2,
		.log = log,
		.dots = run->n_epochs <= FEW_EPOCHS,
	};
	plot_draw(out, &plot);
	lines_free(lines, 2);
}

/* Top-5, held-out images, averages: the last epoch's. */
static void put_metrics(const struct report *rep, FILE *out)
{
	char number[FORMAT_MAX];

	if (!rep->n_metrics)
		return;
	fputs("<ul class=\"pairs\">", out);
	for (size_t i = 0; i < rep->n_metrics; i++) {
		const struct metric_row *m = &rep->metrics[i];
		fputs("<li>", out);
		html_put(out, m->name);
		fprintf(out, " <b>%s</b></li>\n", metric_text(m->name, m->last, number));
	}
	fputs("</ul>\n", out);
}

void report_best_run(const struct report *rep, FILE *out)
{
	char number[FORMAT_MAX];

	if (!rep->n_ranked)
		return;
	const struct report_run *run = rep->best[0];
	fprintf(out, "<section>\n<h2>Best run: job %lld</h2>\n<p class=\"sub\">", (long long)run->job->id);
	html_put(out, run->label);
	fprintf(out, "%s%d epochs in %s", *run->label ? "; " : "", run->job->epoch,
		format_span(run->job->seconds, number));
	if (run->job->best_epoch)
		fprintf(out, "; its best test accuracy was %s %% at epoch %d",
			format_accuracy(run->job->best_test_accuracy, number), run->job->best_epoch);
	fputs(".</p>\n", out);
	put_metrics(rep, out);
	fputs("<div class=\"charts\">\n", out);
	draw_own(run, out, TRAIN_ACCURACY, TEST_ACCURACY, "best-accuracy", "Accuracy");
	draw_own(run, out, TRAIN_LOSS, TEST_LOSS, "best-loss", "Loss");
	fputs("</div>\n</section>\n", out);
}
