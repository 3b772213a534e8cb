/* What is drawn for one training image, from (seed, epoch, sample) alone: never from batch size, thread or device.  The
 * distributions are torchvision 0.14's.  The same functions serve the CPU's loader and the device's kernels; they use no
 * function of a mathematical library but sqrt() and rint(), which are exact, so that every machine draws the same.
 *
 * All come from philox4x32(seed, sample, epoch, RNG_AUGMENT, k): k = a stage's first counter, then its following ones.
 * `sample` is the image's index in its set. */
#pragma once

#include "augment_affine.h"
#include "augment_settings.h"
#include "rng.h"

#include <math.h>

enum draw_stage {
	DRAW_CROP = 0, /* and flip */
	DRAW_RESIZED_CROP = 0x100,
	DRAW_JITTER = 0x200,
	DRAW_TRIVIAL = 0x300,
	DRAW_ERASING = 0x400,
	DRAW_CUTOUT = 0x500,
};
#define DRAW_TRIES 10 /* of a rectangle that fits */

struct sample_key {
	uint64_t seed;
	uint32_t sample, epoch;
};

HD struct philox draw_bits(const struct sample_key *key, uint32_t k)
{
	return philox4x32(key->seed, key->sample, key->epoch, RNG_AUGMENT, k);
}

HD double draw_between(uint32_t bits, double low, double high)
{
	return low + (high - low) * rng_unit(bits);
}

/* exp(x) for |x| <= 1.25, by its series: the same bits on every device. */
HD double draw_exp(double x)
{
	double sum = 1;
	for (int n = 22; n > 0; n--)
		sum = 1 + x * sum / n;
	return sum;
}

/* --- place --- */

struct augment_draw {
	int row, col; /* size 32: of the crop in the image padded by 4, 0..8; larger: of the crop in the resized image */
	bool flip;    /* after the crop */
	int top, left, height, width; /* CROP_RESIZED: the part of the image that becomes the whole */
};

/* The draw that changes nothing: test images. */
HD struct augment_draw augment_draw_none(int size)
{
	struct augment_draw draw = {CROP_PADDING, CROP_PADDING, false, 0, 0, IMAGE_SIZE, IMAGE_SIZE};
	if (size != IMAGE_SIZE)
		draw.row = draw.col = (int)rint((augment_resized_side(size) - size) / 2.0);
	return draw;
}

/* RandomResizedCrop.get_params(): a share of the area and a ratio of the sides, ten times until it fits; then, as the image
 * is square, all of it. */
HD void draw_resized_crop(struct augment_draw *draw, const struct sample_key *key, double scale)
{
	const double log_ratio = 0.28768207245178085; /* log(4/3) */
	for (uint32_t try_ = 0; try_ < DRAW_TRIES; try_++) {
		struct philox r = draw_bits(key, DRAW_RESIZED_CROP + try_);
		double area = IMAGE_SIZE * IMAGE_SIZE * draw_between(r.v[0], scale, 1);
		double ratio = draw_exp(draw_between(r.v[1], -log_ratio, log_ratio));
		int width = (int)rint(sqrt(area * ratio)), height = (int)rint(sqrt(area / ratio));
		if (width < 1 || width > IMAGE_SIZE || height < 1 || height > IMAGE_SIZE)
			continue;
		draw->height = height;
		draw->width = width;
		draw->top = (int)rng_below(r.v[2], (uint32_t)(IMAGE_SIZE - height + 1));
		draw->left = (int)rng_below(r.v[3], (uint32_t)(IMAGE_SIZE - width + 1));
		return;
	}
}

/* v[0] of DRAW_CROP -> row, v[1] -> col, v[2]'s top bit -> flip.  What is not drawn is as in augment_draw_none(). */
HD struct augment_draw augment_draw(const struct sample_key *key, const struct augment_settings *s)
{
	struct philox r = draw_bits(key, DRAW_CROP);
	struct augment_draw draw = augment_draw_none(s->size);
	if (s->crop == CROP_RANDOM) {
		int places = s->size == IMAGE_SIZE ? 2 * CROP_PADDING + 1 : augment_resized_side(s->size) - s->size + 1;
		draw.row = (int)rng_below(r.v[0], (uint32_t)places);
		draw.col = (int)rng_below(r.v[1], (uint32_t)places);
	}
	if (s->crop == CROP_RESIZED)
		draw_resized_crop(&draw, key, (double)s->crop_scale);
	if (s->flip)
		draw.flip = r.v[2] >> 31;
	return draw;
}

