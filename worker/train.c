/* See train.h. */
#include "train_internal.h"

#include "augment.h"
#include "augment_config.h"
#include "joblog.h"
#include "pretrained.h"
#include "procstat.h"
#include "resume.h"

#include "common/clock.h"
#include "common/datasets.h"

#include <math.h>
#include <time.h>

#define ROOM_INTERVAL_MS 500 /* a full disk is tried again */
#define CHUNK_S 0.1 /* wishes are looked at so often, if a step is not longer */

const struct backend *training_backend(const struct training *t)
{
	return t->job->backend;
}

static size_t train_images(const struct training *t)
{
	return t->data->sets[SPLIT_TRAIN].count;
}

uint32_t training_batches(const struct training *t, enum split split)
{
	size_t images = t->data->sets[split].count, batch = (size_t)t->batch;
	return (uint32_t)((images + batch - 1) / batch);
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

/* Fresh weights, those of a file, or the checkpoint's.  A damaged checkpoint is set aside and said, and the job starts
 * afresh: an unreadable file must not need a person (invariant 10). */
static int init_state(struct training *t, struct err *err)
{
	struct state state;
	training_backend(t)->state_alloc(t->plan, &state);
	int r = t->job->resume ? resume_load(t->job, t->net, train_images(t), &state, &t->at, &t->resumed_note, err) : -ENOENT;
	if (r == -EBADMSG) {
		job_log(t->job->job_dir, "%s; training starts afresh", err->text);
		t->resumed_note = xasprintf("started afresh: %s", err->text);
	}
	if (r == -ENOENT || r == -EBADMSG) {
		state_fini(&state);
		state_init(&state, t->net, (uint64_t)t->job->config.seed);
		r = t->job->config.pretrained ? pretrained_load(t->job, t->net, &state, &t->pretrained, err) : 0;
	}
	if (r == 0)
		r = training_backend(t)->state_set(t->plan, &state, err);
	state_fini(&state);
	return r;
}

/* val_split of the training images; -ERANGE: it leaves none of one kind. */
static int hold_out(struct training *t, struct err *err)
{
	double wanted = t->job->config.val_split;
	size_t images = train_images(t), n = (size_t)(wanted < 1 ? wanted * (double)images + 0.5 : wanted);
	if (wanted <= 0)
		return 0;
	if (n == 0 || n >= images)
		return err_set(err, -ERANGE, "\"val_split\" %g of %zu training images holds %s out\n"
			       "  expected: at least one image, and less than all", wanted, images, n ? "all" : "none");
	dataset_hold_out(t->data, n, (uint64_t)t->job->config.seed);
	return 0;
}

static int open_data(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	const char *name = config_choice(cfg, "dataset");
	autofree char *dir = NULL;
	int r = datasets_find(name, t->job->data_dir, &dir, err);
	if (r < 0)
		return r;
	r = dataset_open(&t->data, name, dir, (size_t)cfg->train_images, (size_t)cfg->test_images, err);
	return r < 0 ? r : hold_out(t, err);
}

/* Images of the smallest step of an epoch. */
static size_t smallest_batch(const struct training *t, int batch)
{
	size_t images = train_images(t), tail = images % (size_t)batch;
	return tail ? tail : MIN(images, (size_t)batch);
}

/* The net, if every step of an epoch has as many images as it needs. */
static int make_net(struct training *t, struct err *err)
{
	const struct train_config *cfg = &t->job->config;
	t->net = net_new(config_choice(cfg, "model"), (enum stem)cfg->stem, cfg->image_size, t->data->classes);
	INVARIANT(t->net, "params.def offers a model that model.c does not have");
	size_t smallest = smallest_batch(t, cfg->batch_size), needed = (size_t)net_min_batch(t->net);
	if (smallest >= needed)
		return 0;
	return err_set(err, -EINVAL,
		       "the last batch of an epoch has %zu image (%zu images, batch_size %d)\n"
		       "  expected: at least %zu: %s with stem %s reduces an image of %dx%d to one value a channel, whose "
		       "variance batch norm needs\n"
		       "  do this:  another batch_size or train_images", smallest, train_images(t), cfg->batch_size, needed,
		       config_choice(cfg, "model"), config_choice(cfg, "stem"), cfg->image_size, cfg->image_size);
}

static struct recipe make_recipe(const struct train_config *cfg)
{
	struct recipe recipe = {
		.amp = cfg->use_amp,
		.deterministic = cfg->deterministic,
		.optim = {.optimizer = (enum optimizer)cfg->optimizer,
			  .nesterov = cfg->nesterov,
			  .dampening = cfg->dampening,
			  .beta2 = cfg->beta2,
			  .eps = cfg->eps,
			  .weight_decay = cfg->weight_decay},
		.spare_bn_bias = !cfg->decay_bn_bias,
		.lr_scale = LR_SCALES_ONE,
		.clip_norm = cfg->clip_grad_norm,
		.ema_decay = cfg->ema_decay,
		.label_smoothing = cfg->label_smoothing,
		.mirror = str_eq(config_choice(cfg, "tta"), "mirror"),
		.augment = augment_settings_from(cfg),
		.seed = (uint64_t)cfg->seed,
		.num_workers = cfg->num_workers,
	};
	pretrained_lr_scales(cfg, recipe.lr_scale);
	return recipe;
}

static int prepare_plan(struct training *t, int batch, struct err *err)
{
	const struct recipe recipe = make_recipe(&t->job->config);
	int r = training_backend(t)->prepare(t->job->device, t->net, &recipe, batch, &t->plan, err);
	if (r == 0)
		t->batch = batch;
	return r;
}

/* Gives the plan's state to one of another batch size; where there is no room for it, back to the size there was. */
static int change_plan(struct training *t, int batch, struct err *err)
{
	struct state state;
	struct err why;
	int before = t->batch;
	training_backend(t)->state_alloc(t->plan, &state);
	int r = training_backend(t)->state_get(t->plan, &state, err);
	if (r < 0) {
		state_fini(&state);
		return r;
	}
	training_backend(t)->release(t->plan);
	t->plan = NULL;
	r = prepare_plan(t, batch, &why);
	if (r == -ENOMEM && t->at.step == 0) {
		job_log(t->job->job_dir, "epoch %d: the batch stays at %d: %s", t->at.epoch + 1, before, why.text);
		batch_schedule_refuse(&t->at.batch, before, true);
		r = prepare_plan(t, before, &why);
	}
	if (r < 0)
		*err = why;
	else
		r = training_backend(t)->state_set(t->plan, &state, err);
	state_fini(&state);
	return r;
}

/* Before steps are made: the plan has the epoch's batch size. */
static int fit_batch(struct training *t, struct err *err)
{
	int before = t->batch, batch = t->at.batch.size, r = 0;
	if (batch != before && smallest_batch(t, batch) < (size_t)net_min_batch(t->net)) {
		job_log(t->job->job_dir, "epoch %d: the batch stays at %d: with %d the last one of an epoch would have one image",
			t->at.epoch + 1, before, batch);
		batch_schedule_refuse(&t->at.batch, before, false);
	} else if (batch != before) {
		r = change_plan(t, batch, err);
		if (r == 0 && t->batch != before)
			job_log(t->job->job_dir, "epoch %d: batches of %d, before of %d", t->at.epoch + 1, t->batch, before);
		checkpointer_use(t->checkpointer, t->plan);
	}
	t->steps = position_steps(&t->at, train_images(t));
	return r;
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
	r = training_backend(t)->load(t->job->device, t->data, err);
	r = r < 0 ? r : prepare_plan(t, t->job->config.batch_size, err);
	if (r < 0)
		return r;
	t->values = xmalloc(training_batches(t, SPLIT_TRAIN) * sizeof(*t->values)); /* enough: batches only grow */
	step_log_init(&t->step_log, &t->job->config);
	if (t->step_log.every)
		t->records = xmalloc(training_batches(t, SPLIT_TRAIN) * sizeof(*t->records));
	if (config_mixes(&t->job->config))
		t->mixes = xmalloc(training_batches(t, SPLIT_TRAIN) * sizeof(*t->mixes));
	r = init_state(t, err);
	if (r < 0) {
		*ret_class = r == -EINVAL ? FAIL_CONFIG : FAIL_INTERNAL;
		return r;
	}
	t->order = xmalloc(train_images(t) * sizeof(*t->order));
	confusion_init(&t->confusion, t->job, t->data);
	t->last_checkpoint_s = monotonic_s();
	r = checkpointer_new(&t->checkpointer, t->job->job_dir, t->net, training_backend(t), t->plan, t->job->events, err);
	return r < 0 ? r : training_emit_started(t, err);
}

static bool is_no_room(int code)
{
	return code == -ENOSPC || code == -EDQUOT;
}

int training_heed_wishes(struct training *t, bool testing, enum outcome *ret, struct err *err)
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
	bool release = atomic_load(&control->release) != RELEASE_NONE, asked = atomic_exchange(&control->checkpoint, false);
	bool due = !testing && monotonic_s() - t->last_checkpoint_s >= t->job->config.checkpoint_interval_s;
	if (!release && !asked && !due)
		return 0;
	int r = training_flush_steps(t, err); /* who goes on from the checkpoint samples the steps behind it */
	if (r < 0)
		return r;
	if (release) {
		*ret = RELEASED;
		r = write_checkpoint(t, CHECKPOINT_LAST, err);
		if (is_no_room(r)) /* then it goes on from the one before */
			job_log(t->job->job_dir, "released without a new checkpoint: %s", err->text);
		return is_no_room(r) ? 0 : r;
	}
	begin_checkpoint(t, CHECKPOINT_LAST);
	return 0;
}

