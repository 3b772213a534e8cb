/* What the best run's test images were taken for: heat map, worst and best classes, the most frequent confusions.
 *
 * The heat map is one small picture (common/png.h), so that a hundred classes cost no more than ten; its colours are
 * shares of the class in two hues, right and wrong, over the page's own background, light or dark. */
#include "ctl/report.h"
#include "ctl/columns.h"
#include "ctl/html.h"
#include "ctl/plot.h"
#include "common/png.h"

#include <math.h>

#define FEW_CLASSES    20  /* up to so many, each cell has its number */
#define MANY_CLASSES   200 /* above, the names would not be legible: no heat map */
#define LISTED_CLASSES 5
#define LISTED_MOST    10
#define LEVELS         7 /* of each hue; level 0 of both is empty */

enum { NAMES_GAP = 5, CELL_FEW = 44, CELL_MANY = 8 };

struct matrix {
	const struct confusion_matrix *c;
	double cell, letters, names,
		end;       /* sizes: of a cell, of text; edges of the cells, left and right, top and bottom */
	double most_wrong; /* per cent of a class: the largest confusion */
};

/* The square root: that one in fifty is taken for something is still to be seen.  Of NaN: empty. */
static uint8_t level_of(double percent, double most, int first)
{
	if (!(percent > 0))
		return 0;
	int level = (int)ceil(sqrt(percent / most) * LEVELS);
	return (uint8_t)(first + MIN(MAX(level, 1), LEVELS));
}

static struct matrix matrix_of(const struct confusion_matrix *c)
{
	bool few = c->n <= FEW_CLASSES;
	struct matrix m = {.c = c, .cell = few ? CELL_FEW : CELL_MANY, .letters = few ? 12 : 7.5, .names = 3};

	for (size_t i = 0; i < c->n; i++) {
		m.names = fmax(m.names, (double)text_columns(c->names[i], strlen(c->names[i])));
		for (size_t k = 0; k < c->n; k++)
			m.most_wrong = i == k ? m.most_wrong : fmax(m.most_wrong, confusion_percent(c, i, k));
	}
	m.names = ceil(m.names * m.letters * 0.65) + NAMES_GAP;
	m.end = m.names + m.cell * (double)c->n;
	return m;
}

/* "data:image/png;base64,...".  Allocated. */
static char *data_url(const uint8_t *png, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char head[] = "data:image/png;base64,";
	char *url = xmalloc(sizeof(head) + (size + 2) / 3 * 4), *to = stpcpy(url, head);

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t v = (uint32_t)png[i] << 16 | (left > 1 ? (uint32_t)png[i + 1] << 8 : 0) | (left > 2 ? png[i + 2] : 0u);
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[v & 63] : '=';
	}
	*to = 0;
	return url;
}

static char *picture_of(const struct matrix *m)
{
	const struct confusion_matrix *c = m->c;
	struct png_color colours[1 + 2 * LEVELS] = {{0}};
	uint8_t alpha[1 + 2 * LEVELS] = {0};
	size_t size;
	autofree uint8_t *pixels = xcalloc(c->n * c->n, 1);

	for (int level = 1; level <= LEVELS; level++) {
		colours[level] = (struct png_color){0x2b, 0x7c, 0xc9};
		colours[LEVELS + level] = (struct png_color){0xd6, 0x5a, 0x12};
		alpha[level] = alpha[LEVELS + level] = (uint8_t)(255 * level / LEVELS);
	}
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->n; k++)
			pixels[i * c->n + k] = i == k ? level_of(confusion_percent(c, i, k), 100, 0)
						      : level_of(confusion_percent(c, i, k), m->most_wrong, LEVELS);
	autofree char *png = png_indexed(pixels, c->n, c->n, colours, alpha, ARRAY_LEN(colours), &size);
	return data_url((const uint8_t *)png, size);
}

/* Middle of a row or column. */
static double middle(const struct matrix *m, size_t i)
{
	return m->names + ((double)i + 0.5) * m->cell;
}

static void put_names(FILE *out, const struct matrix *m, double at, const char *anchor, const char *turn)
{
	fprintf(out, "<text class=\"tick\" font-size=\"%.1f\" text-anchor=\"%s\"%s>", m->letters, anchor, turn);
	for (size_t i = 0; i < m->c->n; i++) {
		fprintf(out, "<tspan x=\"%.0f\" y=\"%.1f\">", at, middle(m, i) + m->letters * 0.35);
		html_put(out, m->c->names[i]);
		fputs("</tspan>", out);
	}
	fputs("</text>\n", out);
}

static void put_numbers(FILE *out, const struct matrix *m)
{
	const struct confusion_matrix *c = m->c;

	fputs("<text class=\"label\" text-anchor=\"middle\">", out);
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->n; k++)
			if (c->images[i * c->n + k])
				fprintf(out, "<tspan x=\"%.0f\" y=\"%.0f\">%u</tspan>", middle(m, k), middle(m, i) + 4,
					c->images[i * c->n + k]);
	fputs("</text>\n", out);
}

static void put_lines(FILE *out, const struct matrix *m)
{
	size_t every = m->c->n <= FEW_CLASSES ? 1 : 10;

	fputs("<path class=\"grid\" d=\"", out);
	for (size_t i = 0; i <= m->c->n; i++) {
		double at = m->names + m->cell * (double)i;
		if (i % every == 0 || i == m->c->n)
			fprintf(out, "M%.0f %.0fH%.0fM%.0f %.0fV%.0f", m->names, at, m->end, at, m->names, m->end);
	}
	fputs("\"/>\n", out);
}

