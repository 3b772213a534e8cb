/* libFuzzer: any bytes as a safetensors file of any origin. */
#include "fuzz.h"

#include "worker/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err = {.text = ""};
	struct st_file *f;
	unsigned sum = 0;
	int r = safetensors_read(&f, bytes, size, &err);
	if (r < 0) {
		INVARIANT(r == -EBADMSG && err.text[0], "refused with %d", r);
		return 0;
	}
	for (size_t i = 0; i < safetensors_count(f); i++) {
		const struct st_tensor *t = safetensors_at(f, i);
		INVARIANT(safetensors_find(f, t->name) == t, "a tensor that is not found by its name");
		for (size_t at = 0; at < t->size_bytes; at++)
			sum += ((const uint8_t *)t->data)[at];
	}
	__asm__ volatile("" : : "r"(sum));
	safetensors_metadata(f, "format");
	safetensors_close(f);
	return 0;
}