/* --- colour --- */

struct jitter_draw {
	int order[JITTERS];	 /* which comes first, second...: one of 24 permutations */
	float factor[JITTERS]; /* by JITTER_*; only of those that the settings have */
};

HD struct jitter_draw jitter_draw(const struct sample_key *key, const struct augment_settings *s)
{
	struct philox permutation = draw_bits(key, DRAW_JITTER), r = draw_bits(key, DRAW_JITTER + 1);
	struct jitter_draw draw;
	for (int i = 0; i < JITTERS; i++)
		draw.order[i] = i;
	for (int i = JITTERS - 1; i > 0; i--) {
		int j = (int)rng_below(permutation.v[i], (uint32_t)i + 1), last = draw.order[i];
		draw.order[i] = draw.order[j];
		draw.order[j] = last;
	}
	for (int i = 0; i < JITTERS; i++) {
		double width = (double)s->jitter[i], middle = i == JITTER_HUE ? 0 : 1, low = middle - width;
		if (i != JITTER_HUE && low < 0)
			low = 0;
		draw.factor[i] = (float)draw_between(r.v[i], low, middle + width);
	}
	return draw;
}

/* --- TrivialAugmentWide --- */

enum trivial_op { /* the order of torchvision's dictionary */
	TRIVIAL_IDENTITY,
	TRIVIAL_SHEAR_X, /* five geometric ones, in the order of enum affine_kind */
	TRIVIAL_SHEAR_Y,
	TRIVIAL_TRANSLATE_X,
	TRIVIAL_TRANSLATE_Y,
	TRIVIAL_ROTATE,
	TRIVIAL_BRIGHTNESS,
	TRIVIAL_COLOR,
	TRIVIAL_CONTRAST,
	TRIVIAL_SHARPNESS,
	TRIVIAL_POSTERIZE,
	TRIVIAL_SOLARIZE,
	TRIVIAL_AUTOCONTRAST,
	TRIVIAL_EQUALIZE,
	TRIVIAL_OPS
};
#define TRIVIAL_BINS 31

struct trivial_draw {
	int op, bin;
	bool negative; /* of an operation whose magnitude has a sign */
};

HD struct trivial_draw trivial_draw_none(void)
{
	struct trivial_draw draw = {TRIVIAL_IDENTITY, 0, false};
	return draw;
}

HD struct trivial_draw trivial_draw(const struct sample_key *key)
{
	struct philox r = draw_bits(key, DRAW_TRIVIAL);
	struct trivial_draw draw;
	draw.op = (int)rng_below(r.v[0], TRIVIAL_OPS);
	draw.bin = (int)rng_below(r.v[1], TRIVIAL_BINS);
	draw.negative = r.v[2] >> 31;
	return draw;
}

HD bool trivial_is_affine(int op)
{
	return op >= TRIVIAL_SHEAR_X && op <= TRIVIAL_ROTATE;
}

/* A result's pixel needs pixels at other places. */
HD bool trivial_moves(int op)
{
	return trivial_is_affine(op) || op == TRIVIAL_SHARPNESS;
}

/* torch.linspace(first, last, 31)[bin] in float32, whose last bit depends on the processor in torch itself */
HD float trivial_between(float first, float last, int bin)
{
	float step = (last - first) / (TRIVIAL_BINS - 1);
	return bin < TRIVIAL_BINS / 2 ? first + step * (float)bin : last - step * (float)(TRIVIAL_BINS - 1 - bin);
}

/* With its sign, as torchvision passes it on: tangents, pixels, degrees; brightness, color, contrast, sharpness: the factor
 * less 1; posterize: bits; solarize: threshold. */
