/* See confusion_png.h. */
#include "canvas.h"
#include "confusion_png.h"

#include <math.h>

#define SHADES     100 /* of a row's share */
#define MARGIN     16
#define NAMED_MAX  128 /* classes that are named */
#define NAME_SHOWN 20  /* letters of a name */
#define LINE       20 /* of text of scale 2, and what is between two */
#define LEGEND     742 /* pixels that it takes */

enum { WHITE, BLACK, GREY, RIGHT, WRONG = RIGHT + SHADES, N_COLORS = WRONG + SHADES };

struct plot {
	const struct confusion_matrix *c;
	struct canvas *canvas;
	int cell;  /* pixels */
	int scale; /* of names */
	int names; /* pixels that the longest takes */
	int left, top; /* of the matrix */
	int width, height; /* of the picture */
};

/* --- colors --- */

static unsigned char between(int from, int to, double share)
{
	return (unsigned char)lrint(from + (to - from) * share);
}

static const struct png_color *palette(void)
{
	static struct png_color colors[N_COLORS] = {{255, 255, 255}, {40, 40, 40}, {222, 222, 222}};
	for (int i = 0; i < SHADES; i++) {
		double share = (double)(i + 1) / SHADES;
		colors[RIGHT + i] = (struct png_color){between(240, 8, share), between(246, 48, share), between(252, 107, share)};
		colors[WRONG + i] = (struct png_color){between(255, 166, share), between(243, 44, share), between(230, 8, share)};
	}
	return colors;
}

/* A point is to be seen too, where cells are that small. */
static unsigned char shade(const struct plot *p, double share, bool right)
{
	double root = p->c->n <= NAMED_MAX ? sqrt(share) : sqrt(sqrt(share));
	int i = (int)ceil(root * SHADES) - 1;
	return (unsigned char)((right ? RIGHT : WRONG) + MAX(0, MIN(i, SHADES - 1)));
}

/* --- the layout --- */

/* A character of several bytes counts as one letter. */
static const char *shown(const char *name, char buf[NAME_SHOWN + 1])
{
	size_t n = 0;
	for (; *name && n < NAME_SHOWN; name++)
		if (((unsigned char)*name & 0xc0) != 0x80)
			buf[n++] = *name;
	buf[n] = '\0';
	return buf;
}

static int cell_size(size_t classes)
{
	return classes <= 12 ? 56 : classes <= 32 ? 22 : classes <= NAMED_MAX ? 9 : 2;
}

static void lay_out(struct plot *p)
{
	char name[NAME_SHOWN + 1];
	size_t n = p->c->n;
	p->cell = cell_size(n);
	p->scale = n <= 32 ? 2 : 1;
	for (size_t i = 0; i < n && n <= NAMED_MAX; i++)
		p->names = MAX(p->names, canvas_text_width(shown(p->c->names[i], name), p->scale));
	if (n > NAMED_MAX)
		p->names = canvas_text_width("200", p->scale);
	p->left = MARGIN + p->names + 6;
	p->top = MARGIN + 3 * LINE + 8;
	p->width = MAX(p->left + (int)n * p->cell, LEGEND) + MARGIN;
	p->height = p->top + (int)n * p->cell + 6 + p->names + MARGIN;
}

/* --- drawing --- */

static void draw_legend(const struct plot *p, int y)
{
	enum { BAR = 2 * SHADES };
	int x = MARGIN;
	for (int right = 1; right >= 0; right--) {
		const char *what = right ? "right 0%" : "wrong 0%";
		canvas_text(p->canvas, x, y, 2, what, BLACK);
		x += canvas_text_width(what, 2);
		for (int i = 0; i < BAR; i++)
			canvas_fill(p->canvas, x + i, y, 1, 14, shade(p, (double)(i + 1) / BAR, right));
		canvas_text(p->canvas, x + BAR + 6, y, 2, "100%", BLACK);
		x += BAR + 6 + canvas_text_width("100%  ", 2);
	}
}

