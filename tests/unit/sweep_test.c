/* Expansion: which jobs a sweep file gives, in which order, and when two files are the same sweep. */
#include "cmocka_all.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/sweep.h"

static struct sweep *parse_with(const char *text, const struct sweep_override *o, size_t n)
{
	struct findings f = {0};
	struct sweep *sweep = NULL;
	if (sweep_parse(&sweep, text, strlen(text), o, n, "file", &f) < 0)
		fail_msg("%s: %s", text, f.items[0].text);
	findings_fini(&f);
	return sweep;
}

static struct sweep *parse(const char *text)
{
	return parse_with(text, NULL, 0);
}

/* Base and own make the configuration, in its order; the swept text is the object's. */
static void check_texts(const struct sweep *s, size_t i)
{
	struct err err;
	autojson json_t *config = sweep_job_config(s, i), *values = sweep_job_swept(s, i);
	autofree char *base_text = sweep_base_text(s), *own_text = sweep_job_own_text(s, i), *swept_text = sweep_job_swept_text(s, i);
	autojson json_t *base = json_parse(base_text, strlen(base_text), &err), *own = json_parse(own_text, strlen(own_text), &err);
	json_object_update(base, own);
	autofree char *made = json_line(base), *expected = json_line(config), *swept = json_line(values);
	assert_string_equal(made, expected);
	assert_string_equal(swept_text, swept);
}

/* The swept values of every job, one line each. */
static char *jobs_text(const struct sweep *s)
{
	char *all = xstrdup("");
	for (size_t i = 0; i < s->n_jobs; i++) {
		check_texts(s, i);
		autojson json_t *values = sweep_job_swept(s, i);
		autofree char *swept = json_line(values);
		char *longer = xasprintf("%s%s\n", all, swept);
		free(all);
		all = longer;
	}
	return all;
}

static int64_t config_int(const struct sweep *s, size_t job, const char *key)
{
	autojson json_t *config = sweep_job_config(s, job);
	return json_int_or(config, key, -1);
}

static char *file_text(const char *name)
{
	struct err err;
	char *text;
	autofree char *path = xasprintf("%s/%s", getenv("SWEEPS_DIR"), name);
	if (fs_read_file(path, 1 << 20, &text, NULL, &err) < 0)
		fail_msg("%s", err.text);
	return text;
}

static void test_the_reference_sweep(void **state)
{
	autofree char *text = file_text("grid.json");
	struct sweep *s = parse(text);
	autofree char *jobs = jobs_text(s);
	assert_string_equal(s->name, "grid");
	assert_string_equal(jobs, "{\"model\":\"resnet18\",\"lr\":0.1,\"scheduler\":\"StepLR\"}\n"
				  "{\"model\":\"resnet18\",\"lr\":0.1,\"scheduler\":\"ReduceLROnPlateau\"}\n"
				  "{\"model\":\"resnet18\",\"lr\":0.05,\"scheduler\":\"StepLR\"}\n"
				  "{\"model\":\"resnet18\",\"lr\":0.05,\"scheduler\":\"ReduceLROnPlateau\"}\n"
				  "{\"model\":\"resnet50\",\"lr\":0.1,\"scheduler\":\"StepLR\"}\n"
				  "{\"model\":\"resnet50\",\"lr\":0.1,\"scheduler\":\"ReduceLROnPlateau\"}\n"
				  "{\"model\":\"resnet50\",\"lr\":0.05,\"scheduler\":\"StepLR\"}\n"
				  "{\"model\":\"resnet50\",\"lr\":0.05,\"scheduler\":\"ReduceLROnPlateau\"}\n");
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(config_int(s, i, "batch_size"), i < 4 ? 128 : 64);
		assert_int_equal(config_int(s, i, "epochs"), 200);
		assert_int_equal(config_int(s, i, "step_size"), 50);
		assert_true(json_number_value(sweep_job_value(s, i, "weight_decay")) == 5e-4);
		assert_true(json_is_true(sweep_job_value(s, i, "use_amp")));
	}
	sweep_free(s);
}

static void test_twins_share_a_hash(void **state)
{
	static const char *const twins[] = {
		"{\"parameters\": {\"lr\": {\"values\": [0.1, 0.05]}}, \"defaults\": {\"epochs\": 3}}",
		"name: other\nparameters: {lr: {values: [1e-1, 5e-2]}}\ndefaults: {epochs: 3}\nresources: {priority: 3}\n",
		"parameters:\n  lr: {values: [0.1, 0.05]}\n  epochs: {value: 3}\n",
	};
	static const char *const others[] = {
		"parameters: {lr: {values: [0.05, 0.1]}}\ndefaults: {epochs: 3}\n", /* another order */
		"parameters: {lr: {values: [0.1, 0.05]}}\ndefaults: {epochs: 4}\n",
		"parameters: {lr: {values: [0.1, 0.05]}}\ndefaults: {epochs: 3}\nmetric: {name: test_loss}\n",
	};
	struct sweep *first = parse(twins[0]);
	assert_string_equal(first->name, "file");
	assert_int_equal(strlen(first->hash), 64);
	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		struct sweep *s = parse(twins[i]);
		assert_string_equal(s->hash, first->hash);
		sweep_free(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct sweep *s = parse(others[i]);
		assert_string_not_equal(s->hash, first->hash);
		sweep_free(s);
	}
	sweep_free(first);
}

