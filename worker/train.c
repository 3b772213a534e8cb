/* See train.h. */
#include "train.h"

#include "augment.h"
#include "checkpoint.h"
#include "data.h"
#include "joblog.h"
#include "position.h"
#include "procstat.h"

#include "common/clock.h"
#include "common/datasets.h"
#include "common/json.h"
#include "common/protocol.h"

#include <math.h>

#define PROGRESS_INTERVAL_S 0.25
#define TELEMETRY_INTERVAL_S 30
#define CHUNK_S 0.1 /* wishes are looked at so often, if a step is not longer */

/* How a stretch of training ended, where it is not an error. */
enum outcome { GO_ON, FINISHED, CANCELLED, RELEASED, FENCED };

struct training {
	const struct train_job *job;
	struct dataset *data;
	struct net *net;
	struct plan *plan;
	struct checkpointer *checkpointer;
	struct position at;
	uint32_t *order;
	uint32_t steps; /* of an epoch */
	double last_checkpoint_s, last_progress_s;
	double last_telemetry_s, last_cpu_s;
	double step_s; /* measured; 0: not yet */
	char *resumed_note;
};

static const struct backend *backend_of(const struct training *t)
{
	return t->job->backend;
}

/* Parameters that may differ between a checkpoint and the job that goes on from it: they do not move a bit. */
static bool may_differ(const char *name)
{
	static const char *const names[] = {"epochs", "num_workers", "pin_memory", "checkpoint_interval_s", "use_wandb"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static int same_config(const json_t *state, const struct train_config *cfg, struct err *err)
{
	const json_t *stored = json_object_get(state, "config");
	for (size_t i = 0; i < n_params; i++) {
		autojson json_t *mine = config_get(cfg, &params[i]);
		if (may_differ(params[i].name) || json_equal(mine, json_object_get(stored, params[i].name)))
			continue;
		return err_set(err, -EINVAL, "the checkpoint was made with another %s; start without it (remove last.safetensors)",
			       params[i].name);
	}
	return 0;
}

static json_t *runtime_json(const struct training *t)
{
	const struct train_job *job = t->job;
	struct device_info info;
	backend_of(t)->info(job->device, &info);
	return json_pack("{s:s, s:s, s:s, s:i}", "backend", backend_of(t)->name, "device", info.name, "amp",
			 job->config.use_amp && info.bf16 ? "bf16" : "fp32", "threads", job->threads);
}

/* What of the machine differs from the run that made the checkpoint: the resume is then not bit for bit. */
static char *runtime_difference(const struct training *t, const json_t *state)
{
	autojson json_t *now = runtime_json(t);
	const json_t *then = json_object_get(state, "runtime");
	const char *key;
	json_t *value;
	json_object_foreach(now, key, value) {
		const json_t *before = json_object_get(then, key);
		if (json_equal(value, before))
			continue;
		autofree char *a = before ? json_dumps(before, JSON_ENCODE_ANY) : NULL;
		autofree char *b = json_dumps(value, JSON_ENCODE_ANY);
		return xasprintf("%s was %s, now %s: not bit for bit the undisturbed run", key, a ? a : "?", b);
	}
	return NULL;
}

static json_t *checkpoint_state(const struct training *t)
{
	json_t *state = position_save(&t->at);
	json_object_set_new(state, "config", config_to_json(&t->job->config));
	json_object_set_new(state, "runtime", runtime_json(t));
	json_object_set_new(state, "sweepd", json_string(SWEEPD_VERSION));
	return state;
}

static int write_checkpoint(struct training *t, enum checkpoint_kind kind, struct err *err)
{
	if (kind == CHECKPOINT_LAST)
		t->last_checkpoint_s = monotonic_s();
	return checkpointer_write(t->checkpointer, kind, checkpoint_state(t), err);
}

static int load_checkpoint(struct training *t, struct state *state, struct err *err)
{
	autojson json_t *saved = NULL;
	int r = checkpoint_load(t->job->job_dir, t->net, state, &saved, err);
	if (r < 0)
		return r;
	r = same_config(saved, &t->job->config, err);
	if (r < 0)
		return r;
	r = position_load(&t->at, saved, err);
	if (r < 0)
		return err_prefix(err, r, "last.safetensors");
	t->resumed_note = runtime_difference(t, saved);
	return 0;
}

/* Fresh weights, or the checkpoint's.  A damaged checkpoint is set aside and said, and the job starts afresh: an
 * unreadable file must not need a person (invariant 10). */
static int init_state(struct training *t, struct err *err)
{
	struct state state;
	backend_of(t)->state_alloc(t->plan, &state);
	int r = t->job->resume ? load_checkpoint(t, &state, err) : -ENOENT;
	if (r == -EBADMSG) {
		job_log(t->job->job_dir, "%s; training starts afresh", err->text);
		t->resumed_note = xasprintf("started afresh: %s", err->text);
	}
	if (r == -ENOENT || r == -EBADMSG) {
		state_fini(&state);
		state_init(&state, t->net, (uint64_t)t->job->config.seed);
		r = 0;
	}
	if (r == 0)
		backend_of(t)->state_set(t->plan, &state);
	state_fini(&state);
	return r;
}

static int open_data(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	const char *name = config_choice(cfg, "dataset");
	autofree char *dir = NULL;
	int r = datasets_find(name, t->job->data_dir, &dir, err);
	if (r < 0)
		return r;
	return dataset_open(&t->data, name, dir, (size_t)cfg->train_images, (size_t)cfg->test_images, err);
}

static int prepare_plan(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	struct recipe recipe = {
		.amp = cfg->use_amp,
		.nesterov = cfg->nesterov,
		.momentum = cfg->momentum,
		.weight_decay = cfg->weight_decay,
		.label_smoothing = cfg->label_smoothing,
		.random_crop = cfg->random_crop,
		.random_flip = cfg->random_flip,
		.seed = (uint64_t)cfg->seed,
		.num_workers = cfg->num_workers,
	};
	t->net = net_new(config_choice(cfg, "model"), t->data->size, t->data->classes);
	INVARIANT(t->net, "params.def offers a model that model.c does not have");
	int r = backend_of(t)->load(t->job->device, t->data, err);
	if (r < 0)
		return r;
	return backend_of(t)->prepare(t->job->device, t->net, &recipe, cfg->batch_size, &t->plan, err);
}

static int emit_started(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	json_t *body = runtime_json(t);
	json_object_set_new(body, "start_epoch", json_integer(t->at.epoch));
	json_object_set_new(body, "start_step", json_integer(t->at.step));
	json_object_set_new(body, "num_workers", json_integer(cfg->num_workers));
	json_object_set_new(body, "batch_size", json_integer(cfg->batch_size));
	json_object_set_new(body, "train_images", json_integer((json_int_t)t->data->sets[SPLIT_TRAIN].count));
	json_object_set_new(body, "test_images", json_integer((json_int_t)t->data->sets[SPLIT_TEST].count));
	json_object_set_new(body, "steps_per_epoch", json_integer(t->steps));
	json_object_set_new(body, "versions", json_pack("{s:s}", "sweepd", SWEEPD_VERSION));
	json_object_set_new(body, "resumed_note", t->resumed_note ? json_string(t->resumed_note) : json_null());
	job_log(t->job->job_dir, "%s, batch %d, %s on %s (%s backend, %d threads)%s", config_choice(cfg, "model"),
		cfg->batch_size, json_string_value(json_object_get(body, "amp")),
		json_string_value(json_object_get(body, "device")), backend_of(t)->name, t->job->threads,
		t->at.epoch || t->at.step ? ", goes on from its checkpoint" : "");
	return event_emit(t->job->events, "started", body, err);
}

/* Everything before the first step.  ret_class: what a failure here is called. */
static int prepare(struct training *t, enum fail_class *ret_class, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	procstat_reset_peak();
	position_init(&t->at, cfg);
	*ret_class = FAIL_DATA;
	int r = open_data(t, err);
	if (r < 0)
		return r;
	*ret_class = FAIL_INTERNAL;
	r = prepare_plan(t, err);
	if (r < 0)
		return r;
	*ret_class = FAIL_CONFIG;
	r = init_state(t, err);
	if (r < 0)
		return r;
	*ret_class = FAIL_INTERNAL;
	size_t images = t->data->sets[SPLIT_TRAIN].count, batch = (size_t)cfg->batch_size;
	t->steps = (uint32_t)((images + batch - 1) / batch);
	t->order = xmalloc(images * sizeof(*t->order));
	t->last_checkpoint_s = t->last_telemetry_s = monotonic_s();
	t->last_cpu_s = procstat_cpu_seconds();
	r = checkpointer_new(&t->checkpointer, t->job->job_dir, t->net, backend_of(t), t->plan, t->job->events, err);
	return r < 0 ? r : emit_started(t, err);
}

static void report_progress(struct training *t, bool testing)
{
	const struct position *at = &t->at;
	double now = monotonic_s();
	if (!t->job->progress || (!testing && now - t->last_progress_s < PROGRESS_INTERVAL_S))
		return;
	t->last_progress_s = now;
	struct train_progress p = {
		.epoch = at->epoch + 1,
		.step = at->step,
		.steps = t->steps,
		.train_loss = at->sums.images ? at->sums.loss / (double)at->sums.images : NAN,
		.images_per_second = at->train_seconds > 0 ? (double)at->sums.images / at->train_seconds : 0,
		.testing = testing,
	};
	t->job->progress(t->job->progress_arg, &p);
}

static int emit_telemetry(struct training *t, struct err *err)
{
	double now = monotonic_s(), elapsed = now - t->last_telemetry_s;
	if (elapsed < TELEMETRY_INTERVAL_S)
		return 0;
	double cpu = procstat_cpu_seconds();
	json_t *values = json_pack("{s:f, s:I}", "cpu_percent", 100 * (cpu - t->last_cpu_s) / elapsed, "ram_mib",
				   (json_int_t)procstat_ram_mib());
	t->last_telemetry_s = now;
	t->last_cpu_s = cpu;
	return event_emit(t->job->events, "telemetry", json_pack("{s:o}", "values", values), err);
}

/* Between two steps: what others want of this job, and the checkpoint that is due. */
static int heed_wishes(struct training *t, enum outcome *ret, struct err *err)
{
	struct train_control *control = t->job->control;
	if (atomic_load(&control->fence)) {
		*ret = FENCED;
		return 0;
	}
	if (atomic_load(&control->cancel)) {
		*ret = CANCELLED;
		return 0;
	}
	bool release = atomic_load(&control->release) != RELEASE_NONE;
	bool due = monotonic_s() - t->last_checkpoint_s >= t->job->config.checkpoint_interval_s;
	if (!release && !due && !atomic_exchange(&control->checkpoint, false))
		return 0;
	int r = write_checkpoint(t, CHECKPOINT_LAST, err);
	if (r == 0 && release)
		r = checkpointer_flush(t->checkpointer, err);
	if (release)
		*ret = RELEASED;
	return r;
}

static uint32_t chunk_steps(const struct training *t)
{
	if (t->step_s <= 0 || t->job->config.checkpoint_interval_s <= 0)
		return 1;
	uint32_t n = (uint32_t)MIN(CHUNK_S / t->step_s, 1e6);
	return MIN(MAX(n, 1u), t->steps - t->at.step);
}

/* The rest of the epoch under way. */
static int train_epoch(struct training *t, enum outcome *ret, struct err *err)
{
	size_t images = t->data->sets[SPLIT_TRAIN].count;
	epoch_order(t->order, images, (uint64_t)t->job->config.seed, (uint32_t)t->at.epoch);
	struct epoch_tables tables = {
		.epoch = t->at.epoch,
		.order = t->order,
		.n_order = images,
		.lr = schedule_lr(&t->at.schedule),
	};
	backend_of(t)->begin_epoch(t->plan, &tables);
	while (t->at.step < t->steps) {
		uint32_t n = chunk_steps(t);
		double start = monotonic_s();
		int r = backend_of(t)->run(t->plan, t->at.step, n, &t->at.sums, err);
		if (r < 0)
			return r;
		double seconds = monotonic_s() - start;
		t->at.step += n;
		t->at.train_seconds += seconds;
		t->step_s = seconds / n;
		report_progress(t, false);
		r = emit_telemetry(t, err);
		r = r ? r : heed_wishes(t, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	return 0;
}

static double percent(const struct sums *s)
{
	return s->images ? 100.0 * (double)s->correct / (double)s->images : 0;
}

static int emit_epoch(struct training *t, double lr, const struct sums *test, double test_seconds, struct err *err)
{
	const struct position *at = &t->at;
	const struct sums *train = &at->sums;
	json_t *body = json_pack("{s:i, s:i, s:I}", "epoch", at->epoch + 1, "batch_size", t->job->config.batch_size,
				 "ram_mib", (json_int_t)procstat_peak_ram_mib());
	json_object_set_new(body, "lr", json_num(lr));
	json_object_set_new(body, "train_loss", json_num(train->loss / (double)train->images));
	json_object_set_new(body, "train_accuracy", json_num(percent(train)));
	json_object_set_new(body, "test_loss", json_num(test->loss / (double)test->images));
	json_object_set_new(body, "test_accuracy", json_num(percent(test)));
	json_object_set_new(body, "train_seconds", json_num(at->train_seconds));
	json_object_set_new(body, "test_seconds", json_num(test_seconds));
	json_object_set_new(body, "images_per_second", json_num((double)train->images / at->train_seconds));
	return event_emit(t->job->events, "epoch", body, err);
}

/* Tests, records the epoch and moves to the next one. */
static int end_epoch(struct training *t, struct err *err)
{
	struct sums test;
	report_progress(t, true);
	double start = monotonic_s(), lr = schedule_lr(&t->at.schedule);
	int r = backend_of(t)->evaluate(t->plan, SPLIT_TEST, &test, err);
	if (r < 0)
		return r;
	r = emit_epoch(t, lr, &test, monotonic_s() - start, err);
	if (r < 0)
		return r;
	double loss = test.loss / (double)test.images;
	bool best = position_end_epoch(&t->at, loss, percent(&test));
	if (schedule_lr(&t->at.schedule) != lr)
		job_log(t->job->job_dir, "epoch %d: %s lowers lr %g -> %g", t->at.epoch,
			config_choice(&t->job->config, "scheduler"), lr, schedule_lr(&t->at.schedule));
	return best ? write_checkpoint(t, CHECKPOINT_BEST, err) : 0;
}

static int train_epochs(struct training *t, enum outcome *ret, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	while (t->at.epoch < cfg->epochs && !position_stops_early(&t->at, cfg)) {
		int r = train_epoch(t, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
		r = end_epoch(t, err);
		if (r < 0)
			return r;
		r = heed_wishes(t, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	int r = write_checkpoint(t, CHECKPOINT_FINAL, err);
	r = r ? r : checkpointer_flush(t->checkpointer, err);
	*ret = FINISHED;
	return r;
}

static const char *release_name(const struct train_control *control)
{
	return atomic_load(&control->release) == RELEASE_PAUSE ? "pause" : "stop";
}

static int emit_outcome(struct training *t, enum outcome outcome, struct err *err)
{
	const struct train_job *job = t->job;
	int epochs = t->at.epoch;
	switch (outcome) {
	case FINISHED: {
		bool early = epochs < job->config.epochs;
		autofree char *note = early ? xasprintf("stopped early at %d", epochs) : NULL;
		job_log(job->job_dir, "done after %d epochs%s", epochs, early ? ", stopped early" : "");
		int r = event_emit(job->events, "done", json_pack("{s:i, s:s?}", "epochs", epochs, "note", note), err);
		if (r == 0)
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

static void emit_failed(struct training *t, int code, enum fail_class class, const struct err *err)
{
	if (code == -EDOM)
		class = FAIL_DIVERGED;
	else if (code == -ENOMEM)
		class = FAIL_OOM;
	job_log(t->job->job_dir, "failed (%s): %s", fail_class_names[class], err->text);
	event_emit(t->job->events, "failed", json_pack("{s:s, s:s}", "class", fail_class_names[class], "reason", err->text),
		   NULL);
}

static void training_fini(struct training *t)
{
	checkpointer_free(t->checkpointer);
	if (t->plan)
		backend_of(t)->release(t->plan);
	net_free(t->net);
	dataset_free(t->data);
	free(t->order);
	free(t->resumed_note);
}

void train_job_run(const struct train_job *job)
{
	struct training t = {.job = job};
	struct err err = {.text = ""};
	enum outcome outcome = GO_ON;
	enum fail_class class;
	int r = prepare(&t, &class, &err);
	if (r == 0)
		r = train_epochs(&t, &outcome, &err);
	if (r == 0)
		r = emit_outcome(&t, outcome, &err);
	if (r < 0)
		emit_failed(&t, r, class, &err);
	training_fini(&t);
}
