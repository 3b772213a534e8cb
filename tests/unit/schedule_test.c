/* Schedules against torch's traces, and their checkpoint. */
#include "golden.h"

#include "common/json.h"
#include "worker/schedule.h"

#include <math.h>

static const struct epoch_result nothing = {NAN, NAN, NAN, NAN};

static struct train_config config(enum scheduler scheduler, double lr)
{
	struct train_config cfg;
	config_defaults(&cfg);
	cfg.scheduler = scheduler;
	cfg.lr = lr;
	return cfg;
}

/* off: allowed relative difference; 0: to the last bit. */
static void check_epochs(const json_t *golden, const char *key, const struct train_config *cfg, double off)
{
	struct schedule s;
	size_t n;
	autofree double *expected = golden_doubles(golden_get(golden, key), &n);
	schedule_init(&s, cfg);
	for (size_t epoch = 0; epoch < n; epoch++) {
		struct step_values steps[3];
		schedule_values(&s, 3, steps);
		assert_near(schedule_lr(&s), expected[epoch], off, off * 1e-3, key);
		for (int i = 0; i < 3; i++)
			assert_true(steps[i].lr == schedule_lr(&s) && steps[i].momentum == cfg->momentum);
		schedule_step(&s, &nothing);
	}
}

static void test_step_lr(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_STEP, 0.1);
	check_epochs(golden, "StepLR_lr0.1_step50_g0.1_200ep", &cfg, 0);
	cfg.lr = 0.05;
	cfg.step_size = 30;
	check_epochs(golden, "StepLR_lr0.05_step30_g0.1_100ep", &cfg, 0);
	cfg = config(SCHEDULER_MULTI_STEP, 0.1);
	cfg.gamma = 0.2;
	check_epochs(golden, "MultiStep_60_120_160_g0.2_200ep", &cfg, 0);
	json_decref(golden);
}

static void test_cosine(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_COSINE, 0.1);
	check_epochs(golden, "Cosine_T200_eta0_201", &cfg, 1e-11);
	cfg.cosine_t_max = 10;
	cfg.cosine_eta_min = 1e-3;
	check_epochs(golden, "Cosine_T10_eta1e-3_25", &cfg, 1e-11);
	json_decref(golden);
}

static void test_warm_up(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_NONE, 0.1);
	cfg.warmup_epochs = 5;
	check_epochs(golden, "Linear_start1/3_5iters_8", &cfg, 1e-13);
	cfg.warmup_start_factor = 0.01;
	cfg.scheduler = SCHEDULER_COSINE;
	check_epochs(golden, "warm5_Cosine195_200", &cfg, 1e-11);
	cfg.scheduler = SCHEDULER_STEP;
	cfg.step_size = 30;
	check_epochs(golden, "warm5_Step30_100", &cfg, 1e-13);
	cfg.scheduler = SCHEDULER_MULTI_STEP;
	cfg.warmup_epochs = 3;
	cfg.gamma = 0.2;
	cfg.milestones = (struct param_list){2, {10, 20}};
	check_epochs(golden, "warm3_MultiStep_10_20_g0.2_40", &cfg, 1e-13);
	json_decref(golden);
}

/* From step to step on the line from the first rate to lr. */
static void test_warm_up_by_steps(void **state)
{
	struct train_config cfg = config(SCHEDULER_NONE, 0.8);
	struct schedule s;
	struct step_values v[4];
	cfg.warmup_epochs = 2;
	cfg.warmup_start_factor = 0.25;
	cfg.warmup_unit = 1;
	schedule_init(&s, &cfg);
	for (int epoch = 0; epoch < 3; epoch++) {
		schedule_values(&s, 4, v);
		for (int i = 0; i < 4; i++)
			assert_near(v[i].lr, epoch < 2 ? 0.2 + 0.6 * (4 * epoch + i) / 8 : 0.8, 1e-15, 0, "lr");
		schedule_step(&s, &nothing);
	}
}

