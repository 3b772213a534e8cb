/* IHDR, PLTE, tRNS where not all is opaque, one IDAT, IEND; see png.h. */
#include "png.h"

#include <zlib.h>

struct bytes {
	uint8_t *at;
	size_t n;
};

static void put(struct bytes *b, const void *bytes, size_t n)
{
	b->at = xrealloc_array(b->at, b->n + n, 1);
	memcpy(b->at + b->n, bytes, n);
	b->n += n;
}

static void put_u32(struct bytes *b, uint32_t v)
{
	put(b, (const uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static void put_chunk(struct bytes *b, const char *type, const void *data, size_t n)
{
	put_u32(b, (uint32_t)n);
	size_t start = b->n;
	put(b, type, 4);
	put(b, data, n);
	put_u32(b, (uint32_t)crc32(0, b->at + start, (uInt)(b->n - start)));
}

/* Each row is preceded by its filter, 0: none. */
static void put_pixels(struct bytes *b, const uint8_t *pixels, size_t width, size_t height, bool half)
{
	size_t line = 1 + (half ? (width + 1) / 2 : width);
	uLong plain = (uLong)(height * line);
	uLongf size = compressBound(plain);
	autofree uint8_t *rows = xcalloc(height, line), *packed = xmalloc(size);
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			uint8_t pixel = pixels[y * width + x];
			rows[y * line + 1 + (half ? x / 2 : x)] |= (uint8_t)(half && x % 2 == 0 ? pixel << 4 : pixel);
		}
	INVARIANT(compress2(packed, &size, rows, plain, Z_BEST_COMPRESSION) == Z_OK, "compress2");
	put_chunk(b, "IDAT", packed, size);
}

char *png_indexed(const uint8_t *pixels, size_t width, size_t height, const struct png_color *colors, const uint8_t *alpha,
		  size_t n_colors, size_t *ret_size)
{
	bool half = n_colors <= 16;
	struct bytes b = {0}, head = {0};
	INVARIANT(width && height && n_colors && n_colors <= 256, "a picture of %zu x %zu, %zu colors", width, height, n_colors);
	put_u32(&head, (uint32_t)width);
	put_u32(&head, (uint32_t)height);
	put(&head, (const uint8_t[]){half ? 4 : 8, 3, 0, 0, 0}, 5); /* bits, a palette, deflate, its filters, not interlaced */
	put(&b, "\x89PNG\r\n\x1a\n", 8);
	put_chunk(&b, "IHDR", head.at, head.n);
	put_chunk(&b, "PLTE", colors, n_colors * sizeof(*colors));
	if (alpha)
		put_chunk(&b, "tRNS", alpha, n_colors);
	put_pixels(&b, pixels, width, height, half);
	put_chunk(&b, "IEND", "", 0);
	free(head.at);
	*ret_size = b.n;
	return (char *)b.at;
}
