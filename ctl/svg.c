/* Scales, ticks and marks; see svg.h. */
#include "ctl/svg.h"
#include "common/json.h"

#include <math.h>

double svg_at(const struct svg_scale *scale, double value)
{
	double lo = scale->lo, hi = scale->hi;

	if (scale->log) {
		if (!(value > 0))
			return NAN;
		value = log10(value);
		lo = log10(lo);
		hi = log10(hi);
	}
	if (!isfinite(value))
		return NAN;
	if (hi == lo)
		return (scale->from + scale->to) / 2;
	return scale->from + (value - lo) / (hi - lo) * (scale->to - scale->from);
}

static double clamp(double v, double lo, double hi)
{
	return fmin(fmax(v, lo), hi);
}

/* The smallest 1, 2 or 5 times a power of ten that is at least raw. */
static double nice_step(double raw)
{
	double power = pow(10, floor(log10(raw)));

	for (int i = 0; i < 3; i++) {
		static const double times[] = {1, 2, 5};
		if (times[i] * power >= raw * (1 - 1e-9))
			return times[i] * power;
	}
	return 10 * power;
}

/* Multiples first..last of step. */
static void set_multiples(struct svg_ticks *t, double step, double first, double last)
{
	int decimals = (int)-floor(log10(step) + 1e-9);

	*t = (struct svg_ticks){.decimals = decimals > 0 ? decimals : 0};
	for (double k = first; k <= last && t->n < SVG_TICKS_MAX; k++)
		t->at[t->n++] = k * step + 0.0; /* no -0 */
}

void svg_ticks(struct svg_ticks *t, double lo, double hi, int about)
{
	lo = clamp(lo, -1e300, 1e300); /* a diverged loss may be near the largest number there is */
	hi = clamp(hi, -1e300, 1e300);
	if (!(hi - lo > fmax(1e-12 * fmax(fabs(lo), fabs(hi)), 1e-290))) {
		double pad = fabs(lo) < 1e-280 ? 1 : fabs(lo) * 0.1;
		lo -= pad;
		hi += pad;
	}
	double step = nice_step((hi - lo) / about);
	set_multiples(t, step, floor(lo / step + 1e-9), ceil(hi / step - 1e-9));
}

void svg_ticks_whole(struct svg_ticks *t, double lo, double hi, int about)
{
	double step = nice_step(fmax((hi - lo) / about, 1));

	set_multiples(t, step, ceil(lo / step - 1e-9), floor(hi / step + 1e-9));
}

void svg_ticks_inside(struct svg_ticks *t, double lo, double hi, int about)
{
	double step = nice_step(fmax((hi - lo) / about, 1e-9));

	set_multiples(t, step, ceil(lo / step - 1e-9), floor(hi / step + 1e-9));
}

static const double log_times[] = {1, 2, 5};

static double log_value(int place)
{
	int power = place >= 0 ? place / 3 : -((2 - place) / 3);

	/* by the decimal text: 1e-5, not 10 to the power of -5 rounded twice */
	char text[SVG_TEXT_MAX];
	snprintf(text, sizeof(text), "%ge%d", log_times[place - 3 * power], power);
	return strtod(text, NULL);
}

/* The last place (0: 1, 1: 2, 2: 5, 3: 10, ...) whose value is at most v. */
static int log_place(double v)
{
	int place = 3 * ((int)floor(log10(v)) - 1);

	while (log_value(place + 1) <= v * (1 + 1e-9))
		place++;
	return place;
}

void svg_ticks_log(struct svg_ticks *t, double lo, double hi)
{
	lo = clamp(lo, 1e-300, 1e300);
	hi = clamp(hi, 1e-300, 1e300);
	int first = log_place(lo), last = log_place(hi), stride = 1;

	if (log_value(last) < hi * (1 - 1e-9))
		last++;
	if (first == last) {
		first--;
		last++;
	}
	if (last - first > 7) { /* powers of ten alone */
		first -= ((first % 3) + 3) % 3;
		last += (3 - ((last % 3) + 3) % 3) % 3;
		int decades = (last - first) / 3, every = (decades + 7) / 8;
		stride = 3 * every;
		last = first + stride * ((decades + every - 1) / every);
	}
	*t = (struct svg_ticks){.log = true};
	for (int place = first; place <= last && t->n < SVG_TICKS_MAX; place += stride)
		t->at[t->n++] = log_value(place);
}

const char *svg_tick_text(const struct svg_ticks *t, size_t i, char *buf)
{
	double v = t->at[i];

	if (t->log || fabs(v) >= 1e7 || t->decimals > 6) {
		char number[SVG_TEXT_MAX];
		snprintf(buf, SVG_TEXT_MAX, "%s", number_text(v, number));
		if (strlen(buf) > 9)
			snprintf(buf, SVG_TEXT_MAX, "%.3g", v);
	} else {
		snprintf(buf, SVG_TEXT_MAX, "%.*f", t->decimals, v);
	}
	return buf;
}

void svg_spread(double *at, size_t n, double gap, double lo, double hi)
{
	if (n == 0)
		return;
	if ((double)(n - 1) * gap > hi - lo)
		gap = n > 1 ? (hi - lo) / (double)(n - 1) : 0;
	for (size_t i = 0; i < n; i++)
		at[i] = fmax(at[i], i ? at[i - 1] + gap : lo);
	for (size_t i = n; i-- > 0;)
		at[i] = fmin(at[i], i + 1 < n ? at[i + 1] - gap : hi);
}

