/* See pictures.h. */
#include "pictures.h"

#include <math.h>
#include <zlib.h>

const char *const curve_names[N_CURVES] = {"train_loss", "test_loss", "train_accuracy", "test_accuracy"};

#define WIDTH  920
#define HEIGHT 360
#define SCALE  2 /* pixels of a font's dot: text is 10 x 14 */
#define GLYPH  6 /* dots from one letter to the next */

enum color { WHITE, BLACK, GREY, TRAIN, TEST, N_COLORS };
static const unsigned char palette[N_COLORS][3] = {
	{255, 255, 255}, {40, 40, 40}, {222, 222, 222}, {70, 120, 200}, {235, 120, 20}};

struct canvas {
	unsigned char pixels[HEIGHT][1 + WIDTH]; /* each line begins with PNG's filter: none */
};

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

/* --- pixels --- */

static void dot(struct canvas *canvas, int x, int y, int size, enum color color)
{
	for (int dy = 0; dy < size; dy++)
		for (int dx = 0; dx < size; dx++)
			if (x + dx >= 0 && x + dx < WIDTH && y + dy >= 0 && y + dy < HEIGHT)
				canvas->pixels[y + dy][1 + x + dx] = (unsigned char)color;
}

/* Bresenham's. */
static void stroke(struct canvas *canvas, int x0, int y0, int x1, int y1, int size, enum color color)
{
	int dx = abs(x1 - x0), dy = -abs(y1 - y0), sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1, e = dx + dy;
	for (;;) {
		dot(canvas, x0, y0, size, color);
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

/* Letters of 5 x 7 dots, a row a number, the highest bit on the left. */
static const struct {
	char letter;
	unsigned char rows[7];
} font[] = {
	{'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},    {'2', {14, 17, 1, 2, 4, 8, 31}},
	{'3', {31, 2, 4, 2, 1, 17, 14}},     {'4', {2, 6, 10, 18, 31, 2, 2}},   {'5', {31, 16, 30, 1, 1, 17, 14}},
	{'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},     {'8', {14, 17, 17, 14, 17, 17, 14}},
	{'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},    {'-', {0, 0, 0, 31, 0, 0, 0}},
	{'+', {0, 4, 4, 31, 4, 4, 0}},       {'%', {24, 25, 2, 4, 8, 19, 3}},   {'a', {0, 0, 14, 1, 15, 17, 15}},
	{'c', {0, 0, 14, 16, 16, 17, 14}},   {'e', {0, 0, 14, 17, 31, 16, 14}}, {'h', {16, 16, 22, 25, 17, 17, 17}},
	{'i', {4, 0, 12, 4, 4, 4, 14}},      {'l', {12, 4, 4, 4, 4, 4, 14}},    {'n', {0, 0, 22, 25, 17, 17, 17}},
	{'o', {0, 0, 14, 17, 17, 17, 14}},   {'p', {0, 0, 30, 17, 30, 16, 16}}, {'r', {0, 0, 22, 25, 16, 16, 16}},
	{'s', {0, 0, 14, 16, 14, 1, 30}},    {'t', {8, 8, 28, 8, 8, 9, 6}},     {'u', {0, 0, 17, 17, 17, 19, 13}},
	{'y', {0, 0, 17, 17, 15, 1, 14}},
};

static void write_text(struct canvas *canvas, int x, int y, const char *text, enum color color)
{
	for (; *text; text++, x += GLYPH * SCALE)
		for (size_t i = 0; i < ARRAY_LEN(font); i++)
			for (int row = 0; font[i].letter == *text && row < 7; row++)
				for (int column = 0; column < 5; column++)
					if (font[i].rows[row] & (16 >> column))
						dot(canvas, x + column * SCALE, y + row * SCALE, SCALE, color);
}

static int text_width(const char *text)
{
	return (int)strlen(text) * GLYPH * SCALE;
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
		stroke(canvas, p->left, y, p->right, y, 1, GREY);
		snprintf(text, sizeof(text), "%.4g", fabs(value) < p->step * 1e-9 ? 0 : value);
		write_text(canvas, p->left - 6 - text_width(text), y - 7, text, BLACK);
	}
	stroke(canvas, p->left, p->top, p->left, p->bottom, 1, BLACK);
	stroke(canvas, p->left, p->bottom, p->right, p->bottom, 1, BLACK);
	snprintf(text, sizeof(text), "%.0f", p->first);
	write_text(canvas, p->left, p->bottom + 8, text, BLACK);
	snprintf(text, sizeof(text), "%.0f", p->last);
	write_text(canvas, p->right - text_width(text), p->bottom + 8, text, BLACK);
	write_text(canvas, (p->left + p->right - text_width("epoch")) / 2, p->bottom + 8, "epoch", BLACK);
	write_text(canvas, p->left, p->top - 24, title, BLACK);
	write_text(canvas, p->right - text_width("train test"), p->top - 24, "train", TRAIN);
	write_text(canvas, p->right - text_width("test"), p->top - 24, "test", TEST);
}

static void draw_curve(struct canvas *canvas, const struct panel *p, const struct curves *c, enum curve k)
{
	bool test = k == CURVE_TEST_LOSS || k == CURVE_TEST_ACCURACY;
	for (size_t i = 0; i < c->n; i++) {
		if (isnan(c->value[k][i]))
			continue;
		size_t from = i && !isnan(c->value[k][i - 1]) ? i - 1 : i;
		stroke(canvas, x_of(p, (double)c->epoch[from]), y_of(p, c->value[k][from]),
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

/* --- PNG (RFC 2083) --- */

struct bytes {
	unsigned char *at;
	size_t n;
};

static void add_bytes(struct bytes *b, const void *bytes, size_t n)
{
	b->at = xrealloc_array(b->at, b->n + n, 1);
	memcpy(b->at + b->n, bytes, n);
	b->n += n;
}

static void add_u32(struct bytes *b, uint32_t v)
{
	const unsigned char big_endian[] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
					    (unsigned char)v};
	add_bytes(b, big_endian, sizeof(big_endian));
}

static void add_chunk(struct bytes *b, const char *type, const void *data, size_t n)
{
	add_u32(b, (uint32_t)n);
	size_t start = b->n;
	add_bytes(b, type, 4);
	if (n)
		add_bytes(b, data, n);
	add_u32(b, (uint32_t)crc32(0, b->at + start, (unsigned)(b->n - start)));
}

static char *encode(const struct canvas *canvas, size_t *ret_size)
{
	struct bytes b = {0}, head = {0};
	uLongf size = compressBound(sizeof(*canvas));
	autofree unsigned char *packed = xmalloc(size);
	INVARIANT(compress2(packed, &size, (const Bytef *)canvas, sizeof(*canvas), Z_BEST_COMPRESSION) == Z_OK,
		  "compress2");
	add_u32(&head, WIDTH);
	add_u32(&head, HEIGHT);
	add_bytes(&head, "\x08\x03\x00\x00\x00", 5); /* 8 bits, a palette, deflate, no interlacing */
	add_bytes(&b, "\x89PNG\r\n\x1a\n", 8);
	add_chunk(&b, "IHDR", head.at, head.n);
	add_chunk(&b, "PLTE", palette, sizeof(palette));
	add_chunk(&b, "IDAT", packed, size);
	add_chunk(&b, "IEND", NULL, 0);
	free(head.at);
	*ret_size = b.n;
	return (char *)b.at;
}

char *curves_png(const struct curves *c, size_t *ret_size)
{
	if (!c->n)
		return NULL;
	autofree struct canvas *canvas = xcalloc(1, sizeof(*canvas));
	bool loss = draw_panel(canvas, c, 0, CURVE_TRAIN_LOSS, "loss");
	bool accuracy = draw_panel(canvas, c, WIDTH / 2, CURVE_TRAIN_ACCURACY, "accuracy %");
	return loss || accuracy ? encode(canvas, ret_size) : NULL;
}
