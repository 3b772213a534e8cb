/* Ticks, scales, labels and paths of charts, as tables. */
#include "cmocka_all.h"

#include "ctl/svg.h"

#include <math.h>

static void check_texts(const struct svg_ticks *t, const char *expected)
{
	char all[512] = "", one[SVG_TEXT_MAX];

	for (size_t i = 0; i < t->n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "", svg_tick_text(t, i, one));
	assert_string_equal(all, expected);
}

static void test_ticks_enclose_at_round_numbers(void **state)
{
	static const struct {
		double lo, hi;
		const char *expected;
	} rows[] = {
		{0, 100, "0 20 40 60 80 100"},
		{52.3, 78.05, "50 60 70 80"},
		{0.31, 0.37, "0.30 0.32 0.34 0.36 0.38"},
		{-0.3, 1.1, "-0.5 0.0 0.5 1.0 1.5"},
		{2, 2, "1.8 1.9 2.0 2.1 2.2"},
		{0, 0, "-1.0 -0.5 0.0 0.5 1.0"},
		{0, 1e-9, "0 2e-10 4e-10 6e-10 8e-10 1e-09"},
		{0, 30e6, "0 10000000 20000000 30000000"},
		{1234567, 1234568, "1234567.0 1234567.2 1234567.4 1234567.6 1234567.8 1234568.0"},
	};
	struct svg_ticks t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		svg_ticks(&t, rows[i].lo, rows[i].hi, 5);
		check_texts(&t, rows[i].expected);
		assert_true(t.at[0] <= rows[i].lo && t.at[t.n - 1] >= rows[i].hi);
	}
}

static void test_ticks_of_any_finite_numbers(void **state)
{
	static const double extremes[] = {-1.7e308, -1e300, -1, -5e-324, 0, 5e-324, 1e-300, 1, 1e16, 1.7e308};
	struct svg_ticks t;

	for (size_t i = 0; i < ARRAY_LEN(extremes); i++) {
		for (size_t k = i; k < ARRAY_LEN(extremes); k++) {
			svg_ticks(&t, extremes[i], extremes[k], 5);
			assert_in_range(t.n, 2, SVG_TICKS_MAX);
			assert_true(isfinite(t.at[0]) && t.at[0] < t.at[t.n - 1]);
			if (extremes[i] <= 0)
				continue;
			svg_ticks_log(&t, extremes[i], extremes[k]);
			assert_in_range(t.n, 2, SVG_TICKS_MAX);
			assert_true(t.at[0] > 0 && t.at[0] < t.at[t.n - 1]);
		}
	}
}

static void test_whole_ticks_stay_inside(void **state)
{
	static const struct {
		double lo, hi;
		const char *expected;
	} rows[] = {
		{1, 1, "1"},
		{1, 3, "1 2 3"},
		{1, 5, "1 2 3 4 5"},
		{1, 30, "5 10 15 20 25 30"},
		{1, 200, "50 100 150 200"},
		{57, 58, "57 58"},
	};
	struct svg_ticks t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		svg_ticks_whole(&t, rows[i].lo, rows[i].hi, 6);
		check_texts(&t, rows[i].expected);
	}
}

static void test_ticks_inside(void **state)
{
	static const struct {
		double lo, hi;
		const char *expected;
	} rows[] = {
		{0.5, 16, "5 10 15"},
		{0, 0.4, "0.0 0.1 0.2 0.3 0.4"},
		{0.5, 1.05, "0.5 0.6 0.7 0.8 0.9 1.0"},
		{118, 1440, "500 1000"},
	};
	struct svg_ticks t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		svg_ticks_inside(&t, rows[i].lo, rows[i].hi, 6);
		check_texts(&t, rows[i].expected);
	}
}