/* Cut into epochs: the rates do not depend on it. */
static void check_cycle(const json_t *golden, const char *key, struct train_config *cfg, int epochs)
{
	struct schedule s;
	size_t n;
	const json_t *trace = golden_get(golden, key);
	autofree double *lr = golden_doubles(golden_get(trace, "lr"), &n), *momentum = golden_doubles(golden_get(trace, "momentum"), NULL);
	uint32_t steps = (uint32_t)n / (uint32_t)epochs;
	autofree struct step_values *values = xcalloc(steps, sizeof(*values));
	cfg->epochs = epochs;
	schedule_init(&s, cfg);
	for (size_t at = 0; at < n; at += steps) {
		schedule_values(&s, steps, values);
		for (uint32_t i = 0; i < steps; i++) {
			assert_near(values[i].lr, lr[at + i], 1e-12, 0, key);
			assert_near(values[i].momentum, momentum[at + i], 1e-12, 0, key);
		}
		schedule_step(&s, &nothing);
	}
}

static void test_one_cycle(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_ONE_CYCLE, 0.1);
	check_cycle(golden, "OneCycle_total100", &cfg, 1);
	check_cycle(golden, "OneCycle_total100", &cfg, 20);
	cfg.onecycle_three_phase = true;
	cfg.onecycle_div_factor = 10;
	cfg.onecycle_final_div_factor = 100;
	check_cycle(golden, "OneCycle_three_phase_cos_total60", &cfg, 3);
	cfg = config(SCHEDULER_ONE_CYCLE, 0.1);
	cfg.onecycle_three_phase = true;
	cfg.onecycle_anneal = 1;
	cfg.onecycle_pct_start = 0.2;
	check_cycle(golden, "OneCycle_three_phase_linear_pct0.2_total100", &cfg, 4);
	cfg = config(SCHEDULER_ONE_CYCLE, 0.1);
	cfg.onecycle_cycle_momentum = false;
	cfg.onecycle_pct_start = 0.5;
	check_cycle(golden, "OneCycle_fixed_momentum_total12", &cfg, 12);
	json_decref(golden);
}

/* One step, no rise, nothing but rise: rates are finite, positive and at most lr. */
static void test_one_cycle_of_odd_lengths(void **state)
{
	static const double starts[] = {0, 0.3, 1};
	struct train_config cfg = config(SCHEDULER_ONE_CYCLE, 0.1);
	cfg.epochs = 1;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		for (uint32_t steps = 1; steps <= 12; steps++)
			for (int three = 0; three < 2; three++) {
				struct schedule s;
				struct step_values v[12];
				cfg.onecycle_pct_start = starts[i];
				cfg.onecycle_three_phase = three;
				schedule_init(&s, &cfg);
				schedule_values(&s, steps, v);
				for (uint32_t k = 0; k < steps; k++)
					assert_true(v[k].lr > 0 && v[k].lr <= 0.1 * (1 + 1e-12));
			}
}

/* stage / (stage + c * S), stage the first step of the epoch, of S steps in all. */
static void test_fsgdm(void **state)
{
	struct train_config cfg = config(SCHEDULER_NONE, 0.1);
	struct schedule s;
	struct step_values v[7];
	cfg.use_fsgdm = true;
	cfg.epochs = 300;
	schedule_init(&s, &cfg);
	for (int epoch = 0; epoch < 300; epoch++) {
		double stage = epoch * 7, all = 300 * 7;
		schedule_values(&s, 7, v);
		assert_near(v[6].momentum, stage / (stage + 0.033 * all), 1e-14, 0, "momentum");
		assert_true(v[0].momentum == v[6].momentum && v[0].lr == 0.1);
		schedule_step(&s, &nothing);
	}
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

static struct epoch_result result_of(const struct train_config *cfg, double metric)
{
	double values[] = {NAN, NAN, NAN, NAN};
	values[cfg->plateau_metric] = metric;
	return (struct epoch_result){values[0], values[1], values[2], values[3]};
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
		const struct epoch_result result = result_of(cfg, row[0]);
		schedule_step(&s, &result);
		assert_true(schedule_lr(&s) == row[1]);
		assert_true(s.bad_epochs == row[2] && s.cooldown_left == row[3] && s.best == row[4]);
		reload(&s, cfg);
	}
}

