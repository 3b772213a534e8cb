/* PNG (ISO/IEC 15948): IHDR, PLTE, tRNS, one IDAT of stored deflate blocks (RFC 1950, 1951), IEND; see png.h. */
#include "ctl/png.h"

#define STORED_MAX 65535 /* bytes of a stored block */

struct bytes {
	uint8_t *at;
	size_t n, room;
};

static void put(struct bytes *b, const void *bytes, size_t n)
{
	if (b->n + n > b->room) {
		b->room = 2 * (b->n + n);
		b->at = xrealloc_array(b->at, b->room, 1);
	}
	memcpy(b->at + b->n, bytes, n);
	b->n += n;
}

static void put_u32(struct bytes *b, uint32_t v)
{
	put(b, (const uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static uint32_t crc_of(const uint8_t *at, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
	}
	return ~crc;
}

static uint32_t adler_of(const uint8_t *at, size_t n)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < n; i++) {
		a = (a + at[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

static void put_chunk(struct bytes *b, const char *type, const void *data, size_t n)
{
	put_u32(b, (uint32_t)n);
	size_t start = b->n;
	put(b, type, 4);
	put(b, data, n);
	put_u32(b, crc_of(b->at + start, b->n - start));
}

/* Each row: filter 0, then two pixels a byte. */
static void put_rows(struct bytes *b, const uint8_t *pixels, size_t width, size_t height)
{
	for (size_t y = 0; y < height; y++, pixels += width) {
		put(b, "", 1);
		for (size_t x = 0; x < width; x += 2) {
			unsigned low = x + 1 < width ? pixels[x + 1] : 0;
			put(b, &(uint8_t){(uint8_t)((unsigned)pixels[x] << 4 | low)}, 1);
		}
	}
}

static void put_stored(struct bytes *b, const struct bytes *raw)
{
	put(b, "\x78\x01", 2);
	for (size_t at = 0, n; at < raw->n; at += n) {
		n = MIN(raw->n - at, (size_t)STORED_MAX);
		uint8_t low = (uint8_t)n, high = (uint8_t)(n >> 8);
		put(b, (const uint8_t[]){at + n == raw->n, low, high, (uint8_t)~low, (uint8_t)~high}, 5);
		put(b, raw->at + at, n);
	}
	put_u32(b, adler_of(raw->at, raw->n));
}

static char *data_url(const struct bytes *b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char head[] = "data:image/png;base64,";
	char *url = xmalloc(sizeof(head) + (b->n + 2) / 3 * 4), *to = stpcpy(url, head);

	for (size_t i = 0; i < b->n; i += 3) {
		size_t left = b->n - i;
		uint32_t v = (uint32_t)b->at[i] << 16 | (left > 1 ? (uint32_t)b->at[i + 1] << 8 : 0) |
			     (left > 2 ? b->at[i + 2] : 0u);
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[v & 63] : '=';
	}
	*to = 0;
	return url;
}

char *png_data_url(const uint8_t *pixels, size_t width, size_t height, const struct png_colour colours[PNG_COLOURS])
{
	struct bytes png = {0}, raw = {0}, packed = {0}, head = {0};
	uint8_t palette[3 * PNG_COLOURS], alpha[PNG_COLOURS];

	INVARIANT(width >= 1 && width <= PNG_SIDE_MAX && height >= 1 && height <= PNG_SIDE_MAX, "png of %zu x %zu",
		  width, height);
	for (size_t i = 0; i < PNG_COLOURS; i++) {
		palette[3 * i] = colours[i].r;
		palette[3 * i + 1] = colours[i].g;
		palette[3 * i + 2] = colours[i].b;
		alpha[i] = colours[i].a;
	}
	put_rows(&raw, pixels, width, height);
	put_stored(&packed, &raw);
	put_u32(&head, (uint32_t)width);
	put_u32(&head, (uint32_t)height);
	put(&head, "\4\3\0\0\0", 5); /* 4 bits, palette, deflate, filter method 0, not interlaced */
	put(&png, "\x89PNG\r\n\x1a\n", 8);
	put_chunk(&png, "IHDR", head.at, head.n);
	put_chunk(&png, "PLTE", palette, sizeof(palette));
	put_chunk(&png, "tRNS", alpha, sizeof(alpha));
	put_chunk(&png, "IDAT", packed.at, packed.n);
	put_chunk(&png, "IEND", "", 0);
	char *url = data_url(&png);
	free(png.at);
	free(raw.at);
	free(packed.at);
	free(head.at);
	return url;
}