static void draw_title(const struct plot *p)
{
	uint64_t all = 0, right = 0;
	const struct confusion_matrix *c = p->c;
	for (size_t i = 0; i < c->n; i++) {
		all += c->of_class[i];
		right += c->images[i * c->n + i];
	}
	char dataset[NAME_SHOWN + 1];
	autofree char *title = xasprintf("%s, epoch %d: %.2f%% of %llu right", c->dataset ? shown(c->dataset, dataset) : "test",
					 c->epoch, all ? 100.0 * (double)right / (double)all : 0,
					 (unsigned long long)all);
	canvas_text(p->canvas, MARGIN, MARGIN, 2, title, BLACK);
	canvas_text(p->canvas, MARGIN, MARGIN + LINE, 2, "rows: true class, columns: taken for", BLACK);
	draw_legend(p, MARGIN + 2 * LINE);
}

static void draw_names(const struct plot *p)
{
	char name[NAME_SHOWN + 1];
	int n = (int)p->c->n, middle = (p->cell - CANVAS_LETTER_HEIGHT * p->scale + 1) / 2;
	int every = n <= NAMED_MAX ? 1 : 100, bottom = p->top + n * p->cell + 6;
	for (int i = 0; i < n; i += every) {
		if (every == 1)
			shown(p->c->names[i], name);
		else
			snprintf(name, sizeof(name), "%d", i);
		int width = canvas_text_width(name, p->scale), at = i * p->cell + (every == 1 ? middle : 0);
		canvas_text(p->canvas, p->left - 6 - width, p->top + at, p->scale, name, BLACK);
		canvas_text_upward(p->canvas, p->left + at, bottom + width, p->scale, name, BLACK);
	}
}

static void draw_count(const struct plot *p, int x, int y, uint32_t count, double share)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", count);
	int scale = canvas_text_width(text, 2) <= p->cell ? 2 : 1;
	int width = canvas_text_width(text, scale) - scale, height = CANVAS_LETTER_HEIGHT * scale;
	canvas_text(p->canvas, x + (p->cell - width) / 2, y + (p->cell - height) / 2, scale, text, share > 0.3 ? WHITE : BLACK);
}

static void draw_row(const struct plot *p, size_t row)
{
	size_t n = p->c->n;
	const uint32_t *counts = p->c->images + row * n;
	int y = p->top + (int)row * p->cell, size = p->cell > 4 ? p->cell - 1 : p->cell;
	for (size_t k = 0; k < n; k++) {
		if (!counts[k])
			continue;
		int x = p->left + (int)k * p->cell;
		double share = (double)counts[k] / (double)p->c->of_class[row];
		canvas_fill(p->canvas, x, y, size, size, shade(p, share, k == row));
		if (n <= 12)
			draw_count(p, x, y, counts[k], share);
	}
}

static void draw_frame(const struct plot *p)
{
	int n = (int)p->c->n, side = n * p->cell, every = n <= 32 ? 1 : n <= NAMED_MAX ? 10 : 100;
	for (int i = 0; i <= n; i += every) {
		int at = i * p->cell - 1;
		canvas_fill(p->canvas, p->left + at, p->top, 1, side, GREY);
		canvas_fill(p->canvas, p->left, p->top + at, side, 1, GREY);
	}
	canvas_fill(p->canvas, p->left - 1, p->top - 1, 1, side + 1, BLACK);
	canvas_fill(p->canvas, p->left + side, p->top - 1, 1, side + 2, BLACK);
	canvas_fill(p->canvas, p->left - 1, p->top - 1, side + 1, 1, BLACK);
	canvas_fill(p->canvas, p->left - 1, p->top + side, side + 2, 1, BLACK);
}

char *confusion_png(const struct confusion_matrix *c, size_t *ret_size)
{
	struct plot p = {.c = c};
	lay_out(&p);
	autocanvas struct canvas *canvas = canvas_new(p.width, p.height, palette(), N_COLORS);
	p.canvas = canvas;
	draw_title(&p);
	draw_frame(&p);
	for (size_t row = 0; row < c->n; row++)
		draw_row(&p, row);
	draw_names(&p);
	return canvas_png(canvas, ret_size);
}
