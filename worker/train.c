/* See train.h. */
#include "train.h"

#include "augment.h"
#include "checkpoint.h"
#include "data.h"
#include "joblog.h"
#include "position.h"
#include "procstat.h"
#include "resume.h"

#include "common/clock.h"
#include "common/datasets.h"
#include "common/json.h"
#include "common/protocol.h"

#include <math.h>
#include <time.h>

#define PROGRESS_INTERVAL_S 0.25
#define TELEMETRY_INTERVAL_S 30
#define ROOM_INTERVAL_MS 500 /* a full disk is tried again */
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
	uint32_t steps, test_steps; /* of an epoch, of its test */
	double last_checkpoint_s, last_progress_s;
	double last_telemetry_s, last_cpu_s;
	double step_s, test_step_s; /* measured; 0: not yet */
	char *resumed_note;
};

static const struct backend *backend_of(const struct training *t)
{
	return t->job->backend;
}

/* Begins to write.  A write before this one that failed (a full disk) is said, and training goes on: the next may do
 * better, and only the last one is worth a job. */
static void begin_checkpoint(struct training *t, enum checkpoint_kind kind)
{
	struct err err;
	if (checkpointer_flush(t->checkpointer, &err) < 0)
		job_log(t->job->job_dir, "checkpoint not written: %s", err.text);
	if (kind == CHECKPOINT_LAST)
		t->last_checkpoint_s = monotonic_s();
	checkpointer_write(t->checkpointer, kind, resume_save(t->job, &t->at));
}

/* Writes and waits. */
static int write_checkpoint(struct training *t, enum checkpoint_kind kind, struct err *err)
{
	begin_checkpoint(t, kind);
	return checkpointer_flush(t->checkpointer, err);
}

/* Fresh weights, or the checkpoint's.  A damaged checkpoint is set aside and said, and the job starts afresh: an
 * unreadable file must not need a person (invariant 10). */
