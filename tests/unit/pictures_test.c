#include "cmocka_all.h"

#include "forward/pictures.h"

#include <math.h>
#include <zlib.h>

static uint32_t u32(const char *at)
{
	const unsigned char *b = (const unsigned char *)at;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

#define LINE (1 + 920 / 2) /* its filter; two pixels a byte */

/* Walks the chunks, checks their sums, unpacks the pixels. */
static unsigned char *unpack(const char *png, size_t size)
{
	static const char *const order[] = {"IHDR", "PLTE", "IDAT", "IEND"};
	size_t at = 8, chunk = 0;
	uLongf n = 360 * LINE;
	unsigned char *pixels = xcalloc(n, 1);
	assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
	while (at < size) {
		uint32_t length = u32(png + at);
		assert_true(chunk < ARRAY_LEN(order) && at + 12 + length <= size);
		assert_memory_equal(png + at + 4, order[chunk], 4);
		assert_int_equal(u32(png + at + 8 + length), crc32(0, (const Bytef *)png + at + 4, length + 4));
		if (chunk == 0) {
			assert_int_equal(u32(png + at + 8), 920);
			assert_int_equal(u32(png + at + 12), 360);
		}
		if (chunk == 2)
			assert_int_equal(uncompress(pixels, &n, (const Bytef *)png + at + 8, length), Z_OK);
		at += 12 + length;
		chunk++;
	}
	assert_int_equal(chunk, 4);
	assert_int_equal(n, 360 * LINE);
	return pixels;
}

static size_t count(const unsigned char *pixels, unsigned char color, int from, int to)
{
	size_t n = 0;
	for (int y = 40; y < 325; y++) /* without the legend */
		for (int x = from; x < to; x++)
			n += (pixels[y * LINE + 1 + x / 2] >> (x % 2 ? 0 : 4) & 15) == color;
	return n;
}

static void test_curves(void **state)
{
	static struct curves c;
	size_t size;
	assert_null(curves_png(&c, &size));
	for (int64_t epoch = 1; epoch <= 10; epoch++) {
		double odd = epoch == 5 ? NAN : 3.0 / (double)epoch;
		curves_add(&c, epoch, (const double[]){odd, odd + 0.1, 50.0 + (double)epoch, INFINITY});
	}
	autofree char *png = curves_png(&c, &size);
	assert_non_null(png);
	autofree unsigned char *pixels = unpack(png, size);
	assert_true(count(pixels, 3, 0, 460) > 300 && count(pixels, 4, 0, 460) > 300); /* loss: both */
	assert_true(count(pixels, 3, 460, 920) > 300); /* accuracy: of training alone */
	assert_int_equal(count(pixels, 4, 460, 920), 0);
	if (getenv("PICTURE")) {
		autofile FILE *f = fopen(getenv("PICTURE"), "wb");
		fwrite(png, 1, size, f);
	}
}

static void test_extremes(void **state)
{
	static const double values[][2] = {{0, 0}, {1e300, -1e300}, {1e-300, 2e-300}, {5, 5}, {NAN, 3}};
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		size_t size;
		autofree struct curves *c = xcalloc(1, sizeof(*c));
		for (int k = 0; k < 2; k++)
			curves_add(c, k + 1, (const double[]){values[i][k], values[i][k], NAN, NAN});
		autofree char *png = curves_png(c, &size);
		assert_non_null(png);
		free(unpack(png, size));
	}
	size_t size;
	static struct curves none;
	curves_add(&none, 1, (const double[]){NAN, NAN, NAN, NAN});
	assert_null(curves_png(&none, &size));
}

static void test_many_epochs(void **state)
{
	autofree struct curves *c = xcalloc(1, sizeof(*c));
	for (int64_t epoch = 1; epoch <= 100000; epoch++)
		curves_add(c, epoch, (const double[]){(double)epoch, 1, 2, 3});
	assert_true(c->n > CURVE_POINTS_MAX / 3 && c->n <= CURVE_POINTS_MAX);
	for (size_t i = 1; i < c->n; i++)
		assert_int_equal(c->epoch[i] - c->epoch[i - 1], c->stride);
	assert_true(c->epoch[c->n - 1] > 100000 - c->stride);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_curves),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_many_epochs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
