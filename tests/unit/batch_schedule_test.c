/* The batch size from epoch to epoch, by every policy, and through a checkpoint. */
#include "cmocka_all.h"

#include "common/json.h"
#include "worker/batch_schedule.h"

#include <math.h>

static struct train_config config(enum batch_policy policy, int size, int max, double factor)
{
	struct train_config cfg;
	config_defaults(&cfg);
	cfg.use_batch_scheduler = true;
	cfg.batch_policy = policy;
	cfg.batch_size = size;
	cfg.batch_max = max;
	cfg.batch_factor = factor;
	return cfg;
}

/* Through JSON text and back, as a resume does. */
static void reload(struct batch_schedule *b)
{
	struct err err;
	struct batch_schedule fresh;
	autojson json_t *saved = batch_schedule_save(b);
	autofree char *line = json_line(saved);
	autojson json_t *read = json_parse(line, strlen(line), &err);
	batch_schedule_init(&fresh, b->cfg);
	if (batch_schedule_load(&fresh, read, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(&fresh, b, sizeof(fresh));
	*b = fresh;
}

struct epoch {
	double loss;
	int size; /* of the epoch behind it */
};

/* memory: of one image; total */
static void check(const struct train_config *cfg, const struct epoch *epochs, size_t n, struct memory_use memory)
{
	struct batch_schedule b;
	batch_schedule_init(&b, cfg);
	assert_int_equal(b.size, cfg->batch_size);
	reload(&b);
	for (size_t i = 0; i < n; i++) {
		const struct epoch_result result = {.test_loss = epochs[i].loss, .train_loss = epochs[i].loss};
		const struct memory_use use = {memory.used * (size_t)b.size, memory.total};
		batch_schedule_step(&b, (int64_t)i + 1, &result, &use);
		if (b.size != epochs[i].size)
			fail_msg("epoch %zu: %d, not %d", i + 1, b.size, epochs[i].size);
		reload(&b);
	}
}

#define CHECK(cfg, memory, ...)                                             \
	do {                                                                \
		const struct epoch epochs[] = {__VA_ARGS__};                \
		struct train_config c = cfg;                                \
		check(&c, epochs, ARRAY_LEN(epochs), memory);            \
	} while (0)

static const struct memory_use not_known = {0}, small = {.used = 10, .total = 3000};

static void test_step(void **state)
{
	struct train_config cfg = config(BATCH_STEP, 32, 100, 2);
	cfg.batch_every = 2;
	CHECK(cfg, not_known, {1, 32}, {1, 64}, {1, 64}, {1, 100}, {1, 100}, {1, 100});
	cfg = config(BATCH_STEP, 3, 8, 1.1); /* at least by one */
	cfg.batch_every = 1;
	CHECK(cfg, not_known, {1, 4}, {1, 5}, {1, 6}, {1, 7}, {1, 8}, {1, 8});
	cfg.batch_factor = 1.5; /* rounded down */
	CHECK(cfg, not_known, {1, 4}, {1, 6}, {1, 8}, {1, 8});
}

static void test_plateau(void **state)
{
	struct train_config cfg = config(BATCH_PLATEAU, 32, 512, 2);
	cfg.batch_patience = 1;
	CHECK(cfg, not_known, {2, 32}, {1, 32}, {1, 32}, {NAN, 64}, {1, 64}, {0.5, 64}, {0.5, 64}, {0.6, 128});
}

static void test_memory(void **state)
{
	struct train_config cfg = config(BATCH_MEMORY, 32, 512, 2);
	/* a rise of the loss holds it; 256 images would need 2560 of 3000 bytes, above 0.8 */
	CHECK(cfg, small, {2, 64}, {1, 128}, {1.5, 128}, {1, 128});
	CHECK(cfg, not_known, {2, 32}, {1, 32});
}

static void test_off_and_none(void **state)
{
	struct train_config cfg = config(BATCH_NONE, 32, 512, 2);
	CHECK(cfg, not_known, {1, 32}, {1, 32});
	cfg = config(BATCH_STEP, 1024, 1024, 2);
	cfg.batch_max = 512; /* of the table; without the scheduler it says nothing */
	cfg.batch_every = 1;
	cfg.use_batch_scheduler = false;
	CHECK(cfg, not_known, {1, 1024}, {1, 1024});
}

static void test_refusals(void **state)
{
	struct train_config cfg = config(BATCH_STEP, 32, 512, 2);
	struct batch_schedule b;
	const struct epoch_result result = {0};
	const struct memory_use use = {0};
	cfg.batch_every = 1;
	batch_schedule_init(&b, &cfg);
	batch_schedule_step(&b, 1, &result, &use);
	batch_schedule_refuse(&b, 32, false); /* 64 cannot train: 64 again the next time */
	batch_schedule_step(&b, 2, &result, &use);
	assert_int_equal(b.size, 64);
	batch_schedule_step(&b, 3, &result, &use);
	batch_schedule_refuse(&b, 64, true); /* no room for 128: never again */
	reload(&b);
	batch_schedule_step(&b, 4, &result, &use);
	assert_int_equal(b.size, 64);
}

static void test_learning_rates(void **state)
{
	static const double scales[] = {1, 4, 2};
	struct train_config cfg = config(BATCH_STEP, 32, 512, 4);
	const struct epoch_result result = {0};
	const struct memory_use use = {0};
	cfg.batch_every = 1;
	for (int scaling = 0; scaling < 3; scaling++) {
		struct batch_schedule b;
		cfg.batch_lr_scaling = scaling;
		batch_schedule_init(&b, &cfg);
		assert_true(batch_schedule_lr_scale(&b) == 1);
		batch_schedule_step(&b, 1, &result, &use);
		assert_true(batch_schedule_lr_scale(&b) == scales[scaling]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_step),	      cmocka_unit_test(test_plateau),  cmocka_unit_test(test_memory),
		cmocka_unit_test(test_off_and_none), cmocka_unit_test(test_refusals), cmocka_unit_test(test_learning_rates),
	};
	return cmocka_run_group_tests_name("batch schedule", tests, NULL, NULL);
}