static void test_log_ticks(void **state)
{
	static const struct {
		double lo, hi;
		const char *expected;
	} rows[] = {
		{0.001, 0.1, "0.001 0.002 0.005 0.01 0.02 0.05 0.1"},
		{0.1, 0.1, "0.05 0.1 0.2"},
		{0.3, 0.3, "0.2 0.5"},
		{1e-5, 0.1, "1e-05 0.0001 0.001 0.01 0.1"},
		{3e-6, 0.4, "1e-06 1e-05 0.0001 0.001 0.01 0.1 1"},
		{1, 1e16, "1 100 10000 1000000 100000000 1e+10 1e+12 1e+14 1e+16"},
	};
	struct svg_ticks t;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		svg_ticks_log(&t, rows[i].lo, rows[i].hi);
		check_texts(&t, rows[i].expected);
		assert_true(t.at[0] <= rows[i].lo && t.at[t.n - 1] >= rows[i].hi);
	}
}

static void test_scales(void **state)
{
	struct svg_scale line = {0, 10, 100, 200, false}, log = {0.001, 0.1, 300, 100, true},
			 point = {5, 5, 0, 10, false};

	assert_float_equal(svg_at(&line, 5), 150, 1e-9);
	assert_float_equal(svg_at(&line, -10), 0, 1e-9);
	assert_float_equal(svg_at(&log, 0.01), 200, 1e-9);
	assert_float_equal(svg_at(&log, 0.1), 100, 1e-9);
	assert_float_equal(svg_at(&point, 5), 5, 1e-9);
	assert_true(isnan(svg_at(&line, NAN)) && isnan(svg_at(&line, INFINITY)));
	assert_true(isnan(svg_at(&log, 0)) && isnan(svg_at(&log, -1)) && isnan(svg_at(&log, NAN)));
}

static void test_spread_keeps_order_and_distance(void **state)
{
	double crowd[] = {10, 10, 11, 50}, edge[] = {98, 99, 99.5}, full[] = {1, 2, 3, 4, 5};

	svg_spread(crowd, 4, 10, 0, 100);
	for (size_t i = 1; i < 4; i++)
		assert_true(crowd[i] - crowd[i - 1] >= 10 - 1e-9);
	assert_float_equal(crowd[0], 10, 1e-9);
	assert_float_equal(crowd[3], 50, 1e-9);
	svg_spread(edge, 3, 10, 0, 100);
	assert_float_equal(edge[2], 100, 1e-9);
	assert_float_equal(edge[0], 80, 1e-9);
	svg_spread(full, 5, 100, 0, 20); /* no room for such a gap */
	assert_float_equal(full[0], 0, 1e-9);
	assert_float_equal(full[4], 20, 1e-9);
	svg_spread(NULL, 0, 10, 0, 1);
}

