/* The 8-bit transforms against torchvision's on PIL images, byte for byte (golden/transforms.json, made by transforms.py):
 * every colour operation and all of TrivialAugmentWide on images of 32 and 224 pixels, every crop, resizing; and whole
 * pipelines, whose draws transforms.py computes on its own. */
#include "golden.h"

#include "worker/augment.h"

#include <math.h>

static const char *const kinds[] = {"smooth", "gray", "noise", "faint", "two"};
enum { LARGE_KINDS = 2 }; /* the first ones also of 224 pixels */
static const char *const trivial_names[] = {"Identity",	  "ShearX",	"ShearY",   "TranslateX",   "TranslateY",
					    "Rotate",	  "Brightness", "Color",    "Contrast",	    "Sharpness",
					    "Posterize",  "Solarize",	"AutoContrast", "Equalize"};

struct image {
	const char *kind;
	int size;
	uint8_t *start, *planes; /* start: as it was */
};

static struct image image_new(const char *kind, int size)
{
	struct image m = {kind, size, golden_image(kind, size), xmalloc(augment_values(size))};
	return m;
}

static void image_free(struct image *m)
{
	free(m->start);
	free(m->planes);
}

static void image_reset(struct image *m)
{
	memcpy(m->planes, m->start, augment_values(m->size));
}

/* Planes against a digest of interleaved pixels. */
static void check(const uint8_t *planes, int size, const json_t *digest, const char *what)
{
	size_t plane = (size_t)(size * size);
	autofree uint8_t *pixels = xmalloc(3 * plane);
	char hex[65];
	for (size_t i = 0; i < plane; i++)
		for (size_t c = 0; c < 3; c++)
			pixels[3 * i + c] = planes[c * plane + i];
	sha256_hex(pixels, 3 * plane, hex);
	hex[16] = 0;
	if (!str_eq(hex, json_string_value(digest)))
		fail_msg("%s, %dx%d: not torchvision's", what, size, size);
}

static void check_image(const struct image *m, const json_t *digest, const char *what, double with)
{
	autofree char *text = xasprintf("%s %g of image '%s'", what, with, m->kind);
	check(m->planes, m->size, digest, text);
}

static const json_t *of_size(const json_t *g, const char *prefix, int size, const char *kind)
{
	autofree char *key = xasprintf("%s_%d", prefix, size);
	return golden_get(golden_get(g, key), kind);
}

static double number_at(const json_t *array, size_t i)
{
	return json_number_value(json_array_get(array, i));
}

/* --- colours --- */

static void check_jitter(struct image *m, const json_t *digests, const json_t *factors, const char *name, int which)
{
	const json_t *of = golden_get(digests, name);
	assert_int_equal(json_array_size(of), json_array_size(factors));
	for (size_t i = 0; i < json_array_size(factors); i++) {
		image_reset(m);
		planes_jitter(m->planes, m->size, which, (float)number_at(factors, i));
		check_image(m, json_array_get(of, i), name, number_at(factors, i));
	}
}

static void check_colours(const json_t *g, const char *kind, int size)
{
	const json_t *digests = of_size(g, "colours", size, kind), *factors = golden_get(g, "factors");
	struct image m = image_new(kind, size);
	check(m.start, size, of_size(g, "images", size, kind), kind);
	check_jitter(&m, digests, factors, "brightness", JITTER_BRIGHTNESS);
	check_jitter(&m, digests, factors, "contrast", JITTER_CONTRAST);
	check_jitter(&m, digests, factors, "saturation", JITTER_SATURATION);
	check_jitter(&m, digests, golden_get(g, "hues"), "hue", JITTER_HUE);
	for (size_t i = 0; i < json_array_size(factors); i++) {
		planes_sharpen(m.planes, m.start, size, (float)number_at(factors, i));
		check_image(&m, json_array_get(golden_get(digests, "sharpness"), i), "sharpness", number_at(factors, i));
	}
	image_free(&m);
}

static void test_colours(void **state)
{
	json_t *g = golden_load("transforms.json");
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		check_colours(g, kinds[k], 32);
		if (k < LARGE_KINDS)
			check_colours(g, kinds[k], 224);
	}
	json_decref(g);
}

/* --- TrivialAugmentWide --- */

static bool is_signed(int op)
{
	return op >= TRIVIAL_SHEAR_X && op <= TRIVIAL_SHARPNESS;
}