uint32_t training_chunk(double step_s, uint32_t left)
{
	uint32_t n = step_s > 0 ? (uint32_t)MIN(CHUNK_S / step_s, 1e6) : 1;
	return MIN(MAX(n, 1u), left);
}

static int begin_epoch(struct training *t, struct err *err)
{
	size_t images = train_images(t);
	double lr_scale = batch_schedule_lr_scale(&t->at.batch);
	epoch_order(t->order, images, (uint64_t)t->job->config.seed, (uint32_t)t->at.epoch);
	struct epoch_tables tables = {
		.epoch = t->at.epoch,
		.order = t->order,
		.n_order = images,
		.steps = t->values,
		.mixes = t->mixes,
		.records = t->records,
	};
	if (t->mixes)
		config_mixes_draw(&t->job->config, t->mixes, t->steps, t->at.epoch);
	schedule_values(&t->at.schedule, t->steps, t->values);
	for (uint32_t i = 0; i < t->steps; i++)
		t->values[i].lr *= lr_scale;
	return training_backend(t)->begin_epoch(t->plan, &tables, err);
}

/* n more steps; those that were made before a failure are logged too. */
static int run_steps(struct training *t, uint32_t n, struct err *err)
{
	const struct step_span span = {t->at.epoch + 1, t->at.steps_before, t->at.step, n, t->values, t->records};
	for (uint32_t i = 0; t->records && i < n; i++)
		t->records[t->at.step + i].loss = NAN;
	int r = training_backend(t)->run(t->plan, t->at.step, n, &t->at.sums, err);
	r = r ? r : dataset_check(t->data, err);
	int logged = t->records ? step_log_take(&t->step_log, t->job->events, &span, r < 0 ? NULL : err) : 0;
	return r < 0 ? r : logged;
}

