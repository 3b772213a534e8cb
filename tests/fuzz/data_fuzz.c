/* libFuzzer: any bytes as a file of a data set.  The first byte says which: one of MNIST's four, or CIFAR's. */
#include "fuzz.h"

#include "worker/data.h"

static const char *const idx_names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
					"t10k-labels-idx1-ubyte"};

/* Two images and labels, as they should be. */
static void write_idx(size_t i)
{
	static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 9};
	static const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28};
	uint8_t images[sizeof(header) + 2 * 28 * 28] = {0};
	memcpy(images, header, sizeof(header));
	if (i % 2)
		fuzz_write(idx_names[i], labels, sizeof(labels));
	else
		fuzz_write(idx_names[i], images, sizeof(images));
}

/* Every pixel and label of what it says is there. */
static void read_all(const struct dataset *d)
{
	unsigned sum = 0;
	for (int s = 0; s < 2; s++)
		for (size_t i = 0; i < d->sets[s].count; i++) {
			const uint8_t *image = d->sets[s].pixels + i * d->sets[s].pitch;
			INVARIANT(d->sets[s].labels[i * d->sets[s].label_pitch] < d->classes, "a label too high");
			for (int c = 0; c < 3; c++)
				sum += image[(size_t)c * d->sets[s].plane_pitch] + image[(size_t)c * d->sets[s].plane_pitch + 1023];
		}
	__asm__ volatile("" : : "r"(sum));
}

static void open_as(const char *name)
{
	struct dataset *d;
	struct err err;
	if (dataset_open(&d, name, fuzz_dir(), 0, 0, &err) < 0)
		return;
	read_all(d);
	dataset_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	size_t which = bytes[0] % 6;
	fuzz_dir();
	fuzz_clear();
	for (size_t i = 0; i < ARRAY_LEN(idx_names); i++)
		if (i != which)
			write_idx(i);
	if (which < ARRAY_LEN(idx_names)) {
		fuzz_write(idx_names[which], bytes + 1, size - 1);
		open_as("mnist");
		return 0;
	}
	fuzz_write(which == 4 ? "data_batch_1.bin" : "train.bin", bytes + 1, size - 1);
	open_as(which == 4 ? "cifar10" : "cifar100");
	return 0;
}