static int init_state(struct training *t, struct err *err)
{
	struct state state;
	backend_of(t)->state_alloc(t->plan, &state);
	int r = t->job->resume ? resume_load(t->job, t->net, t->steps, &state, &t->at, &t->resumed_note, err) : -ENOENT;
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
		r = backend_of(t)->state_set(t->plan, &state, err);
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

/* The net, if every step of an epoch has as many images as it needs. */
static int make_net(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	t->net = net_new(config_choice(cfg, "model"), (enum stem)cfg->stem, t->data->size, t->data->classes);
	INVARIANT(t->net, "params.def offers a model that model.c does not have");
	size_t images = t->data->sets[SPLIT_TRAIN].count, batch = (size_t)cfg->batch_size, tail = images % batch;
	size_t smallest = tail ? tail : MIN(images, batch), needed = (size_t)net_min_batch(t->net);
	if (smallest >= needed)
		return 0;
	return err_set(err, -EINVAL,
		       "the last batch of an epoch has %zu image (%zu images, batch_size %zu)\n"
		       "  expected: at least %zu: %s with stem %s reduces an image of %dx%d to one value a channel, whose "
		       "variance batch norm needs\n"
		       "  do this:  another batch_size or train_images", smallest, images, batch, needed,
		       config_choice(cfg, "model"), config_choice(cfg, "stem"), t->data->size, t->data->size);
}

static int prepare_plan(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	struct recipe recipe = {
		.amp = cfg->use_amp,
		.deterministic = cfg->deterministic,
		.nesterov = cfg->nesterov,
		.momentum = cfg->momentum,
		.weight_decay = cfg->weight_decay,
		.label_smoothing = cfg->label_smoothing,
		.random_crop = cfg->random_crop,
		.random_flip = cfg->random_flip,
		.seed = (uint64_t)cfg->seed,
		.num_workers = cfg->num_workers,
	};
	int r = backend_of(t)->load(t->job->device, t->data, err);
	if (r < 0)
		return r;
	return backend_of(t)->prepare(t->job->device, t->net, &recipe, cfg->batch_size, &t->plan, err);
}

static int emit_started(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	json_t *body = runtime_json(t->job);
	json_object_set_new(json_object_get(body, "versions"), "sweepd", json_string(SWEEPD_VERSION));
	json_object_set_new(body, "start_epoch", json_integer(t->at.epoch));
	json_object_set_new(body, "start_step", json_integer(t->at.step));
	json_object_set_new(body, "num_workers", json_integer(cfg->num_workers));
	json_object_set_new(body, "batch_size", json_integer(cfg->batch_size));
	json_object_set_new(body, "train_images", json_integer((json_int_t)t->data->sets[SPLIT_TRAIN].count));
	json_object_set_new(body, "test_images", json_integer((json_int_t)t->data->sets[SPLIT_TEST].count));
	json_object_set_new(body, "steps_per_epoch", json_integer(t->steps));
	json_object_set_new(body, "resumed_note", t->resumed_note ? json_string(t->resumed_note) : json_null());
	job_log(t->job->job_dir, "%s, batch %d, %s on %s (%s backend, %d threads)%s", config_choice(cfg, "model"),
		cfg->batch_size, json_string_value(json_object_get(body, "amp")),
		json_string_value(json_object_get(body, "device")), backend_of(t)->name, t->job->threads,
		t->at.epoch || t->at.step ? ", goes on from its checkpoint" : "");
	return event_emit(t->job->events, "started", body, err);
}

static uint32_t count_steps(const struct training *t, enum split split)
{
	size_t images = t->data->sets[split].count, batch = (size_t)t->job->config.batch_size;
	return (uint32_t)((images + batch - 1) / batch);
}

/* Everything before the first step.  ret_class: what a failure here is called. */
static int prepare(struct training *t, enum fail_class *ret_class, struct err *err)
{
	procstat_reset_peak();
	position_init(&t->at, &t->job->config);
	int r = open_data(t, err);
	*ret_class = r == -ERANGE ? FAIL_CONFIG : FAIL_DATA; /* ERANGE: fewer images than train_images */
	if (r < 0)
		return r;
	*ret_class = FAIL_CONFIG;
	r = make_net(t, err);
	if (r < 0)
		return r;
	*ret_class = FAIL_INTERNAL;
	r = prepare_plan(t, err);
	if (r < 0)
		return r;
	t->steps = count_steps(t, SPLIT_TRAIN);
	t->test_steps = count_steps(t, SPLIT_TEST);
	r = init_state(t, err);
	if (r < 0) {
		*ret_class = r == -EINVAL ? FAIL_CONFIG : FAIL_INTERNAL;
		return r;
	}
	t->order = xmalloc(t->data->sets[SPLIT_TRAIN].count * sizeof(*t->order));
	t->last_checkpoint_s = t->last_telemetry_s = monotonic_s();
	t->last_cpu_s = procstat_cpu_seconds();
	r = checkpointer_new(&t->checkpointer, t->job->job_dir, t->net, backend_of(t), t->plan, t->job->events, err);
	return r < 0 ? r : emit_started(t, err);
}

/* step: of steps, of the training or of its test. */
static void report_progress(struct training *t, bool testing, uint32_t step, uint32_t steps)
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

static bool is_no_room(int code)
{
	return code == -ENOSPC || code == -EDQUOT;
}

/* Between two steps: what others want of this job, and the checkpoint that is due (never in a test: nothing moves). */
static int heed_wishes(struct training *t, bool testing, enum outcome *ret, struct err *err)
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
	if (release) {
		*ret = RELEASED;
		int r = write_checkpoint(t, CHECKPOINT_LAST, err);
		if (is_no_room(r)) /* then it goes on from the one before */
			job_log(t->job->job_dir, "released without a new checkpoint: %s", err->text);
		return is_no_room(r) ? 0 : r;
	}
	bool due = !testing && monotonic_s() - t->last_checkpoint_s >= t->job->config.checkpoint_interval_s;
	if (atomic_exchange(&control->checkpoint, false) || due)
		begin_checkpoint(t, CHECKPOINT_LAST);
	return 0;
}

