/* What a training says: its events, its progress, its log lines.  See train_internal.h. */
#include "train_internal.h"

#include "joblog.h"
#include "plan_record.h"
#include "procstat.h"
#include "resume.h"

#include "common/clock.h"
#include "common/json.h"

#include <math.h>

#define PROGRESS_INTERVAL_S 0.25

/* Which plans it computes with: JOB_DIR/plan.json, and in short in `started`.  Others than before give other bits. */
static void record_plan(struct training *t, json_t *started)
{
	if (!t->job->backend->describe)
		return;
	autojson json_t *plan = t->job->backend->describe(t->plan);
	const json_t *convolutions = json_object_get(plan, "convolutions");
	bool differs = plan_record(t->job->job_dir, plan);
	t->device_bytes = json_int_or(plan, "device_bytes", 0);
	json_object_set_new(started, "plan", json_pack("{s:I, s:f, s:I}", "device_bytes", (json_int_t)t->device_bytes,
						       "seconds", json_num_or(plan, "seconds", 0), "convolutions",
						       (json_int_t)json_object_size(convolutions)));
	if (differs && !t->resumed_note && (t->at.epoch || t->at.step))
		t->resumed_note = xstrdup("convolutions use other plans than before: not bit for bit the undisturbed run");
}

static void begin_telemetry(struct training *t)
{
	struct device_info info;
	t->job->backend->info(t->job->device, &info);
	t->telemetry = telemetry_new(&(struct telemetry_config){
		.events = t->job->events,
		.gpu = *info.uuid ? info.uuid : NULL,
		.own_bytes = t->device_bytes,
	});
}

/* What is unusual about the configuration, and about it on this device. */
static json_t *warnings_of(const struct train_job *job, const json_t *runtime)
{
	json_t *warnings = config_warnings(&job->config);
	if (job->config.use_amp && str_eq(json_string_value(json_object_get(runtime, "amp")), "fp32"))
		json_array_append_new(warnings, json_sprintf("mixed precision: no (%s): \"use_amp\" true changes nothing",
							     str_eq(job->backend->name, "cpu") ? "this CPU has no bf16"
											       : "this device has none"));
	return warnings;
}

int training_emit_started(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	json_t *body = runtime_json(t->job);
	json_object_set_new(json_object_get(body, "versions"), "sweepd", json_string(SWEEPD_VERSION));
	json_object_set_new(body, "start_epoch", json_integer(t->at.epoch));
	json_object_set_new(body, "start_step", json_integer(t->at.step));
	json_object_set_new(body, "num_workers", json_integer(cfg->num_workers));
	json_object_set_new(body, "batch_size", json_integer(t->at.batch.size));
	json_object_set_new(body, "train_images", json_integer((json_int_t)t->data->sets[SPLIT_TRAIN].count));
	json_object_set_new(body, "test_images", json_integer((json_int_t)t->data->sets[SPLIT_TEST].count));
	if (t->data->sets[SPLIT_VAL].count)
		json_object_set_new(body, "val_images", json_integer((json_int_t)t->data->sets[SPLIT_VAL].count));
	json_object_set_new(body, "steps_per_epoch", json_integer(position_steps(&t->at, t->data->sets[SPLIT_TRAIN].count)));
	json_object_set_new(body, "warnings", warnings_of(t->job, body));
	json_object_set(body, "pretrained", t->pretrained ? t->pretrained : json_null());
	record_plan(t, body);
	json_object_set_new(body, "resumed_note", t->resumed_note ? json_string(t->resumed_note) : json_null());
	job_log(t->job->job_dir, "%s, batch %d, %s on %s (%s backend, %d threads)%s", config_choice(cfg, "model"),
		t->at.batch.size, json_string_value(json_object_get(body, "amp")),
		json_string_value(json_object_get(body, "device")), t->job->backend->name, t->job->threads,
		t->at.epoch || t->at.step ? ", goes on from its checkpoint" : "");
	int r = event_emit(t->job->events, "started", body, err);
	if (r == 0)
		begin_telemetry(t);
	return r;
}

