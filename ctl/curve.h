/* Curves as text: several lines over one axis of epochs, each drawn with its letter, '*' where several meet.  Pure. */
#pragma once

#include "common/base.h"

struct curve {
	const double *y; /* y[i]: of epoch i + 1; not finite: unknown, the line breaks */
	size_t n;
	char letter;
};

struct curve_frame {
	int columns, rows; /* of the drawing with its labels; of the drawing alone */
	double low, high;  /* what lies beyond is not drawn */
	const char *low_text, *high_text;
};

/* The range that is worth looking at: all that is known but the worst tenth, which is how training begins (or that it
 * blew up); of few values all.  false: nothing is known. */
bool curve_range(const struct curve *curves, size_t n, bool more_is_better, double *ret_low, double *ret_high);
/* Where there are more epochs than columns, a column shows the mean of its epochs. */
void curve_draw(FILE *out, const struct curve *curves, size_t n, const struct curve_frame *frame);
