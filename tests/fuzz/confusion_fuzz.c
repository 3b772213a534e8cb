/* libFuzzer: any bytes as a run's confusion.json: refused, or drawn. */
#include "fuzz.h"

#include "forward/confusion_png.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err;
	fuzz_write("confusion.json", bytes, size);
	autofree char *path = xasprintf("%s/confusion.json", fuzz_dir());
	for (int which = CONFUSION_LAST; which <= CONFUSION_BEST; which++) {
		size_t png_size;
		struct confusion_matrix c;
		int r = confusion_matrix_read(&c, path, (enum confusion_test)which, &err);
		INVARIANT(r == 1 || r == -EINVAL, "refused with %d: %s", r, err.text);
		if (r < 0)
			continue;
		INVARIANT(c.n > 0 && c.n <= CONFUSION_CLASSES_MAX, "%zu classes", c.n);
		char *png = confusion_png(&c, &png_size);
		INVARIANT(png_size > 8, "an empty picture");
		free(png);
		confusion_matrix_fini(&c);
	}
	return 0;
}
