/* See canvas.h. */
#include "canvas.h"

#include <ctype.h>

#define GLYPH 6 /* dots from one letter to the next */

struct canvas {
	int width, height;
	const struct png_color *palette;
	size_t colors;
	uint8_t *pixels; /* (height, width) */
};

struct canvas *canvas_new(int width, int height, const struct png_color *palette, size_t colors)
{
	INVARIANT(width > 0 && height > 0 && width <= CANVAS_SIDE_MAX && height <= CANVAS_SIDE_MAX, "a picture of %d x %d",
		  width, height);
	struct canvas *c = xmalloc(sizeof(*c));
	*c = (struct canvas){width, height, palette, colors, xcalloc((size_t)height, (size_t)width)};
	return c;
}

void canvas_free(struct canvas *c)
{
	if (!c)
		return;
	free(c->pixels);
	free(c);
}

/* --- pixels --- */

void canvas_fill(struct canvas *c, int x, int y, int width, int height, unsigned char color)
{
	int left = MAX(x, 0), right = MIN(x + width, c->width);
	for (int at = MAX(y, 0); at < MIN(y + height, c->height) && left < right; at++)
		memset(c->pixels + (size_t)at * (size_t)c->width + left, color, (size_t)(right - left));
}

/* Bresenham's. */
void canvas_stroke(struct canvas *c, int x0, int y0, int x1, int y1, int size, unsigned char color)
{
	int dx = abs(x1 - x0), dy = -abs(y1 - y0), sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1, e = dx + dy;
	for (;;) {
		canvas_fill(c, x0, y0, size, size, color);
		if (x0 == x1 && y0 == y1)
			return;
		int twice = 2 * e;
		if (twice >= dy) {
			e += dy;
			x0 += sx;
		}
		if (twice <= dx) {
			e += dx;
			y0 += sy;
		}
	}
}

/* --- text --- */

/* A row a number, the highest of 5 bits on the left. */
static const struct {
	char letter;
	unsigned char rows[CANVAS_LETTER_HEIGHT];
} font[] = {
	{'?', {14, 17, 1, 2, 4, 0, 4}}, /* the first: what the others have not */
	{' ', {0}},
	{'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},    {'2', {14, 17, 1, 2, 4, 8, 31}},
	{'3', {31, 2, 4, 2, 1, 17, 14}},     {'4', {2, 6, 10, 18, 31, 2, 2}},   {'5', {31, 16, 30, 1, 1, 17, 14}},
	{'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},     {'8', {14, 17, 17, 14, 17, 17, 14}},
	{'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},    {'-', {0, 0, 0, 31, 0, 0, 0}},
	{'+', {0, 4, 4, 31, 4, 4, 0}},       {'%', {24, 25, 2, 4, 8, 19, 3}},   {'_', {0, 0, 0, 0, 0, 0, 31}},
	{'/', {0, 1, 2, 4, 8, 16, 0}},       {':', {0, 12, 12, 0, 12, 12, 0}},  {',', {0, 0, 0, 0, 12, 4, 8}},
	{'(', {2, 4, 8, 8, 8, 4, 2}},        {')', {8, 4, 2, 2, 2, 4, 8}},      {'\'', {4, 4, 8, 0, 0, 0, 0}},
	{'a', {0, 0, 14, 1, 15, 17, 15}},    {'b', {16, 16, 22, 25, 17, 17, 30}}, {'c', {0, 0, 14, 16, 16, 17, 14}},
	{'d', {1, 1, 13, 19, 17, 17, 15}},   {'e', {0, 0, 14, 17, 31, 16, 14}}, {'f', {6, 9, 8, 28, 8, 8, 8}},
	{'g', {0, 0, 15, 17, 15, 1, 14}},    {'h', {16, 16, 22, 25, 17, 17, 17}}, {'i', {4, 0, 12, 4, 4, 4, 14}},
	{'j', {2, 0, 6, 2, 2, 18, 12}},      {'k', {16, 16, 18, 20, 24, 20, 18}}, {'l', {12, 4, 4, 4, 4, 4, 14}},
	{'m', {0, 0, 26, 21, 21, 17, 17}},   {'n', {0, 0, 22, 25, 17, 17, 17}}, {'o', {0, 0, 14, 17, 17, 17, 14}},
	{'p', {0, 0, 30, 17, 30, 16, 16}},   {'q', {0, 0, 15, 17, 15, 1, 1}},   {'r', {0, 0, 22, 25, 16, 16, 16}},
	{'s', {0, 0, 14, 16, 14, 1, 30}},    {'t', {8, 8, 28, 8, 8, 9, 6}},     {'u', {0, 0, 17, 17, 17, 19, 13}},
	{'v', {0, 0, 17, 17, 17, 10, 4}},    {'w', {0, 0, 17, 17, 21, 21, 10}}, {'x', {0, 0, 17, 10, 4, 10, 17}},
	{'y', {0, 0, 17, 17, 15, 1, 14}},    {'z', {0, 0, 31, 2, 4, 8, 31}},
};

static const unsigned char *glyph_of(char letter)
{
	char small = (char)tolower((unsigned char)letter);
	for (size_t i = 0; i < ARRAY_LEN(font); i++)
		if (font[i].letter == small)
			return font[i].rows;
	return font[0].rows;
}

int canvas_text_width(const char *text, int scale)
{
	return (int)strlen(text) * GLYPH * scale;
}

void canvas_text(struct canvas *c, int x, int y, int scale, const char *text, unsigned char color)
{
	for (; *text; text++, x += GLYPH * scale) {
		const unsigned char *rows = glyph_of(*text);
		for (int row = 0; row < CANVAS_LETTER_HEIGHT; row++)
			for (int column = 0; column < 5; column++)
				if (rows[row] & (16 >> column))
					canvas_fill(c, x + column * scale, y + row * scale, scale, scale, color);
	}
}

void canvas_text_upward(struct canvas *c, int x, int y, int scale, const char *text, unsigned char color)
{
	for (; *text; text++, y -= GLYPH * scale) {
		const unsigned char *rows = glyph_of(*text);
		for (int row = 0; row < CANVAS_LETTER_HEIGHT; row++)
			for (int column = 0; column < 5; column++)
				if (rows[row] & (16 >> column))
					canvas_fill(c, x + row * scale, y - (column + 1) * scale, scale, scale, color);
	}
}

char *canvas_png(const struct canvas *c, size_t *ret_size)
{
	return png_indexed(c->pixels, (size_t)c->width, (size_t)c->height, c->palette, NULL, c->colors, ret_size);
}
