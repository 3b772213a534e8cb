/* libFuzzer: any bytes as a run's confusion.json: refused, or drawn. */
#include "fuzz.h"

#include "forward/confusion.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t png_size;
	struct err err;
	struct confusion c;
	fuzz_write("confusion.json", bytes, size);
	autofree char *path = xasprintf("%s/confusion.json", fuzz_dir());
	int r = confusion_read(&c, path, &err);
	INVARIANT(r == 0 || r == -EINVAL, "refused with %d: %s", r, err.text);
	if (r < 0)
		return 0;
	INVARIANT(c.n > 0 && c.n <= CONFUSION_CLASSES_MAX, "%zu classes", c.n);
	char *png = confusion_png(&c, &png_size);
	INVARIANT(png_size > 8, "an empty picture");
	free(png);
	confusion_fini(&c);
	return 0;
}
