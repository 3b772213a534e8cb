/* See augment_affine.h. */
#include "augment_affine.h"

#include "common/base.h"

#include <math.h>

#define ONE 65536.0

static const double radians = 3.14159265358979323846 / 180;

static int32_t fixed(double v)
{
	return (int32_t)floor(v * ONE + 0.5);
}

/* The inverse map [a b c; d e f] of column and row, seen at the middle of pixel (0, 0). */
static struct affine fixed_map(const double m[6])
{
	return (struct affine){.xx = fixed(m[0]), .xy = fixed(m[1]), .x0 = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5),
			       .yx = fixed(m[3]), .yy = fixed(m[4]), .y0 = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5)};
}

/* torchvision's affine(shear=degrees(atan(magnitude)), center=(0, 0)). */
static struct affine shear(double x, double y)
{
	double sx = atan(x) / radians * radians, sy = atan(y) / radians * radians;
	double a = cos(-sy) / cos(sy), b = -cos(-sy) * tan(sx) / cos(sy);
	double c = sin(-sy) / cos(sy), d = -sin(-sy) * tan(sx) / cos(sy) + 1;
	return fixed_map((double[]){d, -b, 0, -c, a, 0});
}

static double rounded(double v) /* Python's round(v, 15), which only a tie in 16.16 could tell from this */
{
	return rint(v * 1e15) / 1e15;
}

/* Image.rotate(): about the centre; a quarter turn moves pixels whole. */
static struct affine rotation(double degrees, int size)
{
	if (fabs(degrees) == 90) {
		int32_t turn = degrees > 0 ? 65536 : -65536, last = (size - 1) * 65536 + 32768, first = 32768;
		return (struct affine){.xy = -turn, .x0 = turn > 0 ? last : first, .yx = turn, .y0 = turn > 0 ? first : last};
	}
	double angle = -degrees * radians, centre = size / 2.0;
	double c = rounded(cos(angle)), s = rounded(sin(angle));
	return fixed_map((double[]){c, s, c * -centre + s * -centre + centre, -s, c, -s * -centre + c * -centre + centre});
}

struct affine affine_of(enum affine_kind kind, double magnitude, int size)
{
	switch (kind) {
	case AFFINE_SHEAR_X:
		return shear(magnitude, 0);
	case AFFINE_SHEAR_Y:
		return shear(0, magnitude);
	case AFFINE_TRANSLATE_X:
		return fixed_map((double[]){1, 0, -trunc(magnitude), 0, 1, 0});
	case AFFINE_TRANSLATE_Y:
		return fixed_map((double[]){1, 0, 0, 0, 1, -trunc(magnitude)});
	case AFFINE_ROTATE:
		return rotation(magnitude, size);
	}
	BUG("no such transform: %d", (int)kind);
}
