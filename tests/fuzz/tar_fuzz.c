/* libFuzzer: any bytes as a tar.  What it gives out must be names that stay inside and no more bytes than there are. */
#include "fuzz.h"

#include "forward/tar.h"

#define BUDGET 4096

struct bytes {
	const uint8_t *at;
	size_t left;
	size_t piece; /* at most so many at a time */
	size_t taken;
};

static ssize_t read_bytes(void *arg, void *into, size_t size, struct err *err)
{
	struct bytes *b = arg;
	size_t n = MIN(MIN(size, b->left), b->piece);
	memcpy(into, b->at, n);
	b->at += n;
	b->left -= n;
	b->taken += n;
	return (ssize_t)n;
}

static void check_name(const char *name)
{
	INVARIANT(*name && name[0] != '/' && strlen(name) < TAR_NAME_MAX, "a bad name got through");
	for (const char *part = name; *part;) {
		size_t size = strcspn(part, "/");
		INVARIANT(!(size == 2 && memcmp(part, "..", 2) == 0), "\"%s\" leads outside", name);
		part += size + (part[size] == '/');
	}
}

/* Gives every block a header's checksum: else hardly a changed header would be looked at. */
static void mend_sums(uint8_t *bytes, size_t size)
{
	for (; size >= 512; bytes += 512, size -= 512) {
		unsigned sum = 8 * ' ';
		for (size_t i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : bytes[i];
		if (sum > 8 * ' ')
			snprintf((char *)bytes + 148, 8, "%06o", sum & 0777777);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const size_t pieces[] = {SIZE_MAX, 512, 100, 1};
	struct tar_entry entry;
	struct err err;
	struct tar tar;
	if (!size)
		return 0;
	autofree uint8_t *copy = xmalloc(size);
	memcpy(copy, bytes + 1, size - 1);
	if (bytes[0] & 0x40)
		mend_sums(copy, size - 1);
	struct bytes b = {copy, size - 1, pieces[bytes[0] % ARRAY_LEN(pieces)], 0};
	int64_t given = 0;
	tar_init(&tar, read_bytes, &b, bytes[0] & 0x80 ? BUDGET : INT64_MAX);
	while (tar_next(&tar, &entry, &err) > 0) {
		char chunk[300];
		ssize_t n;
		check_name(entry.name);
		while (entry.bytes % 3 && (n = tar_bytes(&tar, chunk, sizeof(chunk), &err)) > 0)
			given += n; /* some are read, some passed over */
	}
	INVARIANT(!(bytes[0] & 0x80) || b.taken <= BUDGET + 1, "read on behind the budget");
	INVARIANT(given <= (int64_t)size, "more bytes than there are");
	return 0;
}