static void draw_matrix(FILE *out, const struct confusion_matrix *c)
{
	bool few = c->n <= FEW_CLASSES;
	struct matrix m = matrix_of(c);
	autofree char *url = picture_of(&m);

	fprintf(out, "<div class=\"scroll\" tabindex=\"0\"><figure class=\"matrix %s\">\n", few ? "few" : "many");
	plot_open(out, "confusion", "Confusion matrix",
		  "Rows are the true classes, columns what their test images were taken for; the stronger the colour, "
		  "the larger "
		  "the share of the class. The lists below have the most frequent ones.",
		  m.end + 1, m.end + 1);
	fprintf(out,
		"<image x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" preserveAspectRatio=\"none\" "
		"href=\"%s\"/>\n",
		m.names, m.names, m.end - m.names, m.end - m.names, url);
	put_lines(out, &m);
	put_names(out, &m, m.names - NAMES_GAP, "end", "");
	put_names(out, &m, NAMES_GAP - m.names, "start", " transform=\"rotate(-90)\"");
	if (few)
		put_numbers(out, &m);
	plot_close(out);
	fprintf(out,
		"</figure></div>\n<p class=\"sub\">Rows: true classes; columns: what their images were taken for. "
		"<span class=\"right\">\xE2\x96\xA0</span>\u00a0right, at its strongest 100\u00a0%% of the class; "
		"<span class=\"wrong\">\xE2\x96\xA0</span>\u00a0wrong, at its strongest %.3g\u00a0%%.</p>\n",
		m.most_wrong);
}

/* How many of the ranked classes are listed; no class of which nothing was right is among the best. */
static size_t listed_of(const struct confusion_matrix *c, const size_t *ranked, size_t n, bool backwards)
{
	size_t listed = 0;

	while (listed < MIN(n, (size_t)LISTED_CLASSES) &&
	       !(backwards && confusion_percent(c, ranked[n - 1 - listed], ranked[n - 1 - listed]) <= 0))
		listed++;
	return listed;
}

static void put_ranked(FILE *out, const struct confusion_matrix *c, const char *title, const size_t *ranked, size_t n,
		       bool backwards)
{
	size_t listed = listed_of(c, ranked, n, backwards);

	if (!listed)
		return;
	fprintf(out,
		"<div><h3>%s</h3>\n<table><thead><tr><th scope=\"col\">Class</th><th scope=\"col\" "
		"class=\"num\">Accuracy "
		"(%%)</th><th scope=\"col\" class=\"num\">Images</th></tr></thead><tbody>\n",
		title);
	for (size_t i = 0; i < listed; i++) {
		size_t class = ranked[backwards ? n - 1 - i : i];
		fputs("<tr><th scope=\"row\">", out);
		html_put(out, c->names[class]);
		fprintf(out, "</th><td class=\"num\">%.2f</td><td class=\"num\">%llu</td></tr>\n", confusion_percent(c, class, class),
			(unsigned long long)c->of_class[class]);
	}
	fputs("</tbody></table></div>\n", out);
}

static void put_most(FILE *out, const struct confusion_matrix *c, const struct confused *most, size_t n)
{
	fputs("<div><h3>Most frequent confusions</h3>\n<table><thead><tr><th scope=\"col\">Class</th><th "
	      "scope=\"col\">Taken for</th>"
	      "<th scope=\"col\" class=\"num\">Images</th><th scope=\"col\" class=\"num\">Share "
	      "(%)</th></tr></thead><tbody>\n",
	      out);
	for (size_t i = 0; i < n; i++) {
		fputs("<tr><th scope=\"row\">", out);
		html_put(out, c->names[most[i].class]);
		fputs("</th><td>", out);
		html_put(out, c->names[most[i].taken_for]);
		fprintf(out, "</td><td class=\"num\">%u</td><td class=\"num\">%.1f</td></tr>\n", most[i].images,
			most[i].percent);
	}
	fputs("</tbody></table></div>\n", out);
}

void report_classes(const struct report *rep, FILE *out)
{
	const struct confusion_matrix *c = &rep->confusion;
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
	fprintf(out,
		"<p class=\"sub\">Test images of the best run, job %lld, after epoch %d: what they were taken "
		"for.</p>\n",
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

static void markdown_ranked(FILE *out, const struct confusion_matrix *c, const char *title, const size_t *ranked, size_t n,
			    bool backwards)
{
	size_t listed = listed_of(c, ranked, n, backwards);

	if (!listed)
		return;
	fprintf(out, "- %s:", title);
	for (size_t i = 0; i < listed; i++) {
		size_t class = ranked[backwards ? n - 1 - i : i];
		autofree char *name = markdown_escaped(c->names[class]);
		fprintf(out, "%s %s %.2f %%", i ? "," : "", name, confusion_percent(c, class, class));
	}
	fputc('\n', out);
}

void report_classes_markdown(const struct report *rep, FILE *out)
{
	const struct confusion_matrix *c = &rep->confusion;
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
	fputs("\n| Class | Taken for | Images | Share (%) |\n| --- | --- | ---: | ---: |\n", out);
	for (size_t i = 0; i < n_most; i++) {
		autofree char *class = markdown_escaped(c->names[most[i].class]),
			      *other = markdown_escaped(c->names[most[i].taken_for]);
		fprintf(out, "| %s | %s | %u | %.1f |\n", class, other, most[i].images, most[i].percent);
	}
}
