/* Samples of a GPU (the fake NVML of fake/nvml, found by $LD_LIBRARY_PATH) and of the processor's energy become events and
 * the sums of an epoch. */
#include "tests/unit/cmocka_all.h"

#include "common/fs.h"
#include "common/json.h"
#include "worker/rapl.h"
#include "worker/telemetry.h"

#include <math.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60

struct place {
	char *dir;
	struct event_log *events;
	sem_t appended;
};

static void appended(void *arg)
{
	sem_post(&((struct place *)arg)->appended);
}

static void place_init(struct place *p, int attempt)
{
	struct err err;
	p->dir = temp_dir();
	sem_init(&p->appended, 0, 0);
	assert_int_equal(event_log_new(&p->events, p->dir, attempt, appended, p, &err), 0);
}

static void place_fini(struct place *p)
{
	event_log_free(p->events);
	sem_destroy(&p->appended);
	temp_dir_remove(p->dir);
}

static void wait_events(struct place *p, int n)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (n-- > 0)
		assert_int_equal(sem_timedwait(&p->appended, &until), 0);
}

/* Values of the events so far: a list of objects. */
static json_t *read_values(const struct place *p)
{
	char text[65536];
	json_t *list = json_array();
	ssize_t n = event_log_read(p->events, 0, text, sizeof(text) - 1);
	text[MAX(n, 0)] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		autojson json_t *event = json_parse(line, strlen(line), NULL);
		assert_string_equal(json_str_or(event, "type", ""), "telemetry");
		json_array_append(list, json_object_get(event, "values"));
	}
	return list;
}

/* Fast, so that a test sees several. */
static struct telemetry *begin(struct place *p, const char *scenario, const char *gpu, int64_t own_bytes)
{
	const struct telemetry_config config = {.events = p->events, .gpu = gpu, .own_bytes = own_bytes, .powercap = p->dir,
						.sample_s = 0.005, .first_s = 0.02, .report_s = 0.02};
	setenv("FAKE_NVML", scenario, 1);
	return telemetry_new(&config);
}

static bool has(const json_t *values, const char *name)
{
	return json_object_get(values, name);
}

static void test_a_gpu(void **state)
{
	struct place p;
	struct telemetry_epoch epoch;
	char trouble[TELEMETRY_TROUBLE_MAX];
	double joules = 0;
	size_t i;
	const json_t *v;
	place_init(&p, 1);
	struct telemetry *t = begin(&p, "gpu:GPU-aa,NVIDIA H200,90,143771,", "GPU-aa", 1 << 30);
	wait_events(&p, 3);
	telemetry_epoch(t, &epoch);
	assert_string_equal(telemetry_trouble(t, trouble), "");
	telemetry_free(t);
	autojson json_t *list = read_values(&p);
	assert_true(json_array_size(list) >= 4); /* the rest, at the end */
	json_array_foreach(list, i, v) {
		assert_float_equal(json_num_or(v, "gpu_percent", 0), 97, 1e-9);
		assert_float_equal(json_num_or(v, "sm_clock_mhz", 0), 1980, 1e-9);
		assert_int_equal(json_int_or(v, "vram_mib", 0), 512); /* it is alone: all that is in use */
		assert_int_equal(json_int_or(v, "temperature_c", 0), 61);
		assert_int_equal(json_int_or(v, "ecc_corrected", 0), 3);
		assert_int_equal(json_int_or(v, "ecc_uncorrected", -1), 0);
		assert_true(json_int_or(v, "ram_mib", 0) > 0 && json_num_or(v, "cpu_percent", -1) >= 0);
		assert_true(json_num_or(v, "watts", 0) > 0);
		assert_float_equal(fmod(json_num_or(v, "joules", NAN), 5), 0, 1e-6); /* the counter's: 5 J a sample */
		joules += json_num_or(v, "joules", NAN);
	}
	assert_true(epoch.joules > 0 && epoch.watts > 0 && epoch.vram_mib == 512);
	assert_true(joules >= 20);
	place_fini(&p);
}