/* How many steps of step_s seconds (0: not yet known) to run before the next look at the wishes. */
static uint32_t chunk_steps(double step_s, uint32_t left)
{
	uint32_t n = step_s > 0 ? (uint32_t)MIN(CHUNK_S / step_s, 1e6) : 1;
	return MIN(MAX(n, 1u), left);
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
	int r = backend_of(t)->begin_epoch(t->plan, &tables, err);
	if (r < 0)
		return r;
	while (t->at.step < t->steps) {
		bool each = t->job->config.checkpoint_interval_s <= 0;
		uint32_t n = each ? 1 : chunk_steps(t->step_s, t->steps - t->at.step);
		double start = monotonic_s();
		r = backend_of(t)->run(t->plan, t->at.step, n, &t->at.sums, err);
		r = r ? r : dataset_check(t->data, err);
		if (r < 0)
			return r;
		double seconds = monotonic_s() - start;
		t->at.step += n;
		t->at.train_seconds += seconds;
		t->step_s = seconds / n;
		report_progress(t, false, t->at.step, t->steps);
		r = emit_telemetry(t, err);
		r = r ? r : heed_wishes(t, false, ret, err);
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

/* The whole test split.  A job that ends in it goes on with its beginning. */
static int test_epoch(struct training *t, struct sums *sums, enum outcome *ret, struct err *err)
{
	for (uint32_t step = 0; step < t->test_steps;) {
		uint32_t n = chunk_steps(t->test_step_s, t->test_steps - step);
		report_progress(t, true, step, t->test_steps);
		double start = monotonic_s();
		int r = backend_of(t)->evaluate(t->plan, SPLIT_TEST, step, n, sums, err);
		r = r ? r : dataset_check(t->data, err);
		t->test_step_s = (monotonic_s() - start) / n;
		step += n;
		r = r ? r : heed_wishes(t, true, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	return 0;
}

/* Tests, records the epoch and moves to the next one. */
static int end_epoch(struct training *t, enum outcome *ret, struct err *err)
{
	struct sums test = {0};
	double start = monotonic_s(), lr = schedule_lr(&t->at.schedule);
	int r = test_epoch(t, &test, ret, err);
	if (r < 0 || *ret != GO_ON)
		return r;
	r = emit_epoch(t, lr, &test, monotonic_s() - start, err);
	if (r < 0)
		return r;
	double loss = test.loss / (double)test.images;
	if (!isfinite(loss))
		return err_set(err, -EDOM, "the test loss is not finite (%g) after epoch %d; a smaller lr may help", loss,
			       t->at.epoch + 1);
	bool best = position_end_epoch(&t->at, loss, percent(&test));
	if (schedule_lr(&t->at.schedule) != lr)
		job_log(t->job->job_dir, "epoch %d: %s lowers lr %g -> %g", t->at.epoch,
			config_choice(&t->job->config, "scheduler"), lr, schedule_lr(&t->at.schedule));
	if (best)
		begin_checkpoint(t, CHECKPOINT_BEST);
	return 0;
}

/* Waits for room on a full disk, as long as nobody wants something else of the job. */
static int write_final(struct training *t, enum outcome *ret, struct err *err)
{
	bool said = false;
	int r;
	while (is_no_room(r = write_checkpoint(t, CHECKPOINT_FINAL, err)) && *ret == FINISHED) {
		const struct train_control *control = t->job->control;
		if (!said)
			job_log(t->job->job_dir, "waits for room: %s", err->text);
		said = true;
		nanosleep(&(struct timespec){.tv_nsec = ROOM_INTERVAL_MS * 1000000L}, NULL);
		if (atomic_load(&control->fence))
			*ret = FENCED;
		else if (atomic_load(&control->cancel))
			*ret = CANCELLED;
		else if (atomic_load(&control->release) != RELEASE_NONE)
			*ret = RELEASED;
	}
	return *ret == FINISHED ? r : 0;
}

static int train_epochs(struct training *t, enum outcome *ret, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	while (t->at.epoch < cfg->epochs && !position_stops_early(&t->at, cfg)) {
		int r = train_epoch(t, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
		r = end_epoch(t, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
		r = heed_wishes(t, false, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	*ret = FINISHED;
	return write_final(t, ret, err);
}

const char *const release_names[N_RELEASE_WHYS] = {"", "stop", "pause", "time_limit"};

static const char *release_name(const struct train_control *control)
{
	return release_names[atomic_load(&control->release)];
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

static void emit_failed(struct training *t, int code, enum fail_class class, const struct err *err)
{
	if (code == -EDOM)
		class = FAIL_DIVERGED;
	else if (code == -ENOMEM)
		class = FAIL_OOM;
	else if (code == -ENODATA)
		class = FAIL_DATA;
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
