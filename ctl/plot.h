/* A line plot: frame, axes, lines, labels at their ends.  Pure: numbers in, one <svg> element out.
 *
 * Colours, widths and fonts are the style sheet's (report.css): hue h is the class "cH", dash pattern d "dD". */
#pragma once

#include "ctl/svg.h"

#define PLOT_WIDTH  480
#define PLOT_HEIGHT 300

struct plot_line {
	const double *x, *y; /* y: NaN breaks the line */
	size_t n;
	int64_t job; /* lines of one job light up together; 0: of none */
	int hue, dash;
	bool strong;       /* one of the best */
	const char *title; /* what a pointer is told */
	const char *label; /* at the line's end, or NULL */
};

struct plot {
	const char *id;           /* unique in the document; letters */
	const char *title, *unit; /* "Test accuracy", "%"; unit may be "" */
	const char *desc;         /* in words, for those who do not see it */
	const struct plot_line *lines;
	size_t n; /* later ones lie on top */
	const char *x_title; /* of real numbers; NULL: epochs, which are whole */
	bool log, steps;
	bool zero;  /* the scale begins at 0 */
	bool faint; /* too many lines to look at each */
	bool dots;  /* few points: show them */
};

/* <figure> with caption and picture; says so where there is nothing to draw. */
void plot_draw(FILE *out, const struct plot *plot);
/* <svg> with its texts for those who do not see it, until plot_close(). */
void plot_open(FILE *out, const char *id, const char *title, const char *desc, double width, double height);
void plot_close(FILE *out);
/* Text at a place; anchor: start, middle or end. */
void plot_text(FILE *out, const char *class, double x, double y, const char *anchor, const char *text);
/* Range of finite values (log: > 0); false when there are none. */
bool plot_range(const double *v, size_t n, bool log, double *lo, double *hi);
