/* A picture of our own pixels as a PNG: a palette, rectangles, lines, text of 5 x 7 dots (small letters, digits and some
 * signs; capitals are drawn small, what there is no sign for as "?").  What lies outside is cut off. */
#pragma once

#include "common/png.h"

#define CANVAS_SIDE_MAX 4096

struct canvas;

/* All of color 0.  palette: at most 256; borrowed. */
struct canvas *canvas_new(int width, int height, const struct png_color *palette, size_t colors);
void canvas_free(struct canvas *c); /* accepts NULL */
static inline void cleanup_canvas(struct canvas **c)
{
	canvas_free(*c);
}
#define autocanvas __attribute__((cleanup(cleanup_canvas)))

void canvas_fill(struct canvas *c, int x, int y, int width, int height, unsigned char color);
/* size: its thickness. */
void canvas_stroke(struct canvas *c, int x0, int y0, int x1, int y1, int size, unsigned char color);

/* scale: pixels of a letter's dot.  A letter is CANVAS_LETTER_HEIGHT * scale high; x, y: its upper left corner. */
#define CANVAS_LETTER_HEIGHT 7
int canvas_text_width(const char *text, int scale);
void canvas_text(struct canvas *c, int x, int y, int scale, const char *text, unsigned char color);
/* Turned by a quarter, so that it is read from below; x, y: the lower left corner, where it begins. */
void canvas_text_upward(struct canvas *c, int x, int y, int scale, const char *text, unsigned char color);

/* Allocated. */
char *canvas_png(const struct canvas *c, size_t *ret_size);
