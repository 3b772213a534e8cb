/* See zip.h. */
#include "zip.h"

#include "bytes.h"

#include <zlib.h>

#define END_SIZE       22
#define LOCATOR_SIZE   20
#define END64_SIZE     56
#define CENTRAL_SIZE   46
#define LOCAL_SIZE     30
#define ZIP64_EXTRA    1
#define IN_ZIP64       UINT32_MAX /* a size or place that stands in the ZIP64 extra field */
#define FLAG_ENCRYPTED 1u
#define MAX_ENTRIES    1000000

struct zip {
	struct zip_entry *entries; /* by place */
	const struct zip_entry **by_name;
	size_t n;
};

/* Of one opening. */
struct reader {
	const uint8_t *bytes;
	size_t size;
	size_t directory, directory_end; /* places of the central directory */
	uint64_t n;
	struct err *err;
};

static bool is_signature(const uint8_t *at, char a, char b)
{
	return at[0] == 'P' && at[1] == 'K' && at[2] == a && at[3] == b;
}

static int bad(const struct reader *r, const char *what)
{
	return err_set(r->err, -EBADMSG, "damaged zip archive: %s", what);
}

static int bad_entry(const struct reader *r, const struct zip_entry *e, const char *what)
{
	char name[100];
	return err_set(r->err, -EBADMSG, "damaged zip archive: entry %s %s",
		       printable_bytes(e->name, e->name_size, name, sizeof(name)), what);
}

/* --- the end records --- */

/* The ZIP64 end record, where there is one: its locator stands right before the other. */
static int find_end64(struct reader *r, size_t end, size_t *ret_end)
{
	if (end < LOCATOR_SIZE + END64_SIZE || !is_signature(r->bytes + end - LOCATOR_SIZE, 6, 7))
		return 0;
	uint64_t at = little_endian(r->bytes + end - LOCATOR_SIZE + 8, 8);
	if (at > end - LOCATOR_SIZE - END64_SIZE || !is_signature(r->bytes + at, 6, 6))
		return bad(r, "no ZIP64 end record where its locator says");
	const uint8_t *e = r->bytes + at;
	if (little_endian(e + 16, 4) || little_endian(e + 20, 4) ||
	    little_endian(e + 24, 8) != little_endian(e + 32, 8))
		return bad(r, "more than one disk");
	uint64_t size = little_endian(e + 40, 8), place = little_endian(e + 48, 8);
	if (place > at || size != at - place)
		return bad(r, "the central directory does not end at its end record");
	r->n = little_endian(e + 32, 8);
	r->directory = (size_t)place;
	r->directory_end = (size_t)at;
	*ret_end = (size_t)at;
	return 1;
}

static int find_end(struct reader *r)
{
	if (r->size < END_SIZE || !is_signature(r->bytes + r->size - END_SIZE, 5, 6))
		return bad(r, "no end record at its end: cut off?");
	size_t end = r->size - END_SIZE;
	const uint8_t *e = r->bytes + end;
	int found = find_end64(r, end, &end);
	if (found != 0)
		return found;
	if (little_endian(e + 4, 2) || little_endian(e + 6, 2) || little_endian(e + 8, 2) != little_endian(e + 10, 2))
		return bad(r, "more than one disk");
	uint64_t size = little_endian(e + 12, 4), place = little_endian(e + 16, 4);
	if (place > end || size != end - place)
		return bad(r, "the central directory does not end at its end record");
	r->n = little_endian(e + 10, 2);
	r->directory = (size_t)place;
	r->directory_end = end;
	return 0;
}

/* --- entries --- */

/* Replaces what stands in the ZIP64 extra field: size, stored size, place, in this order, each if it is left out. */
static int read_extra(const uint8_t *extra, size_t n, uint64_t *fields[3])
{
	while (n >= 4) {
		size_t id = little_endian(extra, 2), size = little_endian(extra + 2, 2);
		if (size > n - 4)
			return -EBADMSG;
		const uint8_t *at = extra + 4, *end = at + size;
		for (int i = 0; id == ZIP64_EXTRA && i < 3; i++) {
			if (*fields[i] != IN_ZIP64)
				continue;
			if (end - at < 8)
				return -EBADMSG;
			*fields[i] = little_endian(at, 8);
			at += 8;
		}
		extra += 4 + size;
		n -= 4 + size;
	}
	return n ? -EBADMSG : 0;
}

/* The local header says where the data begins; it must be of the same entry. */
static int find_data(const struct reader *r, struct zip_entry *e, uint64_t place)
{
	if (place > r->directory || r->directory - place < LOCAL_SIZE || !is_signature(r->bytes + place, 3, 4))
		return bad_entry(r, e, "has no local header where the directory says");
	const uint8_t *local = r->bytes + place;
	size_t room = r->directory - place - LOCAL_SIZE;
	size_t name_size = little_endian(local + 26, 2), extra = little_endian(local + 28, 2);
	if (little_endian(local + 8, 2) || name_size != e->name_size || name_size + extra > room ||
	    memcmp(local + LOCAL_SIZE, e->name, name_size) != 0)
		return bad_entry(r, e, "has another name or method in its local header");
	if (e->size > room - name_size - extra)
		return bad_entry(r, e, "reaches beyond the archive");
	e->data = local + LOCAL_SIZE + name_size + extra;
	return 0;
}

