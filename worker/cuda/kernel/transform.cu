/* The transforms of an image as bytes (worker/augment.c's on the host): a block an image, its threads loop over pixels.  The
 * image goes from one step to the next in place; where pixels move it comes from `moved`. */

#include "worker/augment_color.h"

struct planes { /* of the block's image */
	uint8_t *at; /* (3, size, size) */
	uint32_t size, pixels;
};

#define EACH_PIXEL(i, p) for (uint32_t i = threadIdx.x; i < (p)->pixels; i += blockDim.x)

/* What the block knows of its image before the first pixel. */
struct transform_plan {
	struct sample sample;
	struct jitter_draw jitter;
	struct trivial_draw trivial;
};

DEVICE struct transform_plan transform_plan_of(const struct batch_source *s, uint32_t i)
{
	struct transform_plan p;
	p.sample = sample_of(s, i);
	p.trivial = trivial_draw_none();
	if (s->draws && s->settings.trivial)
		p.trivial = trivial_draw(&p.sample.key);
	p.jitter = jitter_draw(&p.sample.key, &s->settings);
	return p;
}

DEVICE void place_pixels(const struct planes *to, const struct batch_source *s, const struct sample *sample)
{
	struct augment_settings settings = s->draws ? s->settings : augment_settings_test(s->settings.size);
	bool enlarge = settings.size != IMAGE_SIZE || settings.crop == CROP_RESIZED;
	EACH_PIXEL(i, to)
	{
		int y = (int)(i / to->size), x = (int)(i % to->size);
		struct resize_taps row = {0, 0, 0, 0}, col = {0, 0, 0, 0};
		if (enlarge) {
			row = enlarged_row(&settings, &sample->draw, y);
			col = enlarged_col(&settings, &sample->draw, x);
		}
		for (uint32_t c = 0; c < 3; c++) {
			const uint8_t *plane = sample->pixels + c * s->plane_pitch;
			to->at[c * to->pixels + i] = enlarge ? enlarged_byte(plane, row, col) :
							       cropped_byte(plane, &sample->draw, y, x);
		}
	}
	__syncthreads();
}

/* --- by a table a channel --- */

DEVICE void map_pixels(const struct planes *p, const uint8_t (*table)[256])
{
	__syncthreads();
	for (uint32_t c = 0; c < 3; c++)
		EACH_PIXEL(i, p)
			p->at[c * p->pixels + i] = table[c][p->at[c * p->pixels + i]];
	__syncthreads();
}

DEVICE void count_bytes(const struct planes *p, uint32_t (*histogram)[256])
{
	for (uint32_t i = threadIdx.x; i < 3 * 256; i += blockDim.x)
		histogram[i / 256][i % 256] = 0;
	__syncthreads();
	for (uint32_t c = 0; c < 3; c++)
		EACH_PIXEL(i, p)
			atomicAdd(&histogram[c][p->at[c * p->pixels + i]], 1);
	__syncthreads();
}

DEVICE void stretching_table(uint8_t *table, const uint32_t *histogram)
{
	int low = 0, high = 255;
	while (low < 255 && histogram[low] == 0)
		low++;
	while (high > 0 && histogram[high] == 0)
		high--;
	for (int b = 0; b < 256; b++)
		table[b] = contrast_stretched(b, low, high);
}

/* AutoContrast, Equalize */
DEVICE void spread_pixels(const struct planes *p, bool equalize)
{
	__shared__ uint32_t histogram[3][256];
	__shared__ uint8_t table[3][256];
	count_bytes(p, histogram);
	if (threadIdx.x < 3 && equalize)
		equalizing_table(table[threadIdx.x], histogram[threadIdx.x]);
	else if (threadIdx.x < 3)
		stretching_table(table[threadIdx.x], histogram[threadIdx.x]);
	map_pixels(p, table);
}

/* --- colour --- */

DEVICE uint8_t *channel_at(const struct planes *p, uint32_t c, uint32_t i)
{
	return &p->at[c * p->pixels + i];
}

/* int(mean gray + 0.5) of the image, the same in every thread */
DEVICE int gray_of_image(const struct planes *p)
{
	__shared__ uint32_t sum;
	uint32_t mine = 0;
	if (first_thread())
		sum = 0;
	__syncthreads();
	EACH_PIXEL(i, p)
		mine += (uint32_t)gray_of(*channel_at(p, 0, i), *channel_at(p, 1, i), *channel_at(p, 2, i));
	atomicAdd(&sum, mine);
	__syncthreads();
	int mean = mean_gray(sum, p->pixels);
	__syncthreads(); /* before the next one's sum */
	return mean;
}

