/* What Pillow 9.4 computes when torchvision changes colours of an RGB image, value for value: ImageEnhance's brightness,
 * contrast, saturation ("Color") and sharpness, hue through HSV, and ImageOps' posterize, solarize, autocontrast,
 * equalize (C sources: Blend.c, Convert.c, Filter.c; Python: ImageEnhance.py, ImageOps.py).
 *
 * A pixel at a time, for the CPU's loops and the device's threads.  Whoever compiles this must forbid fused multiply-add. */
#pragma once

#include "hd.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct rgb {
	uint8_t r, g, b;
};

/* Mode "L": ITU-R 601-2 luma in 16.16 fixed point. */
HD int gray_of(int r, int g, int b)
{
	return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
}

/* The contrast's degenerate value from the sum of gray_of() over so many pixels: int(mean + 0.5). */
HD int mean_gray(uint32_t sum, uint32_t pixels)
{
	return (int)((double)sum / (double)pixels + 0.5);
}

/* Image.blend(): degenerate at factor 0, value at 1, beyond both clipped. */
HD uint8_t blend(int degenerate, int value, float factor)
{
	float t = (float)degenerate + factor * (float)(value - degenerate);
	t = t < 0 ? 0 : t;
	t = t > 255 ? 255 : t;
	return (uint8_t)(int)t;
}

HD uint8_t blend_gray(struct rgb p, int value, float factor)
{
	return blend(gray_of(p.r, p.g, p.b), value, factor);
}

/* --- hue --- */

/* Of torchvision's adjust_hue(factor): what is added to H, modulo 256. */
HD int hue_shift(float factor)
{
	return (int)((double)factor * 255.0) & 255;
}

/* H of RGB -> HSV, largest and smallest of the three given and different. */
HD int hue_of(int r, int g, int b, int max, int min)
{
	float range = (float)(max - min);
	float rc = (float)(max - r) / range, gc = (float)(max - g) / range, bc = (float)(max - b) / range;
	float green = (float)(2.0 + (double)rc - (double)bc), blue = (float)(4.0 + (double)gc - (double)rc);
	float h = r == max ? bc - gc : g == max ? green : blue;
	double turn = (double)h / 6.0 + 1.0; /* 5/6 to 11/6 */
	float part = (float)(turn >= 1.0 ? turn - 1.0 : turn);
	return (int)((double)part * 255.0);
}

/* RGB -> HSV, H shifted, -> RGB.  Every rounding is where Pillow's C has it. */
HD struct rgb hue_shifted(struct rgb p, int shift)
{
	int r = p.r, g = p.g, b = p.b;
	int max = r > g ? r : g, min = r > g ? g : r;
	max = b > max ? b : max;
	min = b < min ? b : min;
	if (max == min) /* no hue */
		return p;
	int saturation = (int)((double)((float)(max - min) / (float)max) * 255.0);
	int hue = (hue_of(r, g, b, max, min) + shift) & 255;
	double sixths = (double)hue * 6.0 / 255.0, value = (double)max;
	int sector = (int)sixths;
	float f = (float)(sixths - (double)sector), fs = (float)((double)saturation / 255.0);
	uint8_t v = (uint8_t)max;
	uint8_t low = (uint8_t)(int)(value * (1.0 - (double)fs) + 0.5);
	uint8_t falling = (uint8_t)(int)(value * (1.0 - (double)(fs * f)) + 0.5);
	uint8_t rising = (uint8_t)(int)(value * (1.0 - (double)fs * (1.0 - (double)f)) + 0.5);
	sector = sector == 6 ? 0 : sector;
	struct rgb result;
	result.r = sector == 0 || sector == 5 ? v : sector == 1 ? falling : sector == 4 ? rising : low;
	result.g = sector == 1 || sector == 2 ? v : sector == 0 ? rising : sector == 3 ? falling : low;
	result.b = sector == 3 || sector == 4 ? v : sector == 2 ? rising : sector == 5 ? falling : low;
	bool grey = saturation == 0; /* so little that it rounds to none */
	result.r = grey ? v : result.r;
	result.g = grey ? v : result.g;
	result.b = grey ? v : result.b;
	return result;
}

/* --- sharpness --- */

/* ImageFilter.SMOOTH at a pixel of a plane whose rows are `size` wide; it has neighbours on all sides. */
HD uint8_t smooth(const uint8_t *pixel, int size)
{
	const float edge = 1.0f / 13, centre = 5.0f / 13;
	const uint8_t *above = pixel - size, *below = pixel + size;
	float sum = 0.5f;
	sum += (float)below[-1] * edge + (float)below[0] * edge + (float)below[1] * edge;
	sum += (float)pixel[-1] * edge + (float)pixel[0] * centre + (float)pixel[1] * edge;
	sum += (float)above[-1] * edge + (float)above[0] * edge + (float)above[1] * edge;
	return (uint8_t)(int)sum; /* at most 255.5 */
}

/* Pixel (y, x) sharpened: the border is its own degenerate. */
HD uint8_t sharpened(const uint8_t *plane, int size, int y, int x, float factor)
{
	const uint8_t *pixel = plane + y * size + x;
	bool inside = y > 0 && x > 0 && y < size - 1 && x < size - 1;
	return inside ? blend(smooth(pixel, size), *pixel, factor) : *pixel;
}

/* --- of a byte, by a table --- */

HD uint8_t posterized(int value, int bits)
{
	return (uint8_t)(value & ~((1 << (8 - bits)) - 1));
}

/* The least byte that is not below a threshold. */
HD int solarize_threshold(double threshold)
{
	return (int)ceil(threshold);
}

HD uint8_t solarized(int value, int threshold)
{
	return (uint8_t)(value < threshold ? value : 255 - value);
}

/* low, high: the smallest and largest value of the channel. */
HD uint8_t contrast_stretched(int value, int low, int high)
{
	if (high <= low)
		return (uint8_t)value;
	double scale = 255.0 / (double)(high - low), offset = (double)-low * scale;
	int result = (int)((double)value * scale + offset);
	return (uint8_t)(result < 0 ? 0 : result > 255 ? 255 : result);
}

/* table (256) = the equalizing one of a channel's histogram. */
HD void equalizing_table(uint8_t *table, const uint32_t *histogram)
{
	uint32_t sum = 0, last = 0, kinds = 0;
	for (int i = 0; i < 256; i++) {
		sum += histogram[i];
		last = histogram[i] > 0 ? histogram[i] : last;
		kinds += histogram[i] > 0;
	}
	uint32_t step = (sum - last) / 255, n = step / 2;
	bool identity = kinds <= 1 || step == 0;
	for (int i = 0; i < 256; i++) {
		uint32_t value = identity ? (uint32_t)i : n / step;
		table[i] = (uint8_t)(value > 255 ? 255 : value);
		n += histogram[i];
	}
}