/* step: of steps, of the training or of its test. */
void training_progress(struct training *t, bool testing, uint32_t step, uint32_t steps)
{
	const struct position *at = &t->at;
	double now = monotonic_s();
	if (!t->job->progress || now - t->last_progress_s < PROGRESS_INTERVAL_S)
		return;
	t->last_progress_s = now;
	struct train_progress p = {
		.epoch = at->epoch + 1,
		.step = step,
		.steps = steps,
		.train_loss = at->sums.images ? at->sums.loss / (double)at->sums.images : NAN,
		.images_per_second = at->train_seconds > 0 ? (double)at->sums.images / at->train_seconds : 0,
		.testing = testing,
	};
	t->job->progress(t->job->progress_arg, &p);
}

double sums_loss(const struct sums *s)
{
	return s->images ? s->loss / (double)s->images : NAN;
}

double sums_percent(const struct sums *s)
{
	return s->images ? 100.0 * s->correct / (double)s->images : 0;
}

/* What is known. */
static void add_telemetry(struct training *t, json_t *epoch)
{
	struct telemetry_epoch used;
	telemetry_epoch(t->telemetry, &used);
	if (!isnan(used.vram_mib))
		json_object_set_new(epoch, "vram_mib", json_integer((json_int_t)used.vram_mib));
	if (!isnan(used.watts))
		json_object_set_new(epoch, "watts", json_real(used.watts));
	if (!isnan(used.joules))
		json_object_set_new(epoch, "joules", json_real(used.joules));
}

static int emit_metric(struct training *t, const char *name, double value, struct err *err)
{
	json_t *body = json_pack("{s:i, s:s}", "epoch", t->at.epoch + 1, "name", name);
	json_object_set_new(body, "value", json_num(value));
	return event_emit(t->job->events, "metric", body, err);
}

/* of: such as "ema_test"; column: loss and accuracy have one of their own. */
static int emit_sums(struct training *t, const char *of, const struct sums *sums, bool column, struct err *err)
{
	const struct {
		const char *name;
		double value;
	} values[] = {
		{"top5_accuracy", sums->images ? 100.0 * (double)sums->correct5 / (double)sums->images : 0},
		{"loss", sums_loss(sums)},
		{"accuracy", sums_percent(sums)},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < (column ? 1 : ARRAY_LEN(values)); i++) {
		autofree char *name = xasprintf("%s_%s", of, values[i].name);
		r = emit_metric(t, name, values[i].value, err);
	}
	return r;
}

static int emit_tests(struct training *t, const struct tested *tested, struct err *err)
{
	const struct split_tested *val = &tested->of[SPLIT_VAL], *test = &tested->of[SPLIT_TEST];
	const struct {
		const char *of;
		const struct sums *sums;
	} tests[] = {
		{"test", &test->weights.plain},	{"ema_test", &test->ema.plain},
		{"mirror_test", &test->weights.mirror}, {"ema_mirror_test", &test->ema.mirror},
		{"val", &val->weights.plain},	{"ema_val", &val->ema.plain},
		{"mirror_val", &val->weights.mirror}, {"ema_mirror_val", &val->ema.mirror},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tests); i++)
		if (tests[i].sums->images)
			r = emit_sums(t, tests[i].of, tests[i].sums, i == 0, err);
	return r;
}

/* What has no column of its own. */
static int emit_metrics(struct training *t, const struct tested *tested, struct err *err)
{
	struct device_info info;
	int r = emit_tests(t, tested, err);
	t->job->backend->info(t->job->device, &info);
	if (r == 0 && t->job->config.use_amp && info.amp && str_eq(info.amp, "fp16"))
		r = emit_metric(t, "skipped_steps", (double)t->at.sums.skipped, err);
	return r;
}

int training_flush_steps(struct training *t, struct err *err)
{
	return step_log_flush(&t->step_log, t->job->events, t->at.epoch + 1, err);
}

