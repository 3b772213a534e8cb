/* See augment.h.  Compiled without fused multiply-add, so that every machine computes the same bits. */
#include "augment.h"

#include "augment_color.h"
#include "augment_place.h"

/* Loops over pixels, in the widest vectors that the processor has; the bits are the same. */
#define CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))

static size_t plane_of(int size)
{
	return (size_t)size * (size_t)size;
}

void image_bytes(uint8_t *out, const struct image_set *set, size_t index)
{
	for (size_t c = 0; c < 3; c++)
		memcpy(out + c * IMAGE_PLANE, image_plane(set, index, c), IMAGE_PLANE);
}

/* --- by a table --- */

static void map_bytes(uint8_t *restrict bytes, size_t n, const uint8_t *restrict table)
{
#pragma GCC unroll 8
	for (size_t i = 0; i < n; i++)
		bytes[i] = table[bytes[i]];
}

static void planes_map(uint8_t *planes, int size, uint8_t table[3][256])
{
	for (size_t c = 0; c < 3; c++)
		map_bytes(planes + c * plane_of(size), plane_of(size), table[c]);
}

static void planes_blend(uint8_t *planes, int size, int degenerate, float factor)
{
	uint8_t table[256];
	for (int b = 0; b < 256; b++)
		table[b] = blend(degenerate, b, factor);
	map_bytes(planes, augment_values(size), table);
}

CLONES static void posterize(uint8_t *bytes, size_t n, int bits)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = posterized(bytes[i], bits);
}

CLONES static void solarize(uint8_t *bytes, size_t n, int threshold)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = solarized(bytes[i], threshold);
}

CLONES static void byte_range(const uint8_t *plane, size_t n, uint8_t *ret_low, uint8_t *ret_high)
{
	uint8_t low = 255, high = 0;
	for (size_t i = 0; i < n; i++) {
		low = MIN(low, plane[i]);
		high = MAX(high, plane[i]);
	}
	*ret_low = low;
	*ret_high = high;
}

static void planes_autocontrast(uint8_t *planes, int size)
{
	uint8_t table[3][256];
	for (int c = 0; c < 3; c++) {
		uint8_t low, high;
		byte_range(planes + (size_t)c * plane_of(size), plane_of(size), &low, &high);
		for (int b = 0; b < 256; b++)
			table[c][b] = contrast_stretched(b, low, high);
	}
	planes_map(planes, size, table);
}

static void planes_equalize(uint8_t *planes, int size)
{
	uint8_t table[3][256];
	for (int c = 0; c < 3; c++) {
		const uint8_t *plane = planes + (size_t)c * plane_of(size);
		uint32_t histogram[256] = {0};
		for (size_t i = 0; i < plane_of(size); i++)
			histogram[plane[i]]++;
		equalizing_table(table[c], histogram);
	}
	planes_map(planes, size, table);
}

/* --- colour --- */

CLONES static uint32_t gray_sum(const uint8_t *r, const uint8_t *g, const uint8_t *b, size_t n)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)gray_of(r[i], g[i], b[i]);
	return sum;
}

CLONES static void saturate(uint8_t *restrict r, uint8_t *restrict g, uint8_t *restrict b, size_t n, float factor)
{
	for (size_t i = 0; i < n; i++) {
		int gray = gray_of(r[i], g[i], b[i]);
		r[i] = blend(gray, r[i], factor);
		g[i] = blend(gray, g[i], factor);
		b[i] = blend(gray, b[i], factor);
	}
}

CLONES static void shift_hue(uint8_t *restrict r, uint8_t *restrict g, uint8_t *restrict b, size_t n, int shift)
{
	for (size_t i = 0; i < n; i++) {
		struct rgb p = hue_shifted((struct rgb){r[i], g[i], b[i]}, shift);
		r[i] = p.r;
		g[i] = p.g;
		b[i] = p.b;
	}
}

void planes_jitter(uint8_t *planes, int size, int which, float factor)
{
	size_t n = plane_of(size);
	uint8_t *g = planes + n, *b = g + n;
	if (which == JITTER_BRIGHTNESS)
		planes_blend(planes, size, 0, factor);
	else if (which == JITTER_CONTRAST)
		planes_blend(planes, size, mean_gray(gray_sum(planes, g, b, n), (uint32_t)n), factor);
	else if (which == JITTER_SATURATION)
		saturate(planes, g, b, n, factor);
	else
		shift_hue(planes, g, b, n, hue_shift(factor));
}

CLONES static void sharpen_row(uint8_t *restrict out, const uint8_t *restrict row, int size, float factor)
{
	for (int x = 1; x < size - 1; x++)
		out[x] = blend(smooth(row + x, size), row[x], factor);
}