/* The rest of the epoch under way. */
static int train_epoch(struct training *t, enum outcome *ret, struct err *err)
{
	int r = fit_batch(t, err);
	r = r < 0 ? r : begin_epoch(t, err);
	if (r < 0)
		return r;
	while (t->at.step < t->steps) {
		bool each = t->job->config.checkpoint_interval_s <= 0;
		uint32_t n = each ? 1 : training_chunk(t->step_s, t->steps - t->at.step);
		double start = monotonic_s();
		r = run_steps(t, n, err);
		if (r < 0)
			return r;
		double seconds = monotonic_s() - start;
		t->at.step += n;
		t->at.train_seconds += seconds;
		t->step_s = seconds / n;
		training_progress(t, false, t->at.step, t->steps);
		r = training_heed_wishes(t, false, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	return 0;
}

static void log_cut(const struct training *t, double lr)
{
	const struct train_config *cfg = &t->job->config;
	bool cuts = cfg->scheduler == SCHEDULER_STEP || cfg->scheduler == SCHEDULER_MULTI_STEP ||
		    cfg->scheduler == SCHEDULER_PLATEAU;
	if (cuts && t->at.schedule.lr < lr)
		job_log(t->job->job_dir, "epoch %d: %s lowers lr %g -> %g", t->at.epoch, config_choice(cfg, "scheduler"), lr,
			t->at.schedule.lr);
}

/* Tests, records the epoch and moves to the next one. */
static int end_epoch(struct training *t, enum outcome *ret, struct err *err)
{
	struct tested tested = {0};
	double lr = t->at.schedule.lr;
	int r = training_test(t, &tested, ret, err);
	if (r < 0 || *ret != GO_ON)
		return r;
	struct epoch_result result = {
		.test_loss = sums_loss(&tested.of[SPLIT_TEST].weights.plain),
		.test_accuracy = sums_percent(&tested.of[SPLIT_TEST].weights.plain),
		.train_loss = sums_loss(&t->at.sums),
		.train_accuracy = sums_percent(&t->at.sums),
	};
	r = training_emit_epoch(t, &result, &tested, err);
	if (r < 0)
		return r;
	if (!isfinite(result.test_loss))
		return err_set(err, -EDOM, "the test loss is not finite (%g) after epoch %d; a smaller lr may help", result.test_loss,
			       t->at.epoch + 1);
	struct memory_use memory = {0};
	training_backend(t)->memory(t->plan, &memory);
	const struct split_tested *judge = &tested.of[t->data->sets[SPLIT_VAL].count ? SPLIT_VAL : SPLIT_TEST];
	struct epoch_result judged = result;
	judged.test_loss = sums_loss(&judge->weights.plain);
	judged.test_accuracy = sums_percent(&judge->weights.plain);
	double ema_accuracy = judge->ema.plain.images ? sums_percent(&judge->ema.plain) : NAN;
	struct position_best best = position_end_epoch(&t->at, &judged, ema_accuracy, &memory);
	confusion_save(&t->confusion, t->job, t->at.epoch, best.weights);
	log_cut(t, lr);
	if (best.weights)
		begin_checkpoint(t, CHECKPOINT_BEST);
	if (best.ema)
		begin_checkpoint(t, CHECKPOINT_BEST_EMA);
	return 0;
}

/* Waits for room on a full disk, as long as nobody wants something else of the job. */
static int write_final(struct training *t, enum checkpoint_kind kind, enum outcome *ret, struct err *err)
{
	bool said = false;
	int r;
	while (is_no_room(r = write_checkpoint(t, kind, err)) && *ret == FINISHED) {
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
		r = training_heed_wishes(t, false, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	*ret = FINISHED;
	int r = write_final(t, CHECKPOINT_FINAL, ret, err);
	if (r == 0 && *ret == FINISHED && cfg->ema_decay > 0)
		r = write_final(t, CHECKPOINT_FINAL_EMA, ret, err);
	return r;
}

static void training_fini(struct training *t)
{
	telemetry_free(t->telemetry);
	checkpointer_free(t->checkpointer);
	if (t->plan)
		training_backend(t)->release(t->plan);
	net_free(t->net);
	dataset_free(t->data);
	free(t->order);
	free(t->values);
	free(t->mixes);
	free(t->records);
	free(t->resumed_note);
	confusion_fini(&t->confusion);
	json_decref(t->pretrained);
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
	training_flush_steps(&t, NULL);
	if (r == 0)
		r = training_emit_outcome(&t, outcome, &err);
	if (r < 0)
		training_emit_failed(&t, r, class, &err);
	training_fini(&t);
}
