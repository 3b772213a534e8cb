/* libFuzzer: any bytes as a file of torch.save(), in each of its forms, and as safetensors of any origin: what
 * weights_open() would read.  The zip entries of the corpus have no CRC-32, which a mutation would have to guess. */
#include "fuzz.h"

#include "worker/weights.h"

#define MAX_ELEMENTS 65536 /* a stride of 0 makes any number of elements of one */

static void read_tensor(const struct weight *w)
{
	INVARIANT(w->count >= 0 && w->ndim >= 0 && w->ndim <= ST_MAX_DIMS, "an impossible tensor");
	if (w->count > MAX_ELEMENTS)
		return;
	autofree float *values = xcalloc((size_t)w->count + 1, sizeof(*values));
	weight_floats(w, values);
	float sum = values[0];
	__asm__ volatile("" : : "x"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err;
	struct weights *w;
	autofree char *path = xasprintf("%s/w", fuzz_dir());
	fuzz_write("w", bytes, size);
	int r = weights_open(&w, path, &err);
	if (r < 0) {
		INVARIANT(r == -EBADMSG || size == 0, "refused with %d: %s", r, err.text);
		INVARIANT(err.text[0], "refused without a sentence");
		return 0;
	}
	for (size_t i = 0; i < weights_count(w); i++) {
		read_tensor(weights_at(w, i));
		INVARIANT(weights_find(w, weights_at(w, i)->name), "a name that is not found");
	}
	weights_close(w);
	return 0;
}