void planes_sharpen(uint8_t *out, const uint8_t *planes, int size, float factor)
{
	memcpy(out, planes, augment_values(size));
	for (size_t c = 0; c < 3; c++)
		for (int y = 1; y < size - 1; y++) {
			size_t row = c * plane_of(size) + (size_t)(y * size);
			sharpen_row(out + row, planes + row, size, factor);
		}
}

/* --- place --- */

/* Of part of row y: where each pixel comes from, and whether (0xff) or from outside (0, and a place inside). */
CLONES static void affine_places(int32_t *restrict from, uint8_t *restrict inside, const struct affine *affine, int size, int y,
				 int x, int n)
{
	for (int i = 0; i < n; i++) {
		from[i] = affine_place(affine, size, y, x + i);
		inside[i] = from[i] < 0 ? 0 : 0xff;
		from[i] = MAX(from[i], 0);
	}
}

static void planes_affine(uint8_t *out, const uint8_t *planes, int size, const struct affine *affine)
{
	enum { AT_ONCE = 64 };
	int32_t from[AT_ONCE];
	uint8_t inside[AT_ONCE];
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x += AT_ONCE) {
			int n = MIN(size - x, AT_ONCE);
			affine_places(from, inside, affine, size, y, x, n);
			for (size_t c = 0; c < 3; c++) {
				const uint8_t *plane = planes + c * plane_of(size);
				uint8_t *row = out + c * plane_of(size) + (size_t)(y * size + x);
#pragma GCC unroll 8
				for (int i = 0; i < n; i++)
					row[i] = plane[from[i]] & inside[i];
			}
		}
}

void affine_table_fill(struct affine_table *table, int size)
{
	for (int kind = 0; kind < AFFINE_KINDS; kind++)
		for (int bin = 0; bin < TRIVIAL_BINS; bin++)
			for (int negative = 0; negative < 2; negative++) {
				struct trivial_draw draw = {TRIVIAL_SHEAR_X + kind, bin, negative};
				table->of[kind][bin][negative] =
					affine_of((enum affine_kind)kind, trivial_magnitude(draw), size);
			}
}

/* Size 32.  plane: (32, 32) of the image. */
static void crop_plane(uint8_t *out, const uint8_t *plane, const struct augment_draw *draw)
{
	int left = MAX(0, CROP_PADDING - draw->col), right = MIN(IMAGE_SIZE, IMAGE_SIZE + CROP_PADDING - draw->col);
	for (int y = 0; y < IMAGE_SIZE; y++, out += IMAGE_SIZE) {
		int row = crop_source_row(draw, y);
		memset(out, 0, IMAGE_SIZE);
		if (row < 0 || row >= IMAGE_SIZE)
			continue;
		const uint8_t *from = plane + row * IMAGE_SIZE + draw->col - CROP_PADDING;
		if (!draw->flip)
			memcpy(out + left, from + left, (size_t)(right - left));
		for (int x = left; draw->flip && x < right; x++)
			out[IMAGE_SIZE - 1 - x] = from[x];
	}
}

CLONES static void resize_rows(uint8_t *restrict out, const uint8_t *restrict upper, const uint8_t *restrict lower, int n,
			       struct resize_taps taps)
{
	for (int x = 0; x < n; x++)
		out[x] = resize_value(taps, upper[x], lower[x]);
}

/* The horizontal pass of one plane: from (32, 32) to (32, size) of which only the rows that are needed are made. */
static void enlarge_columns(const struct augment_settings *s, uint8_t *to, const uint8_t *plane,
			    const struct augment_draw *draw)
{
	int size = s->size, end = draw->top + draw->height;
	for (int x = 0; x < size; x++) {
		struct resize_taps taps = enlarged_col(s, draw, x);
		for (int y = draw->top; y < end; y++)
			to[y * size + x] = resize_value(taps, plane[y * IMAGE_SIZE + taps.first],
							plane[y * IMAGE_SIZE + taps.second]);
	}
}

static void enlarge_plane(const struct augment_settings *s, uint8_t *out, uint8_t *columns, const uint8_t *plane,
			  const struct augment_draw *draw)
{
	int size = s->size;
	enlarge_columns(s, columns, plane, draw);
	for (int y = 0; y < size; y++) {
		struct resize_taps taps = enlarged_row(s, draw, y);
		resize_rows(out + y * size, columns + taps.first * size, columns + taps.second * size, size, taps);
	}
}

