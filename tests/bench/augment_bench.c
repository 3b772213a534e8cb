/* How fast one thread augments, by pipeline: images/s of worker/augment.c on CIFAR-like images, normalised floats out.
 *
 *   augment_bench            a table
 *   augment_bench --turns    for augment.py: the name of a pipeline on stdin starts a round, seconds an image on stdout end it */
#include "tests/parity/made.h"
#include "worker/augment.h"

#include <time.h>

enum { IMAGES = 2000, ROUNDS = 5 };

static const struct {
	const char *name;
	struct augment_settings settings;
} pipelines[] = {
	{"crop, flip", {.size = 32, .crop = CROP_RANDOM, .flip = true}},
	{"+ ColorJitter", {.size = 32, .crop = CROP_RANDOM, .flip = true, .jitter = {0.4f, 0.4f, 0.4f, 0.1f}}},
	{"+ TrivialAugmentWide", {.size = 32, .crop = CROP_RANDOM, .flip = true, .trivial = true}},
	{"heavy_aug", {.size = 32, .crop = CROP_RANDOM, .flip = true, .trivial = true, .erasing = 0.25f}},
	{"heavy_aug, ColorJitter",
	 {.size = 32, .crop = CROP_RANDOM, .flip = true, .jitter = {0.4f, 0.4f, 0.4f, 0.1f}, .trivial = true, .erasing = 0.25f}},
	{"224 px, heavy_aug", {.size = 224, .crop = CROP_RESIZED, .crop_scale = 0.08f, .flip = true, .trivial = true, .erasing = 0.25f}},
};

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds an image, of the processor. */
static double round_s(const struct dataset *data, size_t pipeline, uint32_t epoch)
{
	const struct augment_settings *s = &pipelines[pipeline].settings;
	size_t n = s->size == 32 ? IMAGES : IMAGES / 20;
	autofree float *out = xmalloc(augment_values(s->size) * sizeof(*out));
	struct augmenter a;
	augmenter_init(&a, s, data->mean, data->std);
	double start = now_s();
	for (uint32_t i = 0; i < n; i++) {
		struct sample_key key = {1, i, epoch};
		augment_sample(&a, out, &data->sets[SPLIT_TRAIN], i, &key);
	}
	double seconds = (now_s() - start) / (double)n;
	augmenter_fini(&a);
	return seconds;
}

static void take_turns(const struct dataset *data)
{
	char line[64];
	for (uint32_t epoch = 0; fgets(line, sizeof(line), stdin); epoch++) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t p = 0; p < ARRAY_LEN(pipelines); p++)
			if (str_eq(line, pipelines[p].name))
				printf("%.9f\n", round_s(data, p, epoch));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct dataset *data = made_dataset(IMAGES, 1, 100, 1);
	if (argc > 1 && str_eq(argv[1], "--turns"))
		take_turns(data);
	for (size_t p = 0; argc == 1 && p < ARRAY_LEN(pipelines); p++) {
		double best = 1;
		for (uint32_t i = 0; i < ROUNDS; i++)
			best = MIN(best, round_s(data, p, i));
		printf("%-24s %8.1f us an image, %8.0f images/s\n", pipelines[p].name, 1e6 * best, 1 / best);
	}
	made_free(data);
	return 0;
}
