/* Where a training stands: what an epoch's end does to it, and that it survives a checkpoint to the bit. */
#include "cmocka_all.h"

#include "common/json.h"
#include "worker/position.h"

#include <math.h>

enum { IMAGES = 20 * 128 - 5 }; /* 20 steps of the default batch */

static const struct memory_use memory = {0};

static struct position_best end_epoch(struct position *p, double test_loss, double test_accuracy, double ema_accuracy)
{
	const struct epoch_result result = {test_loss, test_accuracy, test_loss, test_accuracy};
	return position_end_epoch(p, &result, ema_accuracy, &memory);
}

static void test_saved_and_loaded_is_the_same(void **state)
{
	struct err err;
	struct train_config cfg;
	struct position a, b;
	config_defaults(&cfg);
	position_init(&a, &cfg);
	a.step = 20;
	end_epoch(&a, 1.0 / 3, 12.5, 13.5);
	a.step = 17;
	a.sums = (struct sums){.loss = 0.1 + 0.2, .correct = 5, .images = 544, .skipped = 3};
	a.train_seconds = 1e-3 / 7;
	autojson json_t *saved = position_save(&a);
	autofree char *text = json_line(saved);
	autojson json_t *read = json_parse(text, strlen(text), &err);
	position_init(&b, &cfg);
	assert_int_equal(position_load(&b, read, IMAGES, &err), 0);
	assert_int_equal(b.epoch, 1);
	assert_int_equal(b.step, 17);
	assert_int_equal(b.steps_before, 20);
	assert_true(b.sums.loss == a.sums.loss && b.train_seconds == a.train_seconds);
	assert_true(b.sums.correct == 5 && b.sums.images == 544 && b.sums.skipped == 3);
	assert_true(b.best_ema_accuracy == 13.5 && b.batch.size == 128);
	assert_true(b.best_loss == a.best_loss && b.best_accuracy == 12.5);
	assert_true(b.schedule.lr == a.schedule.lr && b.schedule.best == a.schedule.best);
}

static void test_infinite_bests_survive(void **state)
{
	struct err err;
	struct train_config cfg;
	struct position a, b;
	config_defaults(&cfg);
	position_init(&a, &cfg);
	autojson json_t *saved = position_save(&a);
	position_init(&b, &cfg);
	b.best_loss = 0;
	assert_int_equal(position_load(&b, saved, IMAGES, &err), 0);
	assert_true(isinf(b.best_loss));
}

static void test_every_missing_member_is_an_error(void **state)
{
	struct train_config cfg;
	struct position a;
	const char *key;
	json_t *value;
	config_defaults(&cfg);
	position_init(&a, &cfg);
	autojson json_t *saved = position_save(&a);
	json_object_foreach(saved, key, value) {
		struct err err;
		struct position b;
		autojson json_t *broken = json_copy(saved);
		json_object_del(broken, key);
		position_init(&b, &cfg);
		if (position_load(&b, broken, IMAGES, &err) == 0)
			fail_msg("%s is not missed", key);
	}
}

/* Bytes from a file: numbers that no training can have come to. */
static void test_impossible_positions_are_errors(void **state)
{
	static const struct {
		const char *key;
		json_int_t value;
	} cases[] = {{"epoch", -1}, {"epoch", 1LL << 40}, {"step", 21}, {"step", -1}, {"step", 0}, {"correct", 33},
		     {"images", 0}, {"bad_epochs", 2}, {"skipped", 21}, {"skipped", -1}, {"steps_before", -1}};
	struct train_config cfg;
	struct position a, b;
	struct err err;
	config_defaults(&cfg);
	position_init(&a, &cfg);
	end_epoch(&a, 1, 50, NAN);
	a.step = 20; /* between the last step and the test */
	a.sums = (struct sums){.loss = 1, .correct = 5, .images = 32};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		autojson json_t *saved = position_save(&a);
		position_init(&b, &cfg);
		assert_int_equal(position_load(&b, saved, IMAGES, &err), 0);
		json_object_set_new(saved, cases[i].key, json_integer(cases[i].value));
		if (position_load(&b, saved, IMAGES, &err) == 0)
			fail_msg("%s %lld is taken", cases[i].key, (long long)cases[i].value);
		assert_int_equal(b.step, 20);
	}
}

