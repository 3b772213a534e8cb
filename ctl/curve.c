/* Curves as text; see curve.h. */
#include "ctl/curve.h"

#include <math.h>

#define FEW_VALUES 20

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

bool curve_range(const struct curve *curves, size_t n, bool more_is_better, double *ret_low, double *ret_high)
{
	size_t total = 0, known = 0;

	for (size_t k = 0; k < n; k++)
		total += curves[k].n;
	autofree double *values = xcalloc(total + 1, sizeof(*values));
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < curves[k].n; i++)
			if (isfinite(curves[k].y[i]))
				values[known++] = curves[k].y[i];
	if (!known)
		return false;
	qsort(values, known, sizeof(*values), by_value);
	size_t worst = known > FEW_VALUES ? known / 10 : 0;
	*ret_low = values[more_is_better ? worst : 0];
	*ret_high = values[known - 1 - (more_is_better ? 0 : worst)];
	return true;
}

/* Mean of the values at indices in [from, to] that are known. */
static double mean_of(const struct curve *c, double from, double to)
{
	double sum = 0;
	size_t n = 0;

	for (double i = fmax(ceil(from), 0); i <= to && i < (double)c->n; i++) {
		if (!isfinite(c->y[(size_t)i]))
			continue;
		sum += c->y[(size_t)i];
		n++;
	}
	return n ? sum / (double)n : NAN;
}

/* The line's height at x (an index, 0-based) of a column that reaches `half` to each side. */
static double value_at(const struct curve *c, double x, double half)
{
	double here = mean_of(c, x - half, x + half - 1e-9);
	size_t i = (size_t)x;

	if (isfinite(here) || i + 1 >= c->n)
		return here;
	return c->y[i] + (c->y[i + 1] - c->y[i]) * (x - (double)i);
}

struct canvas {
	char *cells; /* rows x columns, the first row on top */
	size_t columns, rows;
	double low, high;
	size_t epochs;
};

static void draw_one(struct canvas *p, const struct curve *c)
{
	double step = p->columns > 1 ? (double)(p->epochs - 1) / (double)(p->columns - 1) : 0;

	for (size_t k = 0; k < p->columns; k++) {
		double y = value_at(c, step * (double)k, fmax(step, 1e-6) / 2);
		if (!(y >= p->low && y <= p->high))
			continue;
		double height = p->high > p->low ? (y - p->low) / (p->high - p->low) : 0.5;
		size_t row = p->rows - 1 - (size_t)lround(height * (double)(p->rows - 1));
		char *cell = &p->cells[row * p->columns + k];
		*cell = *cell == ' ' ? c->letter : '*';
	}
}

/* Under the drawing: "+------" and the numbers of the first and the last epoch. */
static void draw_epochs(FILE *out, const struct canvas *p, int label)
{
	autofree char *line = xcalloc(p->columns + 1, 1);
	autofree char *last = xasprintf("%zu", p->epochs);
	int room = (int)p->columns - 7;

	memset(line, '-', p->columns);
	fprintf(out, "%*s +%s\n", label, "", line);
	if (p->epochs == 1)
		fprintf(out, "%*s  epoch 1\n", label, "");
	else
		fprintf(out, "%*s  epoch 1%*s\n", label, "", MAX(room, (int)strlen(last) + 1), last);
}

void curve_draw(FILE *out, const struct curve *curves, size_t n, const struct curve_frame *frame)
{
	int label = (int)MAX(strlen(frame->low_text), strlen(frame->high_text));
	struct canvas p = {.rows = (size_t)frame->rows, .low = frame->low, .high = frame->high};

	for (size_t k = 0; k < n; k++)
		p.epochs = MAX(p.epochs, curves[k].n);
	p.columns = (size_t)MAX(frame->columns - label - 2, 10);
	p.cells = xmalloc(p.rows * p.columns);
	memset(p.cells, ' ', p.rows * p.columns);
	for (size_t k = 0; k < n; k++)
		draw_one(&p, &curves[k]);
	for (size_t row = 0; row < p.rows; row++) {
		const char *text = row == 0            ? frame->high_text
				   : row + 1 == p.rows ? frame->low_text
						       : "",
			   *cells = p.cells + row * p.columns;
		size_t used = p.columns;
		while (used && cells[used - 1] == ' ')
			used--;
		fprintf(out, "%*s |%.*s\n", label, text, (int)used, cells);
	}
	draw_epochs(out, &p, label);
	free(p.cells);
}
