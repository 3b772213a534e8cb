/* A line plot; see plot.h. */
#include "ctl/plot.h"
#include "ctl/html.h"

#include <math.h>

/* Edges of the drawing inside the picture: room for axes at the left and below, for labels at the right. */
enum { LEFT = 58, TOP = 10, BOTTOM = 40 };
#define LABEL_GAP   13 /* between the labels at the right */
#define LABEL_WIDTH 9  /* of one of their letters, on a narrow screen */

struct frame {
	double right; /* edge of the drawing */
	struct svg_scale x, y;
	struct svg_ticks x_ticks, y_ticks;
};

bool plot_range(const double *v, size_t n, bool log, double *lo, double *hi)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(v[i]) || (log && v[i] <= 0))
			continue;
		*lo = any ? fmin(*lo, v[i]) : v[i];
		*hi = any ? fmax(*hi, v[i]) : v[i];
		any = true;
	}
	return any;
}

void plot_open(FILE *out, const char *id, const char *title, const char *desc, double width, double height)
{
	autofree char *safe_title = html_escaped(title);
	autofree char *safe_desc = html_escaped(desc);

	fprintf(out,
		"<svg class=\"plot\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\" "
		"xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"%s-t\">%s</title><desc id=\"%s-d\">%s</desc>\n",
		width, height, id, id, id, safe_title, id, safe_desc);
}

void plot_close(FILE *out)
{
	fputs("</svg>\n", out);
}

void plot_text(FILE *out, const char *class, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y, anchor);
	html_put(out, text);
	fputs("</text>\n", out);
}

/* Room for the labels at the right. */
static double right_edge(const struct plot *plot)
{
	size_t longest = 1;

	for (size_t i = 0; i < plot->n; i++)
		if (plot->lines[i].label)
			longest = MAX(longest, strlen(plot->lines[i].label));
	return PLOT_WIDTH - 12 - LABEL_WIDTH * (double)longest;
}

/* False: nothing to draw. */
static bool frame_init(struct frame *f, const struct plot *plot)
{
	double lo = 0, hi = 0, first = 0, last = 0, l, h;
	bool any = false;

	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_line *line = &plot->lines[i];
		if (!plot_range(line->y, line->n, plot->log, &l, &h))
			continue;
		lo = any ? fmin(lo, l) : l;
		hi = any ? fmax(hi, h) : h;
		plot_range(line->x, line->n, false, &l, &h);
		first = any ? fmin(first, l) : l;
		last = any ? fmax(last, h) : h;
		any = true;
	}
	if (!any)
		return false;
	if (plot->zero)
		lo = fmin(lo, 0);
	if (plot->log)
		svg_ticks_log(&f->y_ticks, lo, hi);
	else
		svg_ticks(&f->y_ticks, lo, hi, 5);
	if (plot->x_title)
		svg_ticks_inside(&f->x_ticks, first, last, 6);
	else
		svg_ticks_whole(&f->x_ticks, first, last, 6);
	f->right = right_edge(plot);
	f->y = (struct svg_scale){f->y_ticks.at[0], f->y_ticks.at[f->y_ticks.n - 1], PLOT_HEIGHT - BOTTOM, TOP,
				  plot->log};
	f->x = (struct svg_scale){first, last, LEFT, f->right, false};
	return true;
}

static void draw_axes(FILE *out, const struct frame *f, const char *x_title)
{
	char text[SVG_TEXT_MAX];

	fputs("<path class=\"grid\" d=\"", out);
	for (size_t i = 0; i < f->y_ticks.n; i++)
		fprintf(out, "M%d %.1fH%.1f", LEFT, svg_at(&f->y, f->y_ticks.at[i]), f->right);
	fputs("\"/>\n<path class=\"axis\" d=\"", out);
	for (size_t i = 0; i < f->x_ticks.n; i++)
		fprintf(out, "M%.1f %dv4", svg_at(&f->x, f->x_ticks.at[i]), PLOT_HEIGHT - BOTTOM);
	fprintf(out, "M%d %dH%.1f\"/>\n", LEFT, PLOT_HEIGHT - BOTTOM, f->right);
	for (size_t i = 0; i < f->y_ticks.n; i++)
		plot_text(out, "tick", LEFT - 6, svg_at(&f->y, f->y_ticks.at[i]) + 4, "end",
			  svg_tick_text(&f->y_ticks, i, text));
	for (size_t i = 0; i < f->x_ticks.n; i++)
		plot_text(out, "tick", svg_at(&f->x, f->x_ticks.at[i]), PLOT_HEIGHT - BOTTOM + 17, "middle",
			  svg_tick_text(&f->x_ticks, i, text));
	plot_text(out, "tick", (LEFT + f->right) / 2, PLOT_HEIGHT - 5, "middle", x_title ? x_title : "epoch");
}