HD double trivial_magnitude(struct trivial_draw draw)
{
	double sign = draw.negative ? -1 : 1;
	if (draw.op == TRIVIAL_POSTERIZE)
		return 8 - (draw.bin + 2) / 5; /* rounded quotients: never a tie */
	if (draw.op == TRIVIAL_SOLARIZE)
		return (double)trivial_between(255, 0, draw.bin);
	if (draw.op == TRIVIAL_ROTATE)
		return sign * (double)trivial_between(0, 135, draw.bin);
	if (draw.op == TRIVIAL_TRANSLATE_X || draw.op == TRIVIAL_TRANSLATE_Y)
		return sign * (double)trivial_between(0, 32, draw.bin);
	return sign * (double)trivial_between(0, 0.99f, draw.bin);
}

/* All the geometric operations there are, of one image size: made once by affine_table() (augment.h). */
struct affine_table {
	struct affine of[AFFINE_KINDS][TRIVIAL_BINS][2]; /* [kind][bin][negative] */
};

/* --- erasing --- */

struct box { /* x1 <= x < x2, y1 <= y < y2 */
	int x1, y1, x2, y2;
};

HD bool box_has(const struct box *box, int y, int x)
{
	return x >= box->x1 && x < box->x2 && y >= box->y1 && y < box->y2;
}

#define ERASE_BOXES 2
struct erase_draw {
	struct box boxes[ERASE_BOXES]; /* empty ones hold no pixel */
};

/* RandomErasing.get_params(scale=(0.02, 0.33), ratio=(0.3, 3.3)): smaller than the image both ways, ten tries, then none. */
HD struct box draw_erasing(const struct sample_key *key, const struct augment_settings *s)
{
	const double log_low = -1.2039728043259361, log_high = 1.1939224684724346; /* of 0.3 and 3.3 */
	struct box box = {0, 0, 0, 0};
	if (rng_unit(draw_bits(key, DRAW_ERASING).v[0]) >= (double)s->erasing)
		return box;
	for (uint32_t try_ = 1; try_ <= DRAW_TRIES; try_++) {
		struct philox r = draw_bits(key, DRAW_ERASING + try_);
		double area = (double)(s->size * s->size) * draw_between(r.v[0], 0.02, 0.33);
		double ratio = draw_exp(draw_between(r.v[1], log_low, log_high));
		int height = (int)rint(sqrt(area * ratio)), width = (int)rint(sqrt(area / ratio));
		if (height >= s->size || width >= s->size)
			continue;
		box.y1 = (int)rng_below(r.v[2], (uint32_t)(s->size - height + 1));
		box.x1 = (int)rng_below(r.v[3], (uint32_t)(s->size - width + 1));
		box.y2 = box.y1 + height;
		box.x2 = box.x1 + width;
		return box;
	}
	return box;
}

/* Cutout (DeVries and Taylor, arXiv 1708.04552): the centre is uniform, what lies outside is cut off. */
HD struct box draw_cutout(const struct sample_key *key, const struct augment_settings *s)
{
	struct philox r = draw_bits(key, DRAW_CUTOUT);
	int y = (int)rng_below(r.v[0], (uint32_t)s->size), x = (int)rng_below(r.v[1], (uint32_t)s->size);
	int before = s->cutout / 2, after = s->cutout - before;
	struct box box = {x < before ? 0 : x - before, y < before ? 0 : y - before,
			  x + after > s->size ? s->size : x + after, y + after > s->size ? s->size : y + after};
	return box;
}

HD struct erase_draw erase_draw(const struct sample_key *key, const struct augment_settings *s)
{
	struct erase_draw draw = {{{0, 0, 0, 0}, {0, 0, 0, 0}}};
	if (s->erasing > 0)
		draw.boxes[0] = draw_erasing(key, s);
	if (s->cutout > 0)
		draw.boxes[1] = draw_cutout(key, s);
	return draw;
}

HD bool erase_has(const struct erase_draw *draw, int y, int x)
{
	return box_has(&draw->boxes[0], y, x) || box_has(&draw->boxes[1], y, x);
}