static void check_trivial(const json_t *digests, struct image *m, const struct affine_table *affines, int op, int step)
{
	const json_t *of = golden_get(digests, trivial_names[op]);
	autofree uint8_t *out = xmalloc(augment_values(m->size));
	size_t i = 0;
	for (int bin = 0; bin < TRIVIAL_BINS; bin += step)
		for (int negative = 0; negative <= is_signed(op); negative++) {
			struct trivial_draw draw = {op, bin, negative};
			autofree char *what = xasprintf("%s, bin %d, %s, of image '%s'", trivial_names[op], bin,
							negative ? "-" : "+", m->kind);
			image_reset(m);
			uint8_t *result = trivial_moves(op) ? out : m->planes;
			planes_trivial(result, m->planes, m->size, affines, draw);
			check(result, m->size, json_array_get(of, i++), what);
		}
	assert_int_equal(i, json_array_size(of));
}

static void test_trivial_augment_wide(void **state)
{
	json_t *g = golden_load("transforms.json");
	for (int size = 32; size <= 224; size += 192) {
		struct affine_table affines;
		affine_table_fill(&affines, size);
		for (size_t k = 0; k < (size == 32 ? ARRAY_LEN(kinds) : LARGE_KINDS); k++) {
			struct image m = image_new(kinds[k], size);
			const json_t *digests = of_size(g, "trivial", size, kinds[k]);
			assert_int_equal(json_object_size(digests), TRIVIAL_OPS);
			for (int op = 0; op < TRIVIAL_OPS; op++)
				check_trivial(digests, &m, &affines, op, size == 32 ? 1 : 10);
			image_free(&m);
		}
	}
	json_decref(g);
}

static void test_magnitudes(void **state)
{
	json_t *g = golden_load("transforms.json");
	static const int with[] = {TRIVIAL_SHEAR_X, TRIVIAL_TRANSLATE_Y, TRIVIAL_ROTATE, TRIVIAL_BRIGHTNESS, TRIVIAL_SHARPNESS,
				   TRIVIAL_POSTERIZE, TRIVIAL_SOLARIZE};
	for (size_t k = 0; k < ARRAY_LEN(with); k++)
		for (int bin = 0; bin < TRIVIAL_BINS; bin++) {
			const json_t *of = golden_get(golden_get(g, "magnitudes"), trivial_names[with[k]]);
			struct trivial_draw draw = {with[k], bin, false};
			assert_true(trivial_magnitude(draw) == number_at(of, (size_t)bin));
		}
	json_decref(g);
}

/* --- whole pipelines --- */

static struct augment_settings settings_of(const json_t *pipeline)
{
	struct augment_settings s = {
		.size = (int32_t)json_integer_value(golden_get(pipeline, "size")),
		.crop = str_eq(json_string_value(golden_get(pipeline, "crop")), "resized") ? CROP_RESIZED : CROP_RANDOM,
		.flip = true,
		.trivial = json_is_true(golden_get(pipeline, "trivial")),
		.crop_scale = 0.08f,
		.erasing = (float)json_number_value(golden_get(pipeline, "erasing")),
		.cutout = (int32_t)json_integer_value(golden_get(pipeline, "cutout")),
	};
	for (size_t i = 0; i < JITTERS; i++)
		s.jitter[i] = (float)number_at(golden_get(pipeline, "jitter"), i);
	return s;
}

static void check_pipeline(const json_t *pipeline)
{
	struct augment_settings s = settings_of(pipeline);
	autofree uint8_t *pixels = golden_image("smooth", 32);
	struct image_set set = {.pixels = pixels, .plane_pitch = IMAGE_PLANE, .count = 1}; /* every index is the one image */
	autofree float *out = xmalloc(augment_values(s.size) * sizeof(float));
	const json_t *digests = golden_get(pipeline, "digests");
	struct augmenter a;
	augmenter_init(&a, &s, (float[]){.5071f, .4867f, .4408f}, (float[]){.2675f, .2565f, .2761f});
	for (size_t sample = 0; sample < json_array_size(digests); sample++) {
		struct sample_key key = {0x123456789abcdef, (uint32_t)sample, 3};
		char hex[65];
		augment_sample(&a, out, &set, sample, &key);
		sha256_hex(out, augment_values(s.size) * sizeof(float), hex);
		hex[16] = 0;
		if (!str_eq(hex, json_string_value(json_array_get(digests, sample))))
			fail_msg("sample %zu at size %d is not torchvision's", sample, s.size);
	}
	augmenter_fini(&a);
}

