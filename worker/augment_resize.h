/* Pillow 9.4's Image.resize(BILINEAR) to a size that is not smaller, one axis: bytes weighted in 10.22 fixed point
 * (Resample.c: precompute_coeffs, normalize_coeffs_8bpc).  The horizontal pass comes first and is rounded to bytes.
 * Enlarging, the filter is the triangle of width 2 (nothing to antialias): two neighbours. */
#pragma once

#include "hd.h"

#include <stdint.h>

#define RESIZE_BITS 22

struct resize_taps { /* result = (weight * from[first] + weight2 * from[second] + half) >> 22 */
	int32_t first, second;
	int32_t weight, weight2;
};

HD double resize_triangle(double x)
{
	x = x < 0 ? -x : x;
	return x < 1 ? 1 - x : 0;
}

HD int32_t resize_fixed(double weight)
{
	return (int32_t)(0.5 + weight * (double)(1 << RESIZE_BITS));
}

/* Of sample `at` of `to` made of `from` <= to samples. */
HD struct resize_taps resize_taps(int at, int from, int to)
{
	double scale = (double)from / (double)to, centre = ((double)at + 0.5) * scale;
	int first = (int)(centre - 1 + 0.5), end = (int)(centre + 1 + 0.5);
	struct resize_taps taps;
	first = first < 0 ? 0 : first;
	end = end > from ? from : end;
	taps.first = first;
	taps.second = end - 1;
	double weight = resize_triangle((double)first - centre + 0.5);
	double weight2 = taps.second > first ? resize_triangle((double)(first + 1) - centre + 0.5) : 0;
	double sum = weight + weight2;
	taps.weight = resize_fixed(weight / sum);
	taps.weight2 = resize_fixed(weight2 / sum);
	return taps;
}

HD uint8_t resize_value(struct resize_taps taps, int first, int second)
{
	return (uint8_t)((first * taps.weight + second * taps.weight2 + (1 << (RESIZE_BITS - 1))) >> RESIZE_BITS);
}
