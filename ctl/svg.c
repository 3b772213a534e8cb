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

size_t svg_path(FILE *out, const double *x, const double *y, size_t n, bool steps)
{
	size_t lonely = 0;

	for (size_t i = 0; i < n; i++) {
		if (!placed(x, y, n, i))
			continue;
		bool on = i > 0 && placed(x, y, n, i - 1);
		if (is_lonely(x, y, n, i))
			lonely++;
		else if (!on)
			fprintf(out, "M%.1f %.1f", x[i], y[i]);
		else if (!steps)
			fprintf(out, "L%.1f %.1f", x[i], y[i]);
		else if (y[i] == y[i - 1])
			fprintf(out, "H%.1f", x[i]);
		else
			fprintf(out, "V%.1fH%.1f", y[i], x[i]);
	}
	return lonely;
}

void svg_dots(FILE *out, const double *x, const double *y, size_t n, bool lonely)
{
	for (size_t i = 0; i < n; i++)
		if (placed(x, y, n, i) && (!lonely || is_lonely(x, y, n, i)))
			fprintf(out, "M%.1f %.1fh0", x[i], y[i]);
}
