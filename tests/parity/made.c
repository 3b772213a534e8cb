#include "made.h"

#include "worker/augment.h"

/* Knuth's MMIX generator; its high bits are the good ones. */
static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

static void fill_set(struct image_set *set, size_t count, int classes, uint64_t *state)
{
	uint8_t *pixels = xmalloc(count * IMAGE_VALUES + 1), *labels = xmalloc(count + 1);
	for (size_t i = 0; i < count * IMAGE_VALUES; i++)
		pixels[i] = (uint8_t)(draw(state) >> 24);
	for (size_t i = 0; i < count; i++)
		labels[i] = (uint8_t)((draw(state) >> 8) % (uint32_t)classes);
	*set = (struct image_set){
		.pixels = pixels, .labels = labels, .pitch = IMAGE_VALUES, .label_pitch = 1, .count = count};
}

struct dataset *made_dataset(size_t train, size_t test, int classes, uint64_t seed)
{
	struct dataset *data = xcalloc(1, sizeof(*data));
	*data = (struct dataset){.name = "made",
				 .classes = classes,
				 .size = IMAGE_SIZE,
				 .mean = {0.5f, 0.45f, 0.55f},
				 .std = {0.25f, 0.3f, 0.28f}};
	fill_set(&data->sets[SPLIT_TRAIN], train, classes, &seed);
	fill_set(&data->sets[SPLIT_TEST], test, classes, &seed);
	return data;
}

void made_free(struct dataset *data)
{
	for (int i = 0; i < 2; i++) {
		free((void *)data->sets[i].pixels);
		free((void *)data->sets[i].labels);
	}
	free(data);
}

struct step_values *made_steps(size_t n, double lr, double momentum)
{
	struct step_values *values = xcalloc(n, sizeof(*values));
	for (size_t i = 0; i < n; i++)
		values[i] = (struct step_values){lr, momentum};
	return values;
}