static void test_pipelines(void **state)
{
	json_t *g = golden_load("transforms.json");
	const json_t *pipelines = golden_get(g, "pipelines");
	assert_true(json_array_size(pipelines) == 5);
	for (size_t i = 0; i < json_array_size(pipelines); i++)
		check_pipeline(json_array_get(pipelines, i));
	json_decref(g);
}

/* --- place --- */

/* The image after the draw: settings of one crop. */
static void check_place(const struct augment_settings *s, const char *kind, const struct augment_draw *draw,
			const json_t *digest, const char *what)
{
	autofree uint8_t *pixels = golden_image(kind, 32), *out = xmalloc(augment_values(s->size));
	struct image_set set = {.pixels = pixels, .plane_pitch = IMAGE_PLANE, .count = 1};
	struct augmenter a;
	augmenter_init(&a, s, (float[3]){0}, (float[]){1, 1, 1});
	augment_place(&a, s, out, &set, 0, draw);
	check(out, s->size, digest, what);
	augmenter_fini(&a);
}

static void check_crops(const json_t *places, const char *kind)
{
	struct augment_settings s = augment_settings_test(32);
	const json_t *of = golden_get(places, "crop");
	for (int i = 0; i < 9 * 9 * 2; i++) {
		struct augment_draw draw = augment_draw_none(32);
		draw.row = i / 18;
		draw.col = i / 2 % 9;
		draw.flip = i % 2;
		check_place(&s, kind, &draw, json_array_get(of, (size_t)i), "crop");
	}
}

static void check_resized(const json_t *g, const json_t *places, const char *kind, int size)
{
	struct augment_settings s = augment_settings_test(size);
	autofree char *key = xasprintf("resized_%d", size);
	const json_t *of = golden_get(places, key), *boxes = golden_get(g, "boxes");
	s.crop = CROP_RESIZED;
	assert_int_equal(json_array_size(of), 2 * json_array_size(boxes));
	for (size_t i = 0; i < json_array_size(of); i++) {
		const json_t *box = json_array_get(boxes, i / 2);
		struct augment_draw draw = {0, 0, i % 2, (int)number_at(box, 0), (int)number_at(box, 1),
					    (int)number_at(box, 2), (int)number_at(box, 3)};
		autofree char *what = xasprintf("box %zu resized", i / 2);
		check_place(&s, kind, &draw, json_array_get(of, i), what);
	}
}

/* Resize(size * 8 / 7), then a crop. */
static void check_large(const json_t *places, const char *kind, int size)
{
	struct augment_settings s = augment_settings_test(size);
	struct augment_draw draw = augment_draw_none(size);
	autofree char *centre = xasprintf("centre_%d", size), *large = xasprintf("large_%d", size);
	int slack = size / 7, corners[4][2] = {{0, 0}, {slack, 0}, {1, slack}, {3, 5}};
	check_place(&s, kind, &draw, golden_get(places, centre), "centre crop");
	for (size_t i = 0; i < 4; i++) {
		draw.row = corners[i][0];
		draw.col = corners[i][1];
		check_place(&s, kind, &draw, json_array_get(golden_get(places, large), i), "crop of the enlarged image");
	}
}

static void test_places(void **state)
{
	json_t *g = golden_load("transforms.json");
	static const char *const of[] = {"smooth", "noise"};
	for (size_t k = 0; k < ARRAY_LEN(of); k++) {
		const json_t *places = golden_get(golden_get(g, "places"), of[k]);
		check_crops(places, of[k]);
		check_resized(g, places, of[k], 32);
		check_resized(g, places, of[k], 64);
		check_resized(g, places, of[k], 224);
		check_large(places, of[k], 64);
		check_large(places, of[k], 224);
	}
	json_decref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),		      cmocka_unit_test(test_colours), cmocka_unit_test(test_magnitudes),
		cmocka_unit_test(test_trivial_augment_wide), cmocka_unit_test(test_pipelines),
	};
	return cmocka_run_group_tests_name("augment-pillow", tests, NULL, NULL);
}
