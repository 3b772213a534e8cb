/* Schedules against torch's traces, and their checkpoint. */
#include "golden.h"

#include "common/json.h"
#include "worker/schedule.h"

#include <math.h>

static void check_step(const json_t *golden, const char *key, double lr, int step_size)
{
	struct train_config cfg = {.scheduler = SCHEDULER_STEP, .lr = lr, .step_size = step_size, .gamma = 0.1};
	struct schedule s;
	size_t n;
	autofree double *expected = golden_doubles(golden_get(golden, key), &n);
	schedule_init(&s, &cfg);
	for (size_t epoch = 0; epoch < n; epoch++) {
		assert_true(schedule_lr(&s) == expected[epoch]); /* to the last bit */
		schedule_step(&s, NAN);
	}
}

static void test_step_lr(void **state)
{
	json_t *golden = golden_load("sched.json");
	check_step(golden, "StepLR_lr0.1_step50_g0.1_200ep", 0.1, 50);
	check_step(golden, "StepLR_lr0.05_step30_g0.1_100ep", 0.05, 30);
	json_decref(golden);
}

/* Through JSON text and back into a fresh schedule, as a resume does. */
static void reload(struct schedule *s, const struct train_config *cfg)
{
	struct err err;
	autojson json_t *saved = schedule_save(s);
	autofree char *line = json_line(saved);
	autojson json_t *read = json_parse(line, strlen(line), &err);
	struct schedule fresh;
	schedule_init(&fresh, cfg);
	assert_int_equal(schedule_load(&fresh, read, &err), 0);
	assert_memory_equal(&fresh, s, sizeof(fresh));
	*s = fresh;
}

/* Rows: metric, lr after it, bad epochs, cooldown, best. */
static void check_plateau(const json_t *golden, const char *key, const struct train_config *cfg)
{
	struct schedule s;
	size_t n;
	autofree double *rows = golden_doubles(golden_get(golden, key), &n);
	schedule_init(&s, cfg);
	reload(&s, cfg); /* best is infinite here */
	for (const double *row = rows; row < rows + n; row += 5) {
		schedule_step(&s, row[0]);
		assert_true(schedule_lr(&s) == row[1]);
		assert_true(s.bad_epochs == row[2] && s.cooldown_left == row[3] && s.best == row[4]);
		reload(&s, cfg);
	}
}

static void test_plateau(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = {.scheduler = SCHEDULER_PLATEAU, .lr = 0.1, .plateau_factor = 0.1,
				   .plateau_patience = 2, .plateau_threshold = 1e-4};
	check_plateau(golden, "Plateau_min_f0.1_p2", &cfg);
	cfg.plateau_factor = 0.5;
	cfg.plateau_cooldown = 2;
	cfg.plateau_min_lr = 0.02;
	check_plateau(golden, "Plateau_min_f0.5_p2_cool2_min0.02", &cfg);
	cfg = (struct train_config){.scheduler = SCHEDULER_PLATEAU, .lr = 1e-7, .plateau_factor = 0.1,
				    .plateau_patience = 0, .plateau_threshold = 1e-4};
	check_plateau(golden, "Plateau_eps", &cfg);
	json_decref(golden);
}

static void test_plateau_nan_is_bad(void **state)
{
	struct train_config cfg = {.scheduler = SCHEDULER_PLATEAU, .lr = 1, .plateau_factor = 0.5,
				   .plateau_patience = 1};
	struct schedule s;
	schedule_init(&s, &cfg);
	schedule_step(&s, NAN);
	assert_true(s.bad_epochs == 1 && isinf(s.best) && schedule_lr(&s) == 1);
	schedule_step(&s, NAN);
	assert_true(s.bad_epochs == 0 && schedule_lr(&s) == 0.5);
}

static void test_load_refuses_and_keeps(void **state)
{
	struct train_config cfg = {.scheduler = SCHEDULER_STEP, .lr = 0.1, .step_size = 3, .gamma = 0.1};
	struct schedule s, before;
	struct err err = {""};
	schedule_init(&s, &cfg);
	before = s;
	autojson json_t *saved = schedule_save(&s);
	json_object_set_new(saved, "lr", json_real(5));
	json_object_del(saved, "cooldown_left");
	assert_int_equal(schedule_load(&s, saved, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cooldown_left"));
	assert_memory_equal(&s, &before, sizeof(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_step_lr),
		cmocka_unit_test(test_plateau),
		cmocka_unit_test(test_plateau_nan_is_bad),
		cmocka_unit_test(test_load_refuses_and_keeps),
	};
	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