/* at: a record of the central directory with `room` bytes to its end.  ret_used: of the record. */
static int read_entry(const struct reader *r, const uint8_t *at, size_t room, struct zip_entry *e, size_t *ret_used)
{
	if (room < CENTRAL_SIZE || !is_signature(at, 1, 2))
		return bad(r, "the central directory holds something else");
	size_t name_size = little_endian(at + 28, 2), extra = little_endian(at + 30, 2),
	       comment = little_endian(at + 32, 2);
	uint64_t stored = little_endian(at + 20, 4), size = little_endian(at + 24, 4),
		 place = little_endian(at + 42, 4);
	if (name_size + extra + comment > room - CENTRAL_SIZE)
		return bad(r, "the central directory is cut off");
	e->name = (const char *)at + CENTRAL_SIZE;
	e->name_size = name_size;
	if (little_endian(at + 10, 2) != 0 || (little_endian(at + 8, 2) & FLAG_ENCRYPTED))
		return bad_entry(r, e, "is compressed or encrypted; torch.save() stores them as they are");
	if (read_extra(at + CENTRAL_SIZE + name_size, extra, (uint64_t *[]){&size, &stored, &place}) < 0)
		return bad_entry(r, e, "has a damaged extra field");
	if (size != stored || size > r->size)
		return bad_entry(r, e, "has impossible sizes");
	e->size = (size_t)size;
	e->crc = (uint32_t)little_endian(at + 16, 4);
	*ret_used = CENTRAL_SIZE + name_size + extra + comment;
	return find_data(r, e, place);
}

static int compare_names(const struct zip_entry *a, const char *name, size_t size)
{
	int c = memcmp(a->name, name, MIN(a->name_size, size));
	return c ? c : (a->name_size > size) - (a->name_size < size);
}

static int by_name(const void *a, const void *b)
{
	const struct zip_entry *const *x = a, *const *y = b;
	return compare_names(*x, (*y)->name, (*y)->name_size);
}

static int by_place(const void *a, const void *b)
{
	const struct zip_entry *x = a, *y = b;
	return (x->data > y->data) - (x->data < y->data);
}

static int check_apart(const struct reader *r, struct zip *z)
{
	qsort(z->entries, z->n, sizeof(*z->entries), by_place);
	z->by_name = xcalloc(z->n + 1, sizeof(struct zip_entry *));
	for (size_t i = 0; i < z->n; i++) {
		z->by_name[i] = &z->entries[i];
		if (i > 0 && z->entries[i - 1].data + z->entries[i - 1].size > z->entries[i].data)
			return bad_entry(r, &z->entries[i], "overlaps another one");
	}
	qsort(z->by_name, z->n, sizeof(struct zip_entry *), by_name);
	for (size_t i = 1; i < z->n; i++)
		if (by_name(&z->by_name[i - 1], &z->by_name[i]) == 0)
			return bad_entry(r, z->by_name[i], "is there twice");
	return 0;
}

/* After check_apart(): no byte is read twice. */
static int check_sums(const struct reader *r, const struct zip *z)
{
	for (size_t i = 0; i < z->n; i++) {
		const struct zip_entry *e = &z->entries[i];
		if (e->crc && crc32_z(0, e->data, e->size) != e->crc)
			return bad_entry(r, e, "is damaged: its CRC-32 is another");
	}
	return 0;
}

static int read_all(struct reader *r, struct zip *z)
{
	int code = find_end(r);
	if (code < 0)
		return code;
	size_t at = r->directory;
	if (r->n > MIN((r->directory_end - at) / CENTRAL_SIZE, (size_t)MAX_ENTRIES))
		return bad(r, "more entries than its central directory has room for");
	z->entries = xcalloc((size_t)r->n + 1, sizeof(*z->entries));
	for (; z->n < r->n; z->n++) {
		size_t used = 0;
		code = read_entry(r, r->bytes + at, r->directory_end - at, &z->entries[z->n], &used);
		if (code < 0)
			return code;
		at += used;
	}
	if (at != r->directory_end)
		return bad(r, "its central directory has other entries than its end record says");
	code = check_apart(r, z);
	return code < 0 ? code : check_sums(r, z);
}

int zip_open(struct zip **ret, const uint8_t *bytes, size_t size, struct err *err)
{
	struct reader r = {.bytes = bytes, .size = size, .err = err};
	struct zip *z = xcalloc(1, sizeof(*z));
	int code = read_all(&r, z);
	if (code < 0)
		zip_close(z);
	else
		*ret = z;
	return code;
}

size_t zip_count(const struct zip *z)
{
	return z->n;
}

const struct zip_entry *zip_at(const struct zip *z, size_t i)
{
	return &z->entries[i];
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
	size_t low = 0, high = z->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare_names(z->by_name[middle], name, strlen(name));
		if (c == 0)
			return z->by_name[middle];
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void zip_close(struct zip *z)
{
	if (!z)
		return;
	free(z->entries);
	free(z->by_name);
	free(z);
}