void planes_trivial(uint8_t *out, uint8_t *planes, int size, const struct affine_table *affines, struct trivial_draw draw)
{
	double magnitude = trivial_magnitude(draw);
	float factor = (float)(1 + magnitude);
	if (trivial_is_affine(draw.op))
		planes_affine(out, planes, size, &affines->of[draw.op - TRIVIAL_SHEAR_X][draw.bin][draw.negative]);
	else if (draw.op == TRIVIAL_SHARPNESS)
		planes_sharpen(out, planes, size, factor);
	else if (draw.op == TRIVIAL_BRIGHTNESS)
		planes_jitter(planes, size, JITTER_BRIGHTNESS, factor);
	else if (draw.op == TRIVIAL_COLOR)
		planes_jitter(planes, size, JITTER_SATURATION, factor);
	else if (draw.op == TRIVIAL_CONTRAST)
		planes_jitter(planes, size, JITTER_CONTRAST, factor);
	else if (draw.op == TRIVIAL_POSTERIZE)
		posterize(planes, augment_values(size), (int)magnitude);
	else if (draw.op == TRIVIAL_SOLARIZE)
		solarize(planes, augment_values(size), solarize_threshold(magnitude));
	else if (draw.op == TRIVIAL_AUTOCONTRAST)
		planes_autocontrast(planes, size);
	else if (draw.op == TRIVIAL_EQUALIZE)
		planes_equalize(planes, size);
}

/* --- all of them --- */

void augmenter_init(struct augmenter *a, const struct augment_settings *settings, const float mean[3], const float std[3])
{
	*a = (struct augmenter){.settings = *settings};
	memcpy(a->mean, mean, sizeof(a->mean));
	memcpy(a->std, std, sizeof(a->std));
	a->bytes = xcalloc(augment_values(settings->size), 1);
	a->moved = xcalloc(augment_values(settings->size), 1);
	a->columns = xcalloc((size_t)(IMAGE_SIZE * settings->size), 1);
	if (settings->trivial) {
		a->affines = xcalloc(1, sizeof(*a->affines));
		affine_table_fill(a->affines, settings->size);
	}
}

void augmenter_fini(struct augmenter *a)
{
	free(a->bytes);
	free(a->moved);
	free(a->columns);
	free(a->affines);
}

void augment_place(const struct augmenter *a, const struct augment_settings *s, uint8_t *out, const struct image_set *set,
		   size_t index, const struct augment_draw *draw)
{
	size_t plane = plane_of(s->size);
	bool enlarge = s->size != IMAGE_SIZE || s->crop == CROP_RESIZED;
	for (size_t c = 0; c < 3; c++) {
		const uint8_t *from = image_plane(set, index, c);
		if (c > 0 && set->plane_pitch == 0)
			memcpy(out + c * plane, out, plane);
		else if (enlarge)
			enlarge_plane(s, out + c * plane, a->columns, from, draw);
		else
			crop_plane(out + c * plane, from, draw);
	}
}

static void jitter(const struct augmenter *a, uint8_t *planes, const struct sample_key *key)
{
	struct jitter_draw draw = jitter_draw(key, &a->settings);
	for (int i = 0; i < JITTERS; i++)
		if (a->settings.jitter[draw.order[i]] > 0)
			planes_jitter(planes, a->settings.size, draw.order[i], draw.factor[draw.order[i]]);
}

void augment_bytes(struct augmenter *a, uint8_t *out, const struct image_set *set, size_t index, const struct sample_key *key)
{
	const struct augment_settings test = augment_settings_test(a->settings.size), *s = key ? &a->settings : &test;
	struct augment_draw draw = key ? augment_draw(key, s) : augment_draw_none(s->size);
	struct trivial_draw op = s->trivial ? trivial_draw(key) : trivial_draw_none();
	uint8_t *planes = trivial_moves(op.op) ? a->moved : out;
	augment_place(a, s, planes, set, index, &draw);
	if (augment_jitters(s))
		jitter(a, planes, key);
	planes_trivial(out, planes, s->size, a->affines, op);
}

static void erase(float *out, int size, const struct box *box)
{
	for (int c = 0; c < 3; c++)
		for (int y = box->y1; y < box->y2; y++)
			for (int x = box->x1; x < box->x2; x++)
				out[(c * size + y) * size + x] = 0;
}

CLONES static void normalize(float *restrict out, const uint8_t *restrict bytes, size_t n, float mean, float std)
{
	for (size_t i = 0; i < n; i++)
		out[i] = normalize_value((float)bytes[i], mean, std);
}

void augment_sample(struct augmenter *a, float *out, const struct image_set *set, size_t index, const struct sample_key *key)
{
	int size = a->settings.size;
	size_t plane = plane_of(size);
	augment_bytes(a, a->bytes, set, index, key);
	for (size_t c = 0; c < 3; c++)
		normalize(out + c * plane, a->bytes + c * plane, plane, a->mean[c], a->std[c]);
	if (!key)
		return;
	struct erase_draw draw = erase_draw(key, &a->settings);
	for (int i = 0; i < ERASE_BOXES; i++)
		erase(out, size, &draw.boxes[i]);
}

void epoch_order(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch)
{
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n; i > 1; i--) {
		struct philox r = philox4x32(seed, (uint32_t)i, epoch, RNG_ORDER, 0);
		uint32_t j = rng_below(r.v[0], (uint32_t)i);
		uint32_t last = order[i - 1];
		order[i - 1] = order[j];
		order[j] = last;
	}
}
