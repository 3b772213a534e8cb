/* See pictures.h. */
#include "pictures.h"

#include "canvas.h"

#include <math.h>

const char *const curve_names[N_CURVES] = {"train_loss", "test_loss", "train_accuracy", "test_accuracy"};

#define WIDTH  920
#define HEIGHT 360
#define SCALE  2 /* of text */

enum { WHITE, BLACK, GREY, TRAIN, TEST, N_COLORS };
static const struct png_color palette[N_COLORS] = {
	{255, 255, 255}, {40, 40, 40}, {222, 222, 222}, {70, 120, 200}, {235, 120, 20}};

struct panel {
	int left, right, top, bottom; /* of the frame, in pixels */
	double first, last;           /* epochs */
	double low, high, step;       /* of the y axis */
};

/* --- points --- */

static void thin_out(struct curves *c)
{
	size_t kept = 0;
	c->stride *= 2;
	for (size_t i = 0; i < c->n; i++) {
		if (c->epoch[i] % c->stride != 0)
			continue;
		c->epoch[kept] = c->epoch[i];
		for (int k = 0; k < N_CURVES; k++)
			c->value[k][kept] = c->value[k][i];
		kept++;
	}
	c->n = kept;
}

void curves_add(struct curves *c, int64_t epoch, const double value[N_CURVES])
{
	c->stride = MAX(c->stride, 1);
	if (epoch % c->stride != 0)
		return;
	if (c->n == CURVE_POINTS_MAX)
		thin_out(c);
	if (epoch % c->stride != 0 || c->n == CURVE_POINTS_MAX)
		return;
	c->epoch[c->n] = epoch;
	for (int k = 0; k < N_CURVES; k++)
		c->value[k][c->n] = isfinite(value[k]) ? value[k] : NAN;
	c->n++;
}

/* --- a panel --- */

/* 1, 2 or 5 times a power of ten, so that about four fit. */
static double nice_step(double span)
{
	double raw = span / 4, power = pow(10, floor(log10(raw)));
	double mantissa = raw / power;
	return power * (mantissa <= 1 ? 1 : mantissa <= 2 ? 2 : mantissa <= 5 ? 5 : 10);
}

/* false: no value is known. */
static bool find_range(struct panel *p, const struct curves *c, enum curve first)
{
	double low = INFINITY, high = -INFINITY;
	for (int k = (int)first; k < (int)first + 2; k++) {
		for (size_t i = 0; i < c->n; i++) {
			if (isnan(c->value[k][i]))
				continue;
			low = MIN(low, c->value[k][i]);
			high = MAX(high, c->value[k][i]);
		}
	}
	if (!isfinite(low) || !isfinite(high) || !isfinite(high - low))
		return false;
	double span = high > low ? high - low : MAX(fabs(high), 1) * 0.1;
	p->step = nice_step(span);
	p->low = floor(low / p->step) * p->step;
	p->high = MAX(ceil(high / p->step) * p->step, p->low + p->step);
	p->first = (double)c->epoch[0];
	p->last = MAX((double)c->epoch[c->n - 1], p->first + 1);
	return true;
}

static int x_of(const struct panel *p, double epoch)
{
	return p->left + (int)lrint((epoch - p->first) / (p->last - p->first) * (p->right - p->left));
}

static int y_of(const struct panel *p, double value)
{
	return p->bottom - (int)lrint((value - p->low) / (p->high - p->low) * (p->bottom - p->top));
}

static void draw_axes(struct canvas *canvas, const struct panel *p, const char *title)
{
	char text[32];
	int ticks = (int)lrint((p->high - p->low) / p->step);
	for (int i = 0; i <= ticks; i++) {
		double value = p->low + i * p->step;
		int y = y_of(p, value);
		canvas_stroke(canvas, p->left, y, p->right, y, 1, GREY);
		snprintf(text, sizeof(text), "%.4g", fabs(value) < p->step * 1e-9 ? 0 : value);
		canvas_text(canvas, p->left - 6 - canvas_text_width(text, SCALE), y - 7, SCALE, text, BLACK);
	}
	canvas_stroke(canvas, p->left, p->top, p->left, p->bottom, 1, BLACK);
	canvas_stroke(canvas, p->left, p->bottom, p->right, p->bottom, 1, BLACK);
	snprintf(text, sizeof(text), "%.0f", p->first);
	canvas_text(canvas, p->left, p->bottom + 8, SCALE, text, BLACK);
	snprintf(text, sizeof(text), "%.0f", p->last);
	canvas_text(canvas, p->right - canvas_text_width(text, SCALE), p->bottom + 8, SCALE, text, BLACK);
	canvas_text(canvas, (p->left + p->right - canvas_text_width("epoch", SCALE)) / 2, p->bottom + 8, SCALE, "epoch", BLACK);
	canvas_text(canvas, p->left, p->top - 24, SCALE, title, BLACK);
	canvas_text(canvas, p->right - canvas_text_width("train test", SCALE), p->top - 24, SCALE, "train", TRAIN);
	canvas_text(canvas, p->right - canvas_text_width("test", SCALE), p->top - 24, SCALE, "test", TEST);
}

static void draw_curve(struct canvas *canvas, const struct panel *p, const struct curves *c, enum curve k)
{
	bool test = k == CURVE_TEST_LOSS || k == CURVE_TEST_ACCURACY;
	for (size_t i = 0; i < c->n; i++) {
		if (isnan(c->value[k][i]))
			continue;
		size_t from = i && !isnan(c->value[k][i - 1]) ? i - 1 : i;
		canvas_stroke(canvas, x_of(p, (double)c->epoch[from]), y_of(p, c->value[k][from]),
		       x_of(p, (double)c->epoch[i]), y_of(p, c->value[k][i]), test ? 3 : 2, test ? TEST : TRAIN);
	}
}

static bool draw_panel(struct canvas *canvas, const struct curves *c, int left, enum curve first, const char *title)
{
	struct panel p = {.left = left + 80, .right = left + WIDTH / 2 - 16, .top = 40, .bottom = HEIGHT - 36};
	if (!find_range(&p, c, first))
		return false;
	draw_axes(canvas, &p, title);
	draw_curve(canvas, &p, c, first);
	draw_curve(canvas, &p, c, first + 1);
	return true;
}

char *curves_png(const struct curves *c, size_t *ret_size)
{
	if (!c->n)
		return NULL;
	autocanvas struct canvas *canvas = canvas_new(WIDTH, HEIGHT, palette, N_COLORS);
	bool loss = draw_panel(canvas, c, 0, CURVE_TRAIN_LOSS, "loss");
	bool accuracy = draw_panel(canvas, c, WIDTH / 2, CURVE_TRAIN_ACCURACY, "accuracy %");
	return loss || accuracy ? canvas_png(canvas, ret_size) : NULL;
}
