/* See wlog.h. */
#include "wlog.h"

#include "common/fs.h"

#include <unistd.h>
#include <zlib.h>

#define BUFFER (256 * 1024)

enum { CHUNK_FULL = 1, CHUNK_FIRST, CHUNK_MIDDLE, CHUNK_LAST };

static const uint8_t head[] = {':', 'W', '&', 'B', 0xE1, 0xBE, 0};

static int flush(struct wlog *l)
{
	int r = fs_write_all(l->fd, l->buf, l->used);
	l->used = 0;
	return r;
}

static int put(struct wlog *l, const void *bytes, size_t size)
{
	int r = l->used + size > BUFFER ? flush(l) : 0;
	if (r < 0)
		return r;
	memcpy(l->buf + l->used, bytes, size);
	l->used += size;
	l->offset += size;
	return 0;
}

void wlog_init(struct wlog *l, int fd)
{
	*l = (struct wlog){.fd = fd, .buf = xmalloc(BUFFER)};
	put(l, head, sizeof(head));
}

static int put_chunk(struct wlog *l, uint8_t type, const uint8_t *bytes, size_t size)
{
	uint32_t crc = (uint32_t)crc32(crc32(0, &type, 1), bytes, (uInt)size);
	uint8_t chunk[WLOG_CHUNK_HEAD] = {(uint8_t)crc,
					  (uint8_t)(crc >> 8),
					  (uint8_t)(crc >> 16),
					  (uint8_t)(crc >> 24),
					  (uint8_t)size,
					  (uint8_t)(size >> 8),
					  type};
	int r = put(l, chunk, sizeof(chunk));
	return r ? r : put(l, bytes, size);
}

int wlog_add(struct wlog *l, const void *record, size_t size)
{
	static const uint8_t zeros[WLOG_CHUNK_HEAD];
	const uint8_t *at = record;
	bool first = true;
	do {
		size_t left = WLOG_BLOCK - l->offset % WLOG_BLOCK;
		int r = left < WLOG_CHUNK_HEAD ? put(l, zeros, left) : 0;
		if (r < 0)
			return r;
		size_t room = (left < WLOG_CHUNK_HEAD ? WLOG_BLOCK : left) - WLOG_CHUNK_HEAD, n = MIN(size, room);
		bool last = n == size;
		r = put_chunk(l, first ? (last ? CHUNK_FULL : CHUNK_FIRST) : last ? CHUNK_LAST : CHUNK_MIDDLE, at, n);
		if (r < 0)
			return r;
		at += n;
		size -= n;
		first = false;
	} while (size > 0);
	return 0;
}

int wlog_sync(struct wlog *l)
{
	int r = flush(l);
	return r ? r : fsync(l->fd) < 0 ? -errno : 0;
}

void wlog_fini(struct wlog *l)
{
	close(l->fd);
	free(l->buf);
	*l = (struct wlog){.fd = -1};
}
