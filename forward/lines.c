/* See lines.h. */
#include "lines.h"

#include "common/json.h"
#include "common/utf8.h"

#include <ctype.h>
#include <math.h>
#include <sha2.h>
#include <time.h>

/* --- a line --- */

void line_fini(struct line *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->items[i].key);
		free(l->items[i].value);
	}
	free(l->items);
	*l = (struct line){0};
}

/* Consumes value. */
static void add(struct line *l, const char *key, char *value)
{
	l->items = xrealloc_array(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = (struct line_item){xstrdup(key), value};
}

static char *json_text(const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	return text ? text : xstrdup("null");
}

static char *quoted(const char *text)
{
	autojson json_t *string = json_string(text);
	return string ? json_text(string) : xstrdup("\"?\"");
}

char *line_text(const struct line *l)
{
	char *text = NULL;
	size_t size;
	autofile FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	fputc('{', f);
	for (size_t i = 0; i < l->n; i++) {
		autofree char *key = quoted(l->items[i].key);
		fprintf(f, "%s%s:%s", i ? "," : "", key, l->items[i].value);
	}
	fputc('}', f);
	INVARIANT(fclose(steal_ptr(f)) == 0, "out of memory");
	return text;
}

void line_add_num(struct line *l, const char *key, double value)
{
	char buf[32];
	if (isfinite(value))
		add(l, key, xstrdup(number_text(value, buf)));
	else
		add(l, key, xstrdup(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity"));
}

void line_add_int(struct line *l, const char *key, int64_t value)
{
	add(l, key, xasprintf("%lld", (long long)value));
}

/* --- rows --- */

static double runtime_s(const struct line_job *job, int64_t at_ms)
{
	return (double)MAX(at_ms - job->started_ms, 0) / 1000; /* a clock may have been set back */
}

static void add_time(struct line *l, const struct line_job *job, int64_t at_ms)
{
	line_add_num(l, "_runtime", runtime_s(job, at_ms));
	line_add_num(l, "_timestamp", (double)at_ms / 1000);
}

static bool is_reserved(const char *key)
{
	return key[0] == '_';
}

/* A number, also one that is not finite; text; true, false.  Others have no place in a row. */
static void add_value(struct line *l, const char *key, const json_t *object, const char *member)
{
	double number;
	const json_t *value = json_object_get(object, member);
	if (json_is_integer(value))
		line_add_int(l, key, json_integer_value(value));
	else if (json_get_num(object, member, &number, NULL) == 0)
		line_add_num(l, key, number);
	else if (json_is_string(value) || json_is_boolean(value))
		add(l, key, json_text(value));
}

bool line_epoch_is_due(const struct line_job *job, int64_t epoch)
{
	return job->log_every <= 1 || epoch % job->log_every == 0 || epoch == job->epochs;
}

#define GLOBAL_STEP "train/global_step"

static void add_epoch(struct line *l, const struct line_job *job, const json_t *detail)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)detail, key, value)
		if (!is_reserved(key))
			add_value(l, job->samples && str_eq(key, "step") ? GLOBAL_STEP : key, detail, key);
	line_add_int(l, "_step", json_int_or(detail, "epoch", 0));
}

bool line_of_epoch(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail)
{
	int64_t epoch;
	if (json_get_int(detail, "epoch", &epoch, NULL) < 0)
		return false;
	*ret = (struct line){0};
	add_epoch(ret, job, detail);
	add_time(ret, job, at_ms);
	return true;
}

void line_of_step(struct line *ret, const struct line_job *job, int64_t at_ms, const struct step_sample *sample)
{
	*ret = (struct line){0};
	line_add_int(ret, GLOBAL_STEP, sample->step);
	line_add_num(ret, "train/loss", sample->train_loss);
	line_add_num(ret, "train/learning_rate", sample->lr);
	if (sample->clipped)
		line_add_num(ret, "train/grad_norm", sample->grad_norm);
	line_add_int(ret, "_step", 0);
	add_time(ret, job, at_ms);
}

void line_number(struct line *l, const struct line_job *job, int64_t number)
{
	for (size_t i = 0; job->samples && i < l->n; i++) {
		if (!str_eq(l->items[i].key, "_step"))
			continue;
		free(l->items[i].value);
		l->items[i].value = xasprintf("%lld", (long long)number);
	}
}