static void test_expansions(void **state)
{
	static const struct {
		const char *text, *jobs;
	} rows[] = {
		{"parameters: {lr: {value: 0.1}}", "{}\n"},
		{"defaults: {epochs: 3}", "{}\n"},
		/* one listed value does not sweep */
		{"parameters: {lr: {values: [0.1]}, epochs: {values: [1, 2]}}", "{\"epochs\":1}\n{\"epochs\":2}\n"},
		{"parameters: {lr: {distribution: categorical, values: [1, 2]}}", "{\"lr\":1.0}\n{\"lr\":2.0}\n"},
		/* a rule may sweep, only where it holds */
		{"parameters: {scheduler: {values: [StepLR, ReduceLROnPlateau]}}\n"
		 "when: [{if: {scheduler: StepLR}, set: {step_size: {values: [5, 9]}}}]",
		 "{\"scheduler\":\"StepLR\",\"step_size\":5}\n{\"scheduler\":\"StepLR\",\"step_size\":9}\n"
		 "{\"scheduler\":\"ReduceLROnPlateau\"}\n"},
		/* conditions take lists and see what earlier rules set */
		{"parameters: {lr: {values: [1, 2, 3]}}\n"
		 "when: [{if: {lr: [1, 2]}, set: {epochs: {value: 7}}}, {if: {epochs: 7, lr: 2}, set: {seed: {values: [4, 5]}}}]",
		 "{\"lr\":1.0}\n{\"lr\":2.0,\"seed\":4}\n{\"lr\":2.0,\"seed\":5}\n{\"lr\":3.0}\n"},
		{"parameters: {lr: {values: [1, 2]}}\nrepeat: 2",
		 "{\"lr\":1.0,\"seed\":0}\n{\"lr\":1.0,\"seed\":1}\n{\"lr\":2.0,\"seed\":0}\n{\"lr\":2.0,\"seed\":1}\n"},
		{"seeds: [8, 3]\nparameters: {lr: {value: 2}}", "{\"seed\":8}\n{\"seed\":3}\n"},
		{"parameters: {lr: {values: [1, 2, 3, 4]}}\nrun_cap: 3", "{\"lr\":1.0}\n{\"lr\":2.0}\n{\"lr\":3.0}\n"},
		{"x-note: {anything: [1]}\n$schema: s.json\ndescription: d\nparameters: {lr: {value: 1}}", "{}\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sweep *s = parse(rows[i].text);
		autofree char *jobs = jobs_text(s);
		assert_string_equal(jobs, rows[i].jobs);
		sweep_free(s);
	}
}

static void test_overrides_win(void **state)
{
	static const struct sweep_override o[] = {{"lr", "0.5"}, {"batch_size", "16"}, {"epochs", "9"}};
	autofree char *text = file_text("grid.json");
	struct sweep *s = parse_with(text, o, ARRAY_LEN(o));
	assert_int_equal(s->n_jobs, 4);
	assert_int_equal(s->n_swept, 2);
	for (size_t i = 0; i < s->n_jobs; i++) {
		assert_int_equal(config_int(s, i, "batch_size"), 16);
		assert_int_equal(config_int(s, i, "epochs"), 9);
		assert_true(json_number_value(sweep_job_value(s, i, "lr")) == .5);
	}
	sweep_free(s);
}

static void test_a_huge_grid_is_refused(void **state)
{
	static const char text[] =
		"parameters: {lr: {values: [1,2,3,4,5,6,7,8,9]}, momentum: {values: [0,.1,.2,.3,.4,.5,.6,.7,.8]},"
		"gamma: {values: [.1,.2,.3,.4,.5,.6,.7,.8,.9]}, epochs: {values: [1,2,3,4,5,6,7,8,9]},"
		"seed: {values: [1,2,3,4,5,6,7,8,9]}, weight_decay: {values: [0,1,2,3,4,5,6,7,8]},"
		"batch_size: {values: [1,2,3,4,5,6,7,8,9]}}";
	struct findings f = {0};
	struct sweep *sweep = NULL;
	assert_int_equal(sweep_parse(&sweep, text, strlen(text), NULL, 0, "x", &f), -EINVAL);
	assert_non_null(strstr(f.items[0].text, "more than 1000000 jobs"));
	assert_null(sweep);
	findings_fini(&f);
}

static void assert_twice(const char *text, const char *value)
{
	struct findings f = {0};
	struct sweep *sweep = NULL;
	autofree char *expected = xasprintf("lists %s twice", value);
	assert_int_equal(sweep_parse(&sweep, text, strlen(text), NULL, 0, "x", &f), -EINVAL);
	assert_int_equal(f.n_errors, 1);
	assert_non_null(strstr(f.items[0].text, expected));
	assert_null(sweep);
	findings_fini(&f);
}

/* A seed a job: the hundred thousandth is compared with all before it. */
static void test_a_value_that_is_listed_twice(void **state)
{
	enum { SEEDS = 100000 };
	assert_twice("parameters: {lr: {values: [0.1, 0.05, 1e-1]}}", "1e-1");
	assert_twice("parameters: {weight_decay: {values: [0.0, -0.0]}}", "-0.0");
	assert_twice("parameters: {model: {values: [resnet18, resnet50, resnet18]}}", "resnet18");
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	fputs("parameters: {seed: {values: [", f);
	for (int i = 0; i < SEEDS; i++)
		fprintf(f, "%d, ", i);
	fprintf(f, "%d]}}", SEEDS - 1);
	fclose(f);
	assert_twice(text, "99999");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_reference_sweep),
		cmocka_unit_test(test_twins_share_a_hash),
		cmocka_unit_test(test_expansions),
		cmocka_unit_test(test_overrides_win),
		cmocka_unit_test(test_a_huge_grid_is_refused),
		cmocka_unit_test(test_a_value_that_is_listed_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
