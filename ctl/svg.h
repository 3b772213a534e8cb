/* Scales, ticks and marks of a chart as SVG.  Pure: numbers in, text out.
 *
 * A scale maps a value to a coordinate; what has no place on it (NaN, infinity, zero on a logarithm) is NaN, and marks
 * break there.  Ticks are at 1, 2 or 5 times a power of ten. */
#pragma once

#include "common/base.h"

struct svg_scale {
	double lo, hi;   /* values */
	double from, to; /* their coordinates */
	bool log;
};

#define SVG_TICKS_MAX 24
#define SVG_TEXT_MAX  32

struct svg_ticks {
	double at[SVG_TICKS_MAX];
	size_t n; /* at least 2; of svg_ticks_whole() at least 1 */
	int decimals;
	bool log;
};

double svg_at(const struct svg_scale *scale, double value);

/* About so many ticks that enclose [lo, hi]; both finite.  lo == hi: an interval around it. */
void svg_ticks(struct svg_ticks *t, double lo, double hi, int about);
/* The same for whole numbers (epochs), inside [lo, hi]. */
void svg_ticks_whole(struct svg_ticks *t, double lo, double hi, int about);
/* The same, not only whole ones. */
void svg_ticks_inside(struct svg_ticks *t, double lo, double hi, int about);
/* Powers of ten that enclose [lo, hi], with their double and fivefold where there are few; 0 < lo. */
void svg_ticks_log(struct svg_ticks *t, double lo, double hi);
/* "0.25", "50", "1e-05"; fills and returns buf (SVG_TEXT_MAX). */
const char *svg_tick_text(const struct svg_ticks *t, size_t i, char *buf);

/* Moves coordinates (ascending) apart until neighbours are `gap` from each other, within [lo, hi] if there is room. */
void svg_spread(double *at, size_t n, double gap, double lo, double hi);

/* Drops points that a screen cannot show, x ascending: of a column one unit wide all but the first, the last, the
 * lowest and the highest; then those less than a quarter of a unit off the line through those that stay.  A gap (no
 * place) stays one. In place; returns how many stay. */
size_t svg_thin(double *x, double *y, size_t n);
/* The same for dots in a row: sorts them and drops those less than half a unit from the one before. */
size_t svg_thin_row(double *at, size_t n);
/* Path data of a line through the points, relative and to a tenth; `steps`: each value holds from the previous x to its
 * own.  Returns how many points have a place but no neighbour: a line does not show them, dots do. */
size_t svg_path(FILE *out, const double *x, const double *y, size_t n, bool steps);
/* Path data of dots (to be stroked with round caps): every point, or only those without a neighbour. */
void svg_dots(FILE *out, const double *x, const double *y, size_t n, bool lonely);