void line_add_metric(struct line *l, const char *name, double value)
{
	bool taken = is_reserved(name);
	for (size_t i = 0; i < l->n; i++)
		taken = taken || str_eq(l->items[i].key, name);
	autofree char *key = taken ? xasprintf("metric/%s", name) : xstrdup(name);
	line_add_num(l, key, value);
}

/* --- system --- */

/* Ours (worker/telemetry.h) and W&B's, of the one GPU an attempt has. */
static const struct {
	const char *ours, *theirs;
	double scale; /* theirs = ours * scale */
} system_keys[] = {
	{"cpu_percent", "cpu", 1},
	{"ram_mib", "proc.memory.rssMB", 1},
	{"gpu_percent", "gpu.0.gpu", 1},
	{"vram_mib", "gpu.0.memoryAllocatedBytes", 1048576},
	{"temperature_c", "gpu.0.temp", 1},
	{"sm_clock_mhz", "gpu.0.smClock", 1},
	{"ecc_corrected", "gpu.0.correctedMemoryErrors", 1},
	{"ecc_uncorrected", "gpu.0.uncorrectedMemoryErrors", 1},
};

/* Consumption is the GPU's where there is one. */
static void add_system(struct line *l, const json_t *values, const char *name)
{
	double number = json_num_or(values, name, NAN);
	if (str_eq(name, "watts") && json_object_get(values, "gpu_percent")) {
		line_add_num(l, "system.gpu.0.powerWatts", number);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(system_keys); i++) {
		if (!str_eq(system_keys[i].ours, name))
			continue;
		autofree char *key = xasprintf("system.%s", system_keys[i].theirs);
		line_add_num(l, key, number * system_keys[i].scale);
		return;
	}
	autofree char *key = xasprintf("system.%s", name);
	add_value(l, key, values, name);
}

bool line_of_telemetry(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail)
{
	const char *name;
	json_t *value;
	json_t *values = json_object_get(detail, "values");
	if (!json_is_object(values))
		return false;
	*ret = (struct line){0};
	add(ret, "_wandb", xstrdup("true"));
	json_object_foreach(values, name, value)
		add_system(ret, values, name);
	add_time(ret, job, at_ms);
	return true;
}

/* --- summary --- */

void line_best_take(struct line_best *best, const struct line_job *job, const json_t *detail)
{
	double value = job->metric ? json_num_or(detail, job->metric, NAN) : NAN;
	if (!isfinite(value))
		return;
	if (best->epoch && (job->maximize ? value <= best->value : value >= best->value))
		return;
	*best = (struct line_best){json_int_or(detail, "epoch", 0), value};
}

bool line_of_summary(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail,
		     const struct line_best *best)
{
	if (!line_of_epoch(ret, job, at_ms, detail))
		return false;
	if (best->epoch && job->metric) {
		autofree char *key = xasprintf("best_%s", job->metric);
		line_add_num(ret, key, best->value);
		line_add_int(ret, "best_epoch", best->epoch);
	}
	add(ret, "_wandb", xasprintf("{\"runtime\":%.0f}", floor(runtime_s(job, at_ms))));
	return true;
}

/* --- console --- */