int training_emit_epoch(struct training *t, const struct epoch_result *result, const struct tested *tested, struct err *err)
{
	const struct position *at = &t->at;
	json_t *body = json_pack("{s:i, s:i, s:I}", "epoch", at->epoch + 1, "batch_size", t->batch, "ram_mib",
				 (json_int_t)procstat_peak_ram_mib());
	json_object_set_new(body, "lr", json_num(t->values[0].lr));
	json_object_set_new(body, "train_loss", json_num(result->train_loss));
	json_object_set_new(body, "train_accuracy", json_num(result->train_accuracy));
	json_object_set_new(body, "test_loss", json_num(result->test_loss));
	json_object_set_new(body, "test_accuracy", json_num(result->test_accuracy));
	json_object_set_new(body, "train_seconds", json_num(at->train_seconds));
	json_object_set_new(body, "test_seconds", json_num(tested->seconds));
	json_object_set_new(body, "images_per_second", json_num((double)at->sums.images / at->train_seconds));
	if (t->step_log.every)
		json_object_set_new(body, "step", json_integer(at->steps_before + at->step));
	add_telemetry(t, body);
	int r = training_flush_steps(t, err);
	r = r < 0 ? r : emit_metrics(t, tested, err);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	return event_emit(t->job->events, "epoch", body, err); /* last: who sees it has its metrics */
}

const char *const release_names[N_RELEASE_WHYS] = {"", "stop", "pause", "time_limit"};

static const char *release_name(const struct train_control *control)
{
	return release_names[atomic_load(&control->release)];
}

int training_emit_outcome(struct training *t, enum outcome outcome, struct err *err)
{
	telemetry_stop(t->telemetry);
	const struct train_job *job = t->job;
	int epochs = t->at.epoch;
	switch (outcome) {
	case FINISHED: {
		bool early = epochs < job->config.epochs;
		autofree char *note = early ? xasprintf("stopped early at %d", epochs) : NULL;
		job_log(job->job_dir, "done after %d epochs%s", epochs, early ? ", stopped early" : "");
		int r = event_emit(job->events, "done", json_pack("{s:i, s:s?}", "epochs", epochs, "note", note), err);
		if (r == 0 && event_log_ended(job->events)) /* not while it waits for room */
			checkpoint_remove_last(job->job_dir);
		return r;
	}
	case CANCELLED:
		job_log(job->job_dir, "cancelled in epoch %d", epochs + 1);
		return event_emit(job->events, "cancelled", json_object(), err);
	case RELEASED:
		job_log(job->job_dir, "released (%s) in epoch %d after step %u", release_name(job->control), epochs + 1,
			t->at.step);
		return event_emit(job->events, "released",
				  json_pack("{s:s, s:i, s:I}", "why", release_name(job->control), "epoch", epochs,
					    "step", (json_int_t)t->at.step),
				  err);
	case FENCED:
		job_log(job->job_dir, "ended: the daemon gave this attempt up");
		return 0;
	case GO_ON:
		break;
	}
	BUG("a job ended without an outcome");
}

void training_emit_failed(struct training *t, int code, enum fail_class class, const struct err *err)
{
	if (code == -EDOM)
		class = FAIL_DIVERGED;
	else if (code == -ENOMEM)
		class = FAIL_OOM;
	else if (code == -ENODATA)
		class = FAIL_DATA;
	else if (code == -ENODEV && class == FAIL_INTERNAL) /* and not a data set's file system */
		class = FAIL_DEVICE;
	char trouble[TELEMETRY_TROUBLE_MAX] = "";
	telemetry_stop(t->telemetry); /* its last look is the one that matters */
	if (class == FAIL_DEVICE)
		telemetry_trouble(t->telemetry, trouble);
	if (class == FAIL_DEVICE && t->job->lost_device)
		atomic_store(t->job->lost_device, true);
	autofree char *reason = xasprintf("%s%s%s", err->text, *trouble ? "; " : "", trouble);
	job_log(t->job->job_dir, "failed (%s): %s", fail_class_names[class], reason);
	event_emit(t->job->events, "failed", json_pack("{s:s, s:s}", "class", fail_class_names[class], "reason", reason),
		   NULL);
}
