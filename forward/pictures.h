/* A run's learning curves as a PNG: loss on the left, accuracy on the right, epochs to the right; training thin and blue,
 * test thick and orange.  Pure. */
#pragma once

#include "common/base.h"

enum curve { CURVE_TRAIN_LOSS, CURVE_TEST_LOSS, CURVE_TRAIN_ACCURACY, CURVE_TEST_ACCURACY, N_CURVES };
extern const char *const curve_names[N_CURVES]; /* as in an `epoch` event */

#define CURVE_POINTS_MAX 2048 /* more epochs than that are thinned out evenly */

struct curves {
	size_t n;
	int64_t stride; /* of the epochs that are kept; 0: none yet */
	int64_t epoch[CURVE_POINTS_MAX];
	double value[N_CURVES][CURVE_POINTS_MAX]; /* NaN: not known, or not finite */
};

/* Epochs come in order; the last one may be thinned out. */
void curves_add(struct curves *c, int64_t epoch, const double value[N_CURVES]);
/* Allocated bytes of a PNG, or NULL where there is nothing to draw. */
char *curves_png(const struct curves *c, size_t *ret_size);