static void test_early_stopping(void **state)
{
	static const struct {
		double loss;
		bool stops;
	} epochs[] = {{2, false}, {1, false}, {1, false}, {NAN, true}, {0.5, false}, {0.6, false}, {0.6, true}};
	struct train_config cfg;
	struct position p;
	config_defaults(&cfg);
	cfg.patience = 2;
	position_init(&p, &cfg);
	for (size_t i = 0; i < ARRAY_LEN(epochs); i++) {
		end_epoch(&p, epochs[i].loss, 50, NAN);
		if (position_stops_early(&p, &cfg) != epochs[i].stops)
			fail_msg("after epoch %zu", i + 1);
	}
	cfg.patience = 0;
	assert_false(position_stops_early(&p, &cfg));
}

/* Smaller, but not by more than min_delta: not better, and compared with the best that was. */
static void test_min_delta(void **state)
{
	static const struct {
		double loss;
		int bad_epochs;
	} epochs[] = {{2, 0}, {1.75, 1}, {1.5, 2}, {1.25, 0}, {0.75, 1}, {0.5, 0}};
	struct train_config cfg;
	struct position p;
	config_defaults(&cfg);
	cfg.patience = 3;
	cfg.min_delta = 0.5;
	position_init(&p, &cfg);
	for (size_t i = 0; i < ARRAY_LEN(epochs); i++) {
		end_epoch(&p, epochs[i].loss, 50, NAN);
		if (p.bad_epochs != epochs[i].bad_epochs)
			fail_msg("after epoch %zu: %d", i + 1, p.bad_epochs);
	}
}

static void test_best_epoch(void **state)
{
	struct train_config cfg;
	struct position p;
	config_defaults(&cfg);
	position_init(&p, &cfg);
	assert_true(end_epoch(&p, 1, 0, NAN).weights); /* even 0 % is the best so far */
	assert_true(end_epoch(&p, 1, 30, NAN).weights);
	assert_false(end_epoch(&p, 1, 30, NAN).weights); /* a tie keeps the earlier one */
	assert_false(end_epoch(&p, 0.5, NAN, NAN).weights);
	assert_true(end_epoch(&p, 1, 31, NAN).weights);
	assert_true(p.best_ema_accuracy == -1);
	struct position_best best = end_epoch(&p, 1, 30, 20);
	assert_true(!best.weights && best.ema);
	best = end_epoch(&p, 1, 32, 20);
	assert_true(best.weights && !best.ema);
	assert_int_equal(p.epoch, 7);
	assert_int_equal(p.step, 0);
}

/* A position of another batch size has other steps; sizes that this training never has are errors. */
static void test_batches(void **state)
{
	struct train_config cfg;
	struct position a, b;
	struct err err;
	config_defaults(&cfg);
	cfg.use_batch_scheduler = true;
	cfg.batch_every = 1;
	position_init(&a, &cfg);
	end_epoch(&a, 1, 50, NAN);
	assert_true(a.batch.size == 256 && position_steps(&a, IMAGES) == 10);
	a.step = 11;
	a.sums.images = 11;
	autojson json_t *saved = position_save(&a);
	position_init(&b, &cfg);
	assert_int_equal(position_load(&b, saved, IMAGES, &err), -EINVAL);
	json_object_set_new(saved, "step", json_integer(10));
	assert_int_equal(position_load(&b, saved, IMAGES, &err), 0);
	assert_int_equal(b.batch.size, 256);
	static const int impossible[] = {0, 64, 513};
	for (size_t i = 0; i < ARRAY_LEN(impossible); i++) {
		json_object_set_new(json_object_get(saved, "batch"), "size", json_integer(impossible[i]));
		assert_int_equal(position_load(&b, saved, IMAGES, &err), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved_and_loaded_is_the_same),
		cmocka_unit_test(test_infinite_bests_survive),
		cmocka_unit_test(test_every_missing_member_is_an_error),
		cmocka_unit_test(test_impossible_positions_are_errors),
		cmocka_unit_test(test_early_stopping),
		cmocka_unit_test(test_min_delta),
		cmocka_unit_test(test_best_epoch),
		cmocka_unit_test(test_batches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
