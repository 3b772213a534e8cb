/* What the best run's test images were taken for: heat map, worst and best classes, the most frequent confusions.
 *
 * The heat map is one small picture (png.h), so that a hundred classes cost no more than ten; its colours are shares of the
 * class in two hues, right and wrong, over the page's own background, light or dark. */
#include "ctl/report.h"
#include "ctl/columns.h"
#include "ctl/html.h"
#include "ctl/plot.h"
#include "ctl/png.h"

#include <math.h>

#define FEW_CLASSES    20  /* up to so many, each cell has its number */
#define MANY_CLASSES   200 /* above, the names would not be legible: no heat map */
#define LISTED_CLASSES 5
#define LISTED_MOST    10
#define LEVELS	       7 /* of each hue; level 0 of both is empty */

enum { NAMES_WIDTH = 112, NAMES_GAP = 5, CELL_FEW = 44, CELL_MANY = 8 };

/* The square root: that one in fifty is taken for something is still to be seen. */
static uint8_t level_of(double percent, bool right)
{
	if (!(percent > 0))
		return 0;
	int level = (int)ceil(sqrt(percent / 100) * LEVELS);
	return (uint8_t)((right ? 0 : LEVELS) + MIN(MAX(level, 1), LEVELS));
}

static char *picture_of(const struct confusion *c)
{
	struct png_colour colours[PNG_COLOURS] = {{0}};
	autofree uint8_t *pixels = xcalloc(c->n * c->n, 1);

	for (int level = 1; level <= LEVELS; level++) {
		uint8_t alpha = (uint8_t)(255 * level / LEVELS);
		colours[level] = (struct png_colour){0x2b, 0x7c, 0xc9, alpha};
		colours[LEVELS + level] = (struct png_colour){0xd6, 0x5a, 0x12, alpha};
	}
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->n && c->of_class[i]; k++)
			pixels[i * c->n + k] = level_of(100.0 * c->images[i * c->n + k] / (double)c->of_class[i], i == k);
	return png_data_url(pixels, c->n, c->n, colours);
}

static void put_names(FILE *out, const struct confusion *c, double at, double cell, double size, const char *anchor,
		      const char *turn)
{
	fprintf(out, "<text class=\"tick\" font-size=\"%.1f\" text-anchor=\"%s\"%s>", size, anchor, turn);
	for (size_t i = 0; i < c->n; i++) {
		fprintf(out, "<tspan x=\"%.0f\" y=\"%.0f\">", at, NAMES_WIDTH + ((double)i + 0.5) * cell + size * 0.35);
		html_put(out, c->names[i]);
		fputs("</tspan>", out);
	}
	fputs("</text>\n", out);
}

static void put_numbers(FILE *out, const struct confusion *c, double cell)
{
	fputs("<text class=\"label\" text-anchor=\"middle\">", out);
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->n; k++)
			if (c->images[i * c->n + k])
				fprintf(out, "<tspan x=\"%.0f\" y=\"%.0f\">%u</tspan>", NAMES_WIDTH + ((double)k + 0.5) * cell,
					NAMES_WIDTH + ((double)i + 0.5) * cell + 4, c->images[i * c->n + k]);
	fputs("</text>\n", out);
}

static void draw_matrix(FILE *out, const struct confusion *c)
{
	bool few = c->n <= FEW_CLASSES;
	double cell = few ? CELL_FEW : CELL_MANY, side = cell * (double)c->n, end = NAMES_WIDTH + side;
	size_t every = few ? 1 : 10;
	autofree char *url = picture_of(c);

	fprintf(out, "<div class=\"scroll\" tabindex=\"0\"><figure class=\"matrix %s\">\n", few ? "few" : "many");
	plot_open(out, "confusion", "Confusion matrix",
		  "Rows are the true classes, columns what their test images were taken for; the stronger the colour, the larger "
		  "the share of the class. The lists below have the most frequent ones.",
		  end + 1, end + 1);
	fprintf(out, "<image x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%.0f\" preserveAspectRatio=\"none\" href=\"%s\"/>\n",
		NAMES_WIDTH, NAMES_WIDTH, side, side, url);
	fputs("<path class=\"grid\" d=\"", out);
	for (size_t i = 0; i <= c->n; i++)
		if (i % every == 0 || i == c->n)
			fprintf(out, "M%d %.0fH%.0fM%.0f %dV%.0f", NAMES_WIDTH, NAMES_WIDTH + cell * (double)i, end,
				NAMES_WIDTH + cell * (double)i, NAMES_WIDTH, end);
	fputs("\"/>\n", out);
	put_names(out, c, NAMES_WIDTH - NAMES_GAP, cell, few ? 12 : 7.5, "end", "");
	put_names(out, c, NAMES_GAP - NAMES_WIDTH, cell, few ? 12 : 7.5, "start", " transform=\"rotate(-90)\"");
	if (few)
		put_numbers(out, c, cell);
	plot_close(out);
	fputs("</figure></div>\n<p class=\"sub\">Rows: true classes; columns: what their images were taken for. "
	      "<span class=\"right\">\xE2\x96\xA0</span>\u00a0right, <span class=\"wrong\">\xE2\x96\xA0</span>\u00a0wrong; the "
	      "stronger, the larger the share of the class (square root).</p>\n",
	      out);
}