static bool placed(const double *x, const double *y, size_t n, size_t i)
{
	return i < n && isfinite(x[i]) && isfinite(y[i]);
}

static bool is_lonely(const double *x, const double *y, size_t n, size_t i)
{
	return !placed(x, y, n, i + 1) && !(i > 0 && placed(x, y, n, i - 1));
}

/* --- thinning --- */

/* Of the points [first, last) of one column those that it shows, in their order; returns where the kept ones end. */
static size_t thin_column(double *x, double *y, size_t first, size_t last, size_t kept)
{
	size_t low = first, high = first;

	for (size_t i = first; i < last; i++) {
		low = y[i] < y[low] ? i : low;
		high = y[i] > y[high] ? i : high;
	}
	for (size_t i = first; i < last; i++) {
		if (i != first && i != last - 1 && i != low && i != high)
			continue;
		x[kept] = x[i];
		y[kept++] = y[i];
	}
	return kept;
}

static size_t thin_columns(double *x, double *y, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (!placed(x, y, n, i)) {
			while (end < n && !placed(x, y, n, end))
				end++;
			x[kept] = y[kept] = NAN;
			kept++;
			continue;
		}
		double column = floor(x[i]);
		while (placed(x, y, n, end) && floor(x[end]) == column)
			end++;
		kept = thin_column(x, y, i, end, kept);
	}
	return kept;
}

#define FLAT 0.25

/* From a point that stays, the slopes with which a line passes all points since then closely enough. */
struct door {
	double x, y, low, high;
};

static bool passes(struct door *d, double x, double y)
{
	double dx = x - d->x, slope = (y - d->y) / dx;

	if (!(dx > 1e-6) || slope < d->low || slope > d->high)
		return false;
	d->low = fmax(d->low, (y - FLAT - d->y) / dx);
	d->high = fmin(d->high, (y + FLAT - d->y) / dx);
	return true;
}

/* Swinging door: from a point that stays straight on to the last one that is reached closely past all between. */
static size_t thin_flat(double *x, double *y, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0, next; i<n; i = next - 1> i ? next - 1 : next) {
		struct door d = {x[i], y[i], -INFINITY, INFINITY};
		next = i + 1;
		while (placed(x, y, n, i) && placed(x, y, n, next) && passes(&d, x[next], y[next]))
			next++;
		x[kept] = d.x;
		y[kept++] = d.y;
	}
	return kept;
}

size_t svg_thin(double *x, double *y, size_t n)
{
	return thin_flat(x, y, thin_columns(x, y, n));
}

static int ascending(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

size_t svg_thin_row(double *at, size_t n)
{
	size_t finite = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		if (isfinite(at[i]))
			at[finite++] = at[i];
	qsort(at, finite, sizeof(*at), ascending);
	for (size_t i = 0; i < finite; i++)
		if (!kept || at[i] - at[kept - 1] >= 0.5)
			at[kept++] = at[i];
	return kept;
}

/* --- marks --- */

/* Tenths as the shortest number; a blank in front where it would run into the one before. */
static void put_tenths(FILE *out, long tenths, bool first)
{
	long rest = labs(tenths);

	if (tenths < 0)
		fputc('-', out);
	else if (!first)
		fputc(' ', out);
	if (rest % 10 == 0)
		fprintf(out, "%ld", rest / 10);
	else if (rest < 10)
		fprintf(out, ".%ld", rest);
	else
		fprintf(out, "%ld.%ld", rest / 10, rest % 10);
}

struct pen { /* where it stands, in tenths: rounding does not add up */
	long x, y;
};

static void move_to(FILE *out, struct pen *pen, long x, long y)
{
	fputc('M', out);
	put_tenths(out, x, true);
	put_tenths(out, y, false);
	*pen = (struct pen){x, y};
}

static void line_to(FILE *out, struct pen *pen, long x, long y)
{
	fputc('l', out);
	put_tenths(out, x - pen->x, true);
	put_tenths(out, y - pen->y, false);
	*pen = (struct pen){x, y};
}

/* goes_on: the next point has this value too, so its stroke covers this one. */
static void step_to(FILE *out, struct pen *pen, long x, long y, bool goes_on)
{
	if (y != pen->y) {
		fputc('v', out);
		put_tenths(out, y - pen->y, true);
		pen->y = y;
	}
	if (goes_on)
		return;
	fputc('h', out);
	put_tenths(out, x - pen->x, true);
	pen->x = x;
}

size_t svg_path(FILE *out, const double *x, const double *y, size_t n, bool steps)
{
	struct pen pen = {0};
	size_t lonely = 0;

	for (size_t i = 0; i < n; i++) {
		if (!placed(x, y, n, i))
			continue;
		long at_x = lround(10 * x[i]), at_y = lround(10 * y[i]);
		bool on = i > 0 && placed(x, y, n, i - 1);
		if (is_lonely(x, y, n, i))
			lonely++;
		else if (!on)
			move_to(out, &pen, at_x, at_y);
		else if (steps)
			step_to(out, &pen, at_x, at_y, placed(x, y, n, i + 1) && lround(10 * y[i + 1]) == at_y);
		else
			line_to(out, &pen, at_x, at_y);
	}
	return lonely;
}

void svg_dots(FILE *out, const double *x, const double *y, size_t n, bool lonely)
{
	for (size_t i = 0; i < n; i++)
		if (placed(x, y, n, i) && (!lonely || is_lonely(x, y, n, i)))
			fprintf(out, "M%.1f %.1fh0", x[i], y[i]);
}