static void test_power_where_energy_is_not_counted(void **state)
{
	struct place p;
	struct telemetry_epoch first, second;
	place_init(&p, 1);
	struct telemetry *t = begin(&p, "gpu:GPU-aa,NVIDIA H200,90,143771,nocounter", "GPU-aa", 0);
	wait_events(&p, 1);
	telemetry_epoch(t, &first);
	telemetry_epoch(t, &second); /* shorter than a sample */
	wait_events(&p, 1);
	telemetry_free(t);
	autojson json_t *list = read_values(&p);
	for (size_t i = 1; i < json_array_size(list); i++) /* the first one begins before the first sample */
		assert_float_equal(json_num_or(json_array_get(list, i), "watts", 0), 412, 1e-6);
	assert_true(first.watts > 100 && first.watts < 413);
	assert_float_equal(second.watts, 412, 1);
	assert_float_equal(second.vram_mib, 512, 0);
	place_fini(&p);
}

static void test_what_a_gpu_does_not_tell_is_left_out(void **state)
{
	struct place p;
	struct telemetry_epoch epoch;
	place_init(&p, 1);
	struct telemetry *t = begin(&p, "gpu:GPU-aa,GRID,75,8192,quiet", "GPU-aa", 0);
	wait_events(&p, 1);
	telemetry_epoch(t, &epoch);
	telemetry_free(t);
	autojson json_t *list = read_values(&p);
	const json_t *v = json_array_get(list, 0);
	assert_true(has(v, "cpu_percent") && has(v, "ram_mib") && has(v, "vram_mib"));
	assert_int_equal(json_object_size(v), 4); /* and seconds */
	assert_true(isnan(epoch.watts) && isnan(epoch.joules) && epoch.vram_mib == 512);
	place_fini(&p);
}

static void test_the_rest_is_recorded(void **state)
{
	struct place p;
	const struct telemetry_config config = {.gpu = "GPU-aa"};
	place_init(&p, 1);
	setenv("FAKE_NVML", "init:9", 1); /* a driver that does not answer */
	struct telemetry_config with = config;
	with.events = p.events;
	telemetry_free(telemetry_new(&with)); /* at once: long before the first report */
	autojson json_t *list = read_values(&p);
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_int_or(json_array_get(list, 0), "ram_mib", 0) > 0);
	telemetry_free(NULL);
	place_fini(&p);
}

static void trouble_of(const char *scenario, const char *expected)
{
	struct place p;
	char trouble[TELEMETRY_TROUBLE_MAX];
	place_init(&p, 1);
	struct telemetry *t = begin(&p, scenario, "GPU-aa", 0);
	for (int i = 0; i < 100 && !*telemetry_trouble(t, trouble); i++)
		wait_events(&p, 1);
	assert_string_equal(trouble, expected);
	telemetry_free(t);
	place_fini(&p);
}

static void test_what_the_driver_says_against_it(void **state)
{
	trouble_of("gpu:GPU-aa,NVIDIA H200,90,143771,dying", "the NVIDIA driver says: GPU-aa: GPU is lost");
	trouble_of("gpu:GPU-aa,NVIDIA H200,90,143771,xid", "the NVIDIA driver reported Xid 79: it has fallen off the bus");
}

/* Two in one worker: power and energy are divided, and each has memory of its own. */
static void test_attempts_that_share_a_gpu(void **state)
{
	struct place a, b;
	struct telemetry_epoch epoch;
	const char *gpu = "gpu:GPU-aa,NVIDIA H200,90,143771,nocounter";
	place_init(&a, 1);
	place_init(&b, 2);
	struct telemetry *one = begin(&a, gpu, "GPU-aa", 3 << 20);
	wait_events(&a, 1); /* it has opened the library, which the fake does for all */
	struct telemetry *two = begin(&b, gpu, "GPU-aa", (4 << 20) + 1);
	wait_events(&b, 2);
	telemetry_epoch(two, &epoch);
	telemetry_epoch(two, &epoch);
	assert_float_equal(epoch.watts, 206, 1);
	assert_float_equal(epoch.vram_mib, 5, 0);
	telemetry_free(one);
	telemetry_free(two);
	autojson json_t *list = read_values(&b);
	assert_int_equal(json_int_or(json_array_get(list, 1), "vram_mib", 0), 5);
	assert_float_equal(json_num_or(json_array_get(list, 1), "watts", 0), 206, 1e-6);
	place_fini(&a);
	place_fini(&b);
}