static void test_plateau(void **state)
{
	enum { LOSS, ACCURACY, TRAIN_LOSS, MAX_MODE = 1, ABS_MODE = 1 };
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_PLATEAU, 0.1);
	cfg.plateau_patience = 2;
	check_plateau(golden, "Plateau_min_f0.1_p2", &cfg);
	cfg.plateau_metric = TRAIN_LOSS;
	check_plateau(golden, "Plateau_min_f0.1_p2", &cfg);
	cfg.plateau_metric = LOSS;
	cfg.plateau_factor = 0.5;
	cfg.plateau_cooldown = 2;
	cfg.plateau_min_lr = 0.02;
	check_plateau(golden, "Plateau_min_f0.5_p2_cool2_min0.02", &cfg);
	cfg = config(SCHEDULER_PLATEAU, 0.1);
	cfg.plateau_factor = 0.5;
	cfg.plateau_patience = 0;
	cfg.plateau_threshold = 0.05;
	cfg.plateau_threshold_mode = ABS_MODE;
	check_plateau(golden, "Plateau_min_abs_th0.05_p0", &cfg);
	cfg = config(SCHEDULER_PLATEAU, 0.1);
	cfg.plateau_metric = ACCURACY;
	cfg.plateau_mode = MAX_MODE;
	cfg.plateau_patience = 3;
	check_plateau(golden, "Plateau_max_f0.1_p3", &cfg);
	cfg.plateau_factor = 0.5;
	cfg.plateau_patience = 1;
	cfg.plateau_threshold = 0.5;
	cfg.plateau_threshold_mode = ABS_MODE;
	check_plateau(golden, "Plateau_max_abs_th0.5_p1", &cfg);
	cfg = config(SCHEDULER_PLATEAU, 1e-7);
	cfg.plateau_patience = 0;
	check_plateau(golden, "Plateau_eps", &cfg);
	cfg.lr = 0.1;
	cfg.plateau_eps = 1e-3;
	check_plateau(golden, "Plateau_eps1e-3", &cfg);
	json_decref(golden);
}

/* torch's rows have null where the metric is not a number. */
static void test_plateau_nan_is_bad(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_PLATEAU, 0.1);
	const json_t *rows = golden_get(golden, "Plateau_nan_p1");
	struct schedule s;
	cfg.plateau_factor = 0.5;
	cfg.plateau_patience = 1;
	schedule_init(&s, &cfg);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i), *metric = json_array_get(row, 0);
		const struct epoch_result result = result_of(&cfg, json_is_null(metric) ? NAN : json_number_value(metric));
		schedule_step(&s, &result);
		assert_true(schedule_lr(&s) == json_number_value(json_array_get(row, 1)));
		assert_int_equal(s.bad_epochs, json_integer_value(json_array_get(row, 2)));
		assert_true(s.best == json_number_value(json_array_get(row, 4)));
	}
	json_decref(golden);
}

/* The plateau looks at no epoch of the warm-up. */
static void test_plateau_behind_warm_up(void **state)
{
	json_t *golden = golden_load("sched.json");
	struct train_config cfg = config(SCHEDULER_PLATEAU, 0.1);
	struct schedule s;
	size_t n;
	autofree double *rows = golden_doubles(golden_get(golden, "warm5_plateau"), &n);
	cfg.plateau_factor = 0.5;
	cfg.plateau_patience = 1;
	cfg.warmup_epochs = 5;
	cfg.warmup_start_factor = 0.1;
	schedule_init(&s, &cfg);
	for (const double *row = rows; row < rows + n; row += 2) {
		const struct epoch_result result = result_of(&cfg, row[0]);
		assert_near(schedule_lr(&s), row[1], 1e-13, 0, "warm5_plateau");
		schedule_step(&s, &result);
		reload(&s, &cfg);
	}
	json_decref(golden);
}

static void test_load_refuses_and_keeps(void **state)
{
	struct train_config cfg = config(SCHEDULER_STEP, 0.1);
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
		cmocka_unit_test(test_cosine),
		cmocka_unit_test(test_warm_up),
		cmocka_unit_test(test_warm_up_by_steps),
		cmocka_unit_test(test_one_cycle),
		cmocka_unit_test(test_one_cycle_of_odd_lengths),
		cmocka_unit_test(test_fsgdm),
		cmocka_unit_test(test_plateau),
		cmocka_unit_test(test_plateau_nan_is_bad),
		cmocka_unit_test(test_plateau_behind_warm_up),
		cmocka_unit_test(test_load_refuses_and_keeps),
	};
	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