/* "2026-11-24 02:18:03 " */
static bool has_stamp(const char *text, size_t size)
{
	static const char pattern[] = "0000-00-00 00:00:00 ";
	if (size < sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; pattern[i]; i++)
		if (pattern[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != pattern[i])
			return false;
	return true;
}

#define CUT " ..."

char *line_of_console(const char *text, size_t size)
{
	bool cut = size > LINE_CONSOLE_MAX;
	size_t n = cut ? LINE_CONSOLE_MAX - strlen(CUT) : size;
	char *line = xcalloc(n + sizeof(CUT), 1);
	for (size_t i = 0; i < n; i++)
		line[i] = text[i] ? text[i] : '?';
	utf8_clean(line); /* what the cut left of a character too */
	if (cut)
		strcat(line, CUT);
	if (!has_stamp(line, n))
		return line;
	char *stamped = xasprintf("%.10sT%.8s.000000 %s", line, line + 11, line + 20);
	free(line);
	return stamped;
}

/* --- configuration --- */

#define WANDB_FEATURES "[3,13,14,16,56]" /* W&B's numbers: metrics defined, name, id and config set, a client in C */

/* An x axis, then the metrics drawn over it: {"1": name, "5": 1-based place of the axis in the list, "6": [1: in step with
 * it, 3: defined by hand], "7": [6: no place in the summary]}. */
static void define(json_t *list, const char *axis, const char *const *names, size_t n, bool in_summary)
{
	json_array_append_new(list, json_pack("{s:s, s:[i]}", "1", axis, "6", 3));
	json_int_t place = (json_int_t)json_array_size(list);
	for (size_t i = 0; i < n; i++) {
		json_t *metric = json_pack("{s:s, s:I, s:[i, i]}", "1", names[i], "5", place, "6", 1, 3);
		if (!in_summary)
			json_object_set_new(metric, "7", json_pack("[i]", 6));
		json_array_append_new(list, metric);
	}
}

static json_t *metric_definitions(bool samples)
{
	static const char *const of_epoch[] = {"train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr"};
	static const char *const of_step[] = {"train/loss", "train/learning_rate", "train/grad_norm"};
	json_t *list = json_array();
	define(list, "epoch", of_epoch, ARRAY_LEN(of_epoch), true);
	if (samples)
		define(list, GLOBAL_STEP, of_step, ARRAY_LEN(of_step), false);
	return list;
}

json_t *line_config(const json_t *config, const json_t *metadata)
{
	const char *key;
	json_t *value, *ret = json_object();
	json_object_foreach((json_t *)config, key, value)
		json_object_set_new(ret, key, json_pack("{s:O}", "value", value));
	json_t *features = json_loads(WANDB_FEATURES, 0, NULL);
	json_t *own = json_pack("{s:s, s:{s:o, s:s, s:s}, s:o}", "cli_version", SWEEPD_VERSION, "t", "3", features, "5",
				SWEEPD_VERSION, "12", SWEEPD_VERSION, "m",
				metric_definitions(json_int_or(config, "log_steps", 0) > 0));
	if (metadata)
		json_object_set_new(own, "e", json_pack("{s:O}", "sweepd", metadata));
	json_object_set_new(ret, "_wandb", json_pack("{s:o}", "value", own));
	return ret;
}

json_t *line_metadata(const struct line_machine *machine, int64_t started_ms, const json_t *started)
{
	char stamp[40];
	struct tm tm;
	time_t seconds = (time_t)(started_ms / 1000);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:{s:s}}", "os", machine->os, "host", machine->host,
			      "program", "sweep-worker", "startedAt", stamp, "cpu_count", machine->cores,
			      "cpu_count_logical", machine->cores, "memory", "total", "0");
	autofree char *total = xasprintf("%lld", (long long)machine->ram_bytes); /* a uint64 of protobuf: text in JSON */
	json_object_set_new(json_object_get(o, "memory"), "total", json_string(total));
	const char *device = json_str_or(started, "device", NULL);
	if (device && str_eq(json_str_or(started, "backend", ""), "cuda")) {
		json_object_set_new(o, "gpu", json_string(device));
		json_object_set_new(o, "gpu_count", json_integer(1));
	}
	return o;
}

void line_run_id(char ret[WANDB_ID_SIZE], const struct line_identity *sweep, int64_t position)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX sha;
	autofree char *name = xasprintf("%s %s %lld %lld %lld %lld", sweep->hash, sweep->submission ? sweep->submission : "-",
					(long long)sweep->sweep, (long long)sweep->submitted_ms, (long long)sweep->owner,
					(long long)MAX(position, -1));
	SHA256Init(&sha);
	SHA256Update(&sha, (const uint8_t *)name, strlen(name));
	SHA256Final(digest, &sha);
	for (size_t i = 0; i < WANDB_ID_SIZE - 1; i++)
		ret[i] = digits[digest[i] % 36];
	ret[WANDB_ID_SIZE - 1] = '\0';
}

int line_exit_code(const char *job_state)
{
	if (str_eq(job_state, "done") || str_eq(job_state, "pruned"))
		return 0;
	return str_eq(job_state, "cancelled") ? 255 : 1;
}
