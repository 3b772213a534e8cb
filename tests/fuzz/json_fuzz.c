/* libFuzzer: any bytes through the line cutter and the JSON reader, as they come from a socket or an event file.  What
 * parses prints as one line, and reads back as the same value; the quick reader of flat objects agrees with jansson. */
#include "fuzz.h"

#include "common/json_flat.h"
#include "common/lines.h"
#include "common/protocol.h"

static void check_line(const char *line, size_t size)
{
	struct err err;
	autojson json_t *value = json_parse(line, size, &err), *flat = json_flat(line, size);
	autojson json_t *theirs = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	INVARIANT(!flat || (theirs && json_equal(flat, theirs)), "a flat object is something else to jansson");
	if (!value)
		return;
	autofree char *text = json_line(value);
	INVARIANT(text && !strchr(text, '\n'), "one value is not one line");
	autojson json_t *again = json_parse(text, strlen(text), &err);
	INVARIANT(again && json_equal(value, again), "%s reads back otherwise: %s", text, again ? "" : err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct lines lines;
	struct err err;
	size_t n;
	lines_init(&lines, 4096);
	for (size_t at = 0; at < size;) { /* in pieces of 1 to 16 bytes, as the first byte of each says */
		size_t piece = MIN(size - at, (size_t)(bytes[at] % 16) + 1);
		if (lines_feed(&lines, (const char *)bytes + at, piece, &err) < 0)
			break;
		for (char *line; (line = lines_next(&lines, &n));)
			check_line(line, n);
		at += piece;
	}
	lines_fini(&lines);
	return 0;
}