static void put_ranked(FILE *out, const struct confusion *c, const char *title, const size_t *ranked, size_t n, bool backwards)
{
	fprintf(out,
		"<div><h3>%s</h3>\n<table><thead><tr><th scope=\"col\">Class</th><th scope=\"col\" class=\"num\">Accuracy "
		"(%%)</th><th scope=\"col\" class=\"num\">Images</th></tr></thead><tbody>\n",
		title);
	for (size_t i = 0; i < MIN(n, (size_t)LISTED_CLASSES); i++) {
		size_t class = ranked[backwards ? n - 1 - i : i];
		fputs("<tr><th scope=\"row\">", out);
		html_put(out, c->names[class]);
		fprintf(out, "</th><td class=\"num\">%.2f</td><td class=\"num\">%llu</td></tr>\n", c->accuracy[class],
			(unsigned long long)c->of_class[class]);
	}
	fputs("</tbody></table></div>\n", out);
}

static void put_most(FILE *out, const struct confusion *c, const struct confused *most, size_t n)
{
	fputs("<div><h3>Most frequent confusions</h3>\n<table><thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Taken for</th>"
	      "<th scope=\"col\" class=\"num\">Images</th><th scope=\"col\" class=\"num\">Of the class (%)</th></tr></thead><tbody>\n",
	      out);
	for (size_t i = 0; i < n; i++) {
		fputs("<tr><th scope=\"row\">", out);
		html_put(out, c->names[most[i].class]);
		fputs("</th><td>", out);
		html_put(out, c->names[most[i].taken_for]);
		fprintf(out, "</td><td class=\"num\">%u</td><td class=\"num\">%.1f</td></tr>\n", most[i].images, most[i].percent);
	}
	fputs("</tbody></table></div>\n", out);
}

void report_classes(const struct report *rep, FILE *out)
{
	const struct confusion *c = &rep->confusion;
	size_t n_ranked, n_most;

	if (!c->n && !rep->confusion_trouble)
		return;
	fputs("<section>\n<h2>Classes</h2>\n", out);
	if (rep->confusion_trouble) {
		fputs("<p class=\"none\">Not shown: ", out);
		html_put(out, rep->confusion_trouble);
		fputs("</p>\n</section>\n", out);
		return;
	}
	autofree size_t *ranked = confusion_ranked(c, &n_ranked);
	autofree struct confused *most = confusion_most(c, LISTED_MOST, &n_most);
	fprintf(out, "<p class=\"sub\">Test images of the best run, job %lld, after epoch %d: what they were taken for.</p>\n",
		(long long)rep->best[0]->job->id, c->epoch);
	if (c->n <= MANY_CLASSES)
		draw_matrix(out, c);
	fputs("<div class=\"lists\">\n", out);
	if (n_most)
		put_most(out, c, most, n_most);
	put_ranked(out, c, "Worst classes", ranked, n_ranked, false);
	put_ranked(out, c, "Best classes", ranked, n_ranked, true);
	fputs("</div>\n</section>\n", out);
}

static void markdown_ranked(FILE *out, const struct confusion *c, const char *title, const size_t *ranked, size_t n, bool backwards)
{
	fprintf(out, "- %s:", title);
	for (size_t i = 0; i < MIN(n, (size_t)LISTED_CLASSES); i++) {
		size_t class = ranked[backwards ? n - 1 - i : i];
		autofree char *name = markdown_escaped(c->names[class]);
		fprintf(out, "%s %s %.2f %%", i ? "," : "", name, c->accuracy[class]);
	}
	fputc('\n', out);
}

void report_classes_markdown(const struct report *rep, FILE *out)
{
	const struct confusion *c = &rep->confusion;
	size_t n_ranked, n_most;

	if (!c->n)
		return;
	autofree size_t *ranked = confusion_ranked(c, &n_ranked);
	autofree struct confused *most = confusion_most(c, LISTED_MOST, &n_most);
	fprintf(out, "\n## Classes of job %lld, epoch %d\n\n", (long long)rep->best[0]->job->id, c->epoch);
	markdown_ranked(out, c, "worst", ranked, n_ranked, false);
	markdown_ranked(out, c, "best", ranked, n_ranked, true);
	if (!n_most)
		return;
	fputs("\n| Class | Taken for | Images | Of the class (%) |\n| --- | --- | ---: | ---: |\n", out);
	for (size_t i = 0; i < n_most; i++) {
		autofree char *class = markdown_escaped(c->names[most[i].class]), *other = markdown_escaped(c->names[most[i].taken_for]);
		fprintf(out, "| %s | %s | %u | %.1f |\n", class, other, most[i].images, most[i].percent);
	}
}