/* --- the processor's energy --- */

static void zone(const char *dir, const char *name, const char *what, const char *uj)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	mkdir(path, 0755);
	const char *const files[][2] = {{"name", what}, {"energy_uj", uj}, {"max_energy_range_uj", "10000000"}};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		autofree char *file = xasprintf("%s/%s", path, files[i][0]);
		autofree char *text = xasprintf("%s\n", files[i][1] ? files[i][1] : "");
		if (files[i][1])
			assert_int_equal(fs_write_file(file, text, strlen(text), 0644, NULL), 0);
	}
}

static void test_rapl(void **state)
{
	char *dir = temp_dir();
	assert_null(rapl_new(dir));
	zone(dir, "intel-rapl:0", "package-0", "1000000");
	zone(dir, "intel-rapl:0:0", "dram", "5000000");
	zone(dir, "intel-rapl:1", "package-1", "9000000");
	zone(dir, "intel-rapl:2", "psys", "7");
	zone(dir, "intel-rapl-mmio:0", "package-0", "1");
	struct rapl *r = rapl_new(dir);
	assert_non_null(r);
	assert_float_equal(rapl_joules(r), 0, 0);
	zone(dir, "intel-rapl:0", "package-0", "1500000");
	zone(dir, "intel-rapl:1", "package-1", "500000"); /* has begun anew */
	assert_float_equal(rapl_joules(r), 0.5 + 1.5, 1e-9);
	rapl_free(r);
	zone(dir, "intel-rapl:3", "package-3", NULL); /* one that cannot be read: no sum without it */
	assert_null(rapl_new(dir));
	temp_dir_remove(dir);
}

static double joules_of(const struct place *p, size_t *ret_events)
{
	double joules = 0;
	autojson json_t *list = read_values(p);
	*ret_events = json_array_size(list);
	for (size_t i = 0; i < *ret_events; i++)
		joules += json_num_or(json_array_get(list, i), "joules", NAN);
	return joules;
}

static void test_energy_on_the_cpu(void **state)
{
	struct place p;
	struct telemetry_epoch epoch;
	size_t n, counted = 0;
	place_init(&p, 1);
	zone(p.dir, "intel-rapl:0", "package-0", "0");
	struct telemetry *t = begin(&p, "", NULL, 0);
	wait_events(&p, 1);
	zone(p.dir, "intel-rapl:0", "package-0", "3000000");
	for (n = 0; !counted || n == counted; wait_events(&p, 1)) /* and one more: nothing passes now */
		if (joules_of(&p, &n) > 2.9 && !counted)
			counted = n;
	telemetry_epoch(t, &epoch);
	telemetry_free(t);
	assert_float_equal(joules_of(&p, &n), 3, 1e-9);
	assert_float_equal(epoch.joules, 3, 1e-9);
	autojson json_t *list = read_values(&p);
	assert_true(isnan(epoch.vram_mib) && !has(json_array_get(list, 0), "gpu_percent"));
	place_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gpu),
		cmocka_unit_test(test_power_where_energy_is_not_counted),
		cmocka_unit_test(test_what_a_gpu_does_not_tell_is_left_out),
		cmocka_unit_test(test_the_rest_is_recorded),
		cmocka_unit_test(test_what_the_driver_says_against_it),
		cmocka_unit_test(test_attempts_that_share_a_gpu),
		cmocka_unit_test(test_rapl),
		cmocka_unit_test(test_energy_on_the_cpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