DEVICE void jitter_pixels(const struct planes *p, int which, float factor)
{
	int degenerate = which == JITTER_CONTRAST ? gray_of_image(p) : 0, shift = hue_shift(which == JITTER_HUE ? factor : 0);
	EACH_PIXEL(i, p)
	{
		uint8_t *r = channel_at(p, 0, i), *g = channel_at(p, 1, i), *b = channel_at(p, 2, i);
		struct rgb now = {*r, *g, *b};
		if (which == JITTER_HUE) {
			now = hue_shifted(now, shift);
		} else {
			int from = which == JITTER_SATURATION ? gray_of(*r, *g, *b) : degenerate;
			now.r = blend(from, now.r, factor);
			now.g = blend(from, now.g, factor);
			now.b = blend(from, now.b, factor);
		}
		*r = now.r;
		*g = now.g;
		*b = now.b;
	}
	__syncthreads();
}

/* --- TrivialAugmentWide --- */

DEVICE void move_pixels(const struct planes *to, const struct planes *from, const struct affine *affine, float sharpness)
{
	for (uint32_t c = 0; c < 3; c++)
		EACH_PIXEL(i, to)
		{
			const uint8_t *plane = from->at + c * from->pixels;
			int y = (int)(i / to->size), x = (int)(i % to->size), size = (int)to->size;
			*channel_at(to, c, i) = affine ? affine_byte(plane, size, affine, y, x) :
							 sharpened(plane, size, y, x, sharpness);
		}
}

/* Posterize, Solarize */
DEVICE void cut_pixels(const struct planes *p, bool posterize, double magnitude)
{
	for (uint32_t c = 0; c < 3; c++)
		EACH_PIXEL(i, p)
		{
			uint8_t *byte = channel_at(p, c, i);
			*byte = posterize ? posterized(*byte, (int)magnitude) : solarized(*byte, solarize_threshold(magnitude));
		}
}

/* from: where the image is; to: where it is wanted, the same where no pixel moves. */
DEVICE void trivial_pixels(const struct planes *to, const struct planes *from, const struct affine_table *affines,
			   struct trivial_draw draw)
{
	double magnitude = trivial_magnitude(draw);
	float factor = (float)(1 + magnitude);
	const struct affine *affine =
		trivial_is_affine(draw.op) ? &affines->of[draw.op - TRIVIAL_SHEAR_X][draw.bin][draw.negative] : NULL;
	if (trivial_moves(draw.op))
		move_pixels(to, from, affine, factor);
	else if (draw.op == TRIVIAL_BRIGHTNESS)
		jitter_pixels(to, JITTER_BRIGHTNESS, factor);
	else if (draw.op == TRIVIAL_COLOR)
		jitter_pixels(to, JITTER_SATURATION, factor);
	else if (draw.op == TRIVIAL_CONTRAST)
		jitter_pixels(to, JITTER_CONTRAST, factor);
	else if (draw.op == TRIVIAL_POSTERIZE || draw.op == TRIVIAL_SOLARIZE)
		cut_pixels(to, draw.op == TRIVIAL_POSTERIZE, magnitude);
	else if (draw.op == TRIVIAL_AUTOCONTRAST || draw.op == TRIVIAL_EQUALIZE)
		spread_pixels(to, draw.op == TRIVIAL_EQUALIZE);
}

KERNEL(transform)
{
	__shared__ struct transform_plan plan;
	uint32_t size = (uint32_t)a.source.settings.size, pixels = size * size;
	size_t image = (size_t)blockIdx.x * 3 * pixels;
	struct planes out = {a.out + image, size, pixels}, moved = {a.moved + image, size, pixels};
	if (first_thread())
		plan = transform_plan_of(&a.source, blockIdx.x);
	__syncthreads();
	const struct planes *at = trivial_moves(plan.trivial.op) ? &moved : &out;
	place_pixels(at, &a.source, &plan.sample);
	for (int i = 0; a.source.draws && i < JITTERS; i++)
		if (augment_jitters(&a.source.settings) && a.source.settings.jitter[plan.jitter.order[i]] > 0)
			jitter_pixels(at, plan.jitter.order[i], plan.jitter.factor[plan.jitter.order[i]]);
	trivial_pixels(&out, at, a.affines, plan.trivial);
}