static void test_paths_break_where_there_is_no_value(void **state)
{
	static const double x[] = {0, 1, 2, 3, 4, 5};
	static const struct {
		double y[6];
		bool steps;
		size_t lonely;
		const char *path, *dots;
	} rows[] = {
		{{1, 2, 3, 4, 5, 6}, false, 0, "M0 1l1 1l1 1l1 1l1 1l1 1", ""},
		{{1, 1, 2, 2, 2, 2}, true, 0, "M0 1h1v1h4", ""},
		{{1, 2, NAN, 4, 5, NAN}, false, 0, "M0 1l1 1M3 4l1 1", ""},
		{{1, NAN, 3, 4, NAN, 6}, false, 2, "M2 3l1 1", "M0.0 1.0h0M5.0 6.0h0"},
		{{0.04, 0.12, 0.21, 0.19, -0.5, 12.34}, false, 0, "M0 0l1 .1l1 .1l1 0l1-.7l1 12.8", ""},
		{{NAN, NAN, NAN, NAN, NAN, NAN}, false, 0, "", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[256] = "", dots[256] = "";
		FILE *out = fmemopen(path, sizeof(path), "w");
		assert_int_equal(svg_path(out, x, rows[i].y, 6, rows[i].steps), rows[i].lonely);
		fclose(out);
		out = fmemopen(dots, sizeof(dots), "w");
		svg_dots(out, x, rows[i].y, 6, true);
		fclose(out);
		assert_string_equal(path, rows[i].path);
		assert_string_equal(dots, rows[i].dots);
	}
}

/* Greatest vertical distance of the points (x, y) from the polyline through the kept ones. */
static double deviation(const double *x, const double *y, size_t n, const double *kx, const double *ky, size_t kept)
{
	double worst = 0;

	for (size_t i = 0, k = 0; i < n; i++) {
		while (k + 2 < kept && kx[k + 1] < x[i])
			k++;
		double part = (x[i] - kx[k]) / (kx[k + 1] - kx[k]);
		worst = fmax(worst, fabs(ky[k] + part * (ky[k + 1] - ky[k]) - y[i]));
	}
	return worst;
}

static void test_thinning_keeps_what_a_screen_shows(void **state)
{
	enum { N = 20000 };
	double *x = calloc(4 * N, sizeof(*x)), *y = x + N, *kx = y + N, *ky = kx + N;

	for (size_t i = 0; i < N; i++) { /* smooth: few points, none far off */
		x[i] = 400.0 * (double)i / N;
		y[i] = 200 * exp(-x[i] / 80) + 5 * sin(x[i] / 20);
	}
	memcpy(kx, x, 2 * N * sizeof(*x));
	size_t kept = svg_thin(kx, ky, N);
	assert_true(kept > 10 && kept < 200);
	assert_true(deviation(x, y, N, kx, ky, kept) < 0.6);
	assert_true(kx[0] == x[0] && kx[kept - 1] == x[N - 1] && ky[kept - 1] == y[N - 1]);

	for (size_t i = 0; i < N; i++) /* noise with one peak: it stays, and so does the band */
		y[i] = 100 + (double)(i * 7919 % 101) / 10 + (i == 12345 ? 50 : 0);
	memcpy(kx, x, 2 * N * sizeof(*x));
	kept = svg_thin(kx, ky, N);
	double low = INFINITY, high = 0;
	for (size_t i = 0; i < kept; i++) {
		low = fmin(low, ky[i]);
		high = fmax(high, ky[i]);
	}
	assert_true(kept <= 4 * 400);
	assert_float_equal(low, 100, 1e-9);
	assert_float_equal(high, y[12345], 1e-9);
	free(x);
}

static void test_thinning_keeps_gaps_and_few_points(void **state)
{
	double x[] = {0, 10, 20, 30, 40, 50, 60}, y[] = {5, NAN, NAN, 7, 90, NAN, 1};
	double row[] = {3, NAN, 1, 1.2, 3.1, 9, 1.6};

	size_t n = svg_thin(x, y, 7);
	assert_int_equal(n, 6); /* the gap of two is one */
	assert_true(y[0] == 5 && isnan(y[1]) && y[2] == 7 && y[3] == 90 && isnan(y[4]) && y[5] == 1);
	assert_int_equal(svg_thin(x, y, 0), 0);
	assert_int_equal(svg_thin_row(row, 7), 4);
	assert_true(row[0] == 1 && row[1] == 1.6 && row[2] == 3 && row[3] == 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticks_enclose_at_round_numbers),
		cmocka_unit_test(test_ticks_of_any_finite_numbers),
		cmocka_unit_test(test_whole_ticks_stay_inside),
		cmocka_unit_test(test_ticks_inside),
		cmocka_unit_test(test_log_ticks),
		cmocka_unit_test(test_scales),
		cmocka_unit_test(test_spread_keeps_order_and_distance),
		cmocka_unit_test(test_thinning_keeps_what_a_screen_shows),
		cmocka_unit_test(test_thinning_keeps_gaps_and_few_points),
		cmocka_unit_test(test_paths_break_where_there_is_no_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