/* Where a line ends: the index of its last point that has a place, or n. */
static size_t line_end(const struct frame *f, const struct plot_line *line)
{
	for (size_t i = line->n; i-- > 0;)
		if (isfinite(svg_at(&f->y, line->y[i])))
			return i;
	return line->n;
}

static void draw_line(FILE *out, const struct frame *f, const struct plot *plot, const struct plot_line *line)
{
	double *x = xcalloc(2 * line->n + 1, sizeof(*x)), *y = x + line->n;

	for (size_t i = 0; i < line->n; i++) {
		x[i] = svg_at(&f->x, line->x[i]);
		y[i] = svg_at(&f->y, line->y[i]);
	}
	fprintf(out, "<g class=\"run c%d d%d%s\"", line->hue, line->dash,
		line->strong  ? " strong"
		: plot->faint ? " faint"
			      : "");
	if (line->job)
		fprintf(out, " data-job=\"%lld\"", (long long)line->job);
	fputs("><title>", out);
	html_put(out, line->title);
	fputs("</title><path d=\"", out);
	size_t n = plot->steps || plot->dots ? line->n : svg_thin(x, y, line->n);
	size_t lonely = svg_path(out, x, y, n, plot->steps);
	fputs("\"/>", out);
	if (lonely || plot->dots) {
		fputs("<path class=\"dots\" d=\"", out);
		svg_dots(out, x, y, n, !plot->dots);
		fputs("\"/>", out);
	}
	fputs("</g>\n", out);
	free(x);
}

struct end {
	double x, y, at; /* the line's end; where its label stands */
	const struct plot_line *line;
};

static int compare_ends(const void *a, const void *b)
{
	double first = ((const struct end *)a)->y, second = ((const struct end *)b)->y;

	return (first > second) - (first < second);
}

/* Labels stand at the right edge, as far apart as reading needs, each with a thin line to where its own line ends. */
static void draw_labels(FILE *out, const struct frame *f, const struct plot *plot)
{
	struct end *ends = xcalloc(plot->n + 1, sizeof(*ends));
	double *at = xcalloc(plot->n + 1, sizeof(*at));
	size_t n = 0;

	for (size_t i = 0; i < plot->n; i++) {
		const struct plot_line *line = &plot->lines[i];
		size_t last = line->label ? line_end(f, line) : line->n;
		if (last < line->n)
			ends[n++] = (struct end){svg_at(&f->x, line->x[last]), svg_at(&f->y, line->y[last]), 0, line};
	}
	qsort(ends, n, sizeof(*ends), compare_ends);
	for (size_t i = 0; i < n; i++)
		at[i] = ends[i].y;
	svg_spread(at, n, LABEL_GAP, TOP, PLOT_HEIGHT - BOTTOM);
	for (size_t i = 0; i < n; i++) {
		const struct plot_line *line = ends[i].line;
		fprintf(out, "<g class=\"run end c%d%s\"", line->hue, line->strong ? " strong" : "");
		if (line->job)
			fprintf(out, " data-job=\"%lld\"", (long long)line->job);
		fprintf(out, "><path d=\"M%.1f %.1fL%.1f %.1f\"/>", ends[i].x + 2, ends[i].y, f->right + 8, at[i]);
		plot_text(out, "label", f->right + 10, at[i] + 4, "start", line->label);
		fputs("</g>\n", out);
	}
	free(at);
	free(ends);
}

void plot_draw(FILE *out, const struct plot *plot)
{
	struct frame f;
	autofree char *title = html_escaped(plot->title);

	fprintf(out, "<figure><figcaption>%s%s%s%s</figcaption>\n", title, *plot->unit ? " (" : "", plot->unit,
		*plot->unit ? ")" : "");
	if (!frame_init(&f, plot)) {
		fputs("<p class=\"none\">No epoch has a value yet.</p></figure>\n", out);
		return;
	}
	plot_open(out, plot->id, plot->title, plot->desc, PLOT_WIDTH, PLOT_HEIGHT);
	draw_axes(out, &f, plot->x_title);
	for (size_t i = 0; i < plot->n; i++)
		draw_line(out, &f, plot, &plot->lines[i]);
	draw_labels(out, &f, plot);
	plot_close(out);
	fputs("</figure>\n", out);
}
