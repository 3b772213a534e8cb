/* See position.h. */
#include "position.h"

#include "common/json.h"

#include <limits.h>
#include <math.h>

void position_init(struct position *p, const struct train_config *cfg)
{
	*p = (struct position){.best_loss = INFINITY, .best_accuracy = -1, .best_ema_accuracy = -1};
	schedule_init(&p->schedule, cfg);
	batch_schedule_init(&p->batch, cfg);
}

json_t *position_save(const struct position *p)
{
	json_t *o = json_pack("{s:i, s:I, s:I, s:I, s:I, s:i}", "epoch", p->epoch, "steps_before", (json_int_t)p->steps_before,
			      "step", (json_int_t)p->step, "images", (json_int_t)p->sums.images, "skipped",
			      (json_int_t)p->sums.skipped, "bad_epochs", p->bad_epochs);
	json_object_set_new(o, "correct", json_num(p->sums.correct));
	json_object_set_new(o, "loss_sum", json_num(p->sums.loss));
	json_object_set_new(o, "train_seconds", json_num(p->train_seconds));
	json_object_set_new(o, "best_loss", json_num(p->best_loss));
	json_object_set_new(o, "best_accuracy", json_num(p->best_accuracy));
	json_object_set_new(o, "best_ema_accuracy", json_num(p->best_ema_accuracy));
	json_object_set_new(o, "schedule", schedule_save(&p->schedule));
	json_object_set_new(o, "batch", batch_schedule_save(&p->batch));
	return o;
}

uint32_t position_steps(const struct position *p, size_t images)
{
	size_t batch = (size_t)p->batch.size;
	return (uint32_t)((images + batch - 1) / batch);
}

int position_load(struct position *p, const json_t *o, size_t images, struct err *err)
{
	int64_t epoch, before, step, seen, skipped, bad_epochs;
	struct position n = *p;
	int r = json_get_int(o, "epoch", &epoch, err);
	r = r ? r : json_get_int(o, "steps_before", &before, err);
	r = r ? r : json_get_int(o, "step", &step, err);
	r = r ? r : json_get_num(o, "correct", &n.sums.correct, err);
	r = r ? r : json_get_int(o, "images", &seen, err);
	r = r ? r : json_get_int(o, "skipped", &skipped, err);
	r = r ? r : json_get_int(o, "bad_epochs", &bad_epochs, err);
	r = r ? r : json_get_num(o, "loss_sum", &n.sums.loss, err);
	r = r ? r : json_get_num(o, "train_seconds", &n.train_seconds, err);
	r = r ? r : json_get_num(o, "best_loss", &n.best_loss, err);
	r = r ? r : json_get_num(o, "best_accuracy", &n.best_accuracy, err);
	r = r ? r : json_get_num(o, "best_ema_accuracy", &n.best_ema_accuracy, err);
	r = r ? r : batch_schedule_load(&n.batch, json_object_get(o, "batch"), err);
	r = r ? r : schedule_load(&n.schedule, json_object_get(o, "schedule"), err);
	if (r < 0)
		return r;
	if (epoch < 0 || epoch > INT_MAX || bad_epochs < 0 || bad_epochs > epoch)
		return err_set(err, -EINVAL, "epoch %lld with %lld bad ones", (long long)epoch, (long long)bad_epochs);
	if (before < 0)
		return err_set(err, -EINVAL, "%lld steps in %lld epochs", (long long)before, (long long)epoch);
	uint32_t steps = position_steps(&n, images);
	if (step < 0 || step > steps)
		return err_set(err, -EINVAL, "step %lld in an epoch of %u", (long long)step, steps);
	if (skipped < 0 || skipped > step)
		return err_set(err, -EINVAL, "%lld of %lld steps left out", (long long)skipped, (long long)step);
	if (!(n.sums.correct >= 0 && n.sums.correct <= (double)seen) || (seen == 0) != (step == 0))
		return err_set(err, -EINVAL, "%g of %lld images correct", n.sums.correct, (long long)seen);
	n.epoch = (int)epoch;
	n.steps_before = before;
	n.step = (uint32_t)step;
	n.sums.images = (uint64_t)seen;
	n.sums.skipped = (uint64_t)skipped;
	n.bad_epochs = (int)bad_epochs;
	*p = n;
	return 0;
}

/* Notes a larger value; NaN is never one. */
static bool raise(double *best, double value)
{
	bool better = value > *best;
	if (better)
		*best = value;
	return better;
}

struct position_best position_end_epoch(struct position *p, const struct epoch_result *result, double ema_accuracy,
					const struct memory_use *memory)
{
	struct position_best best = {raise(&p->best_accuracy, result->test_accuracy), raise(&p->best_ema_accuracy, ema_accuracy)};
	if (result->test_loss < p->best_loss - p->schedule.cfg->min_delta) {
		p->best_loss = result->test_loss;
		p->bad_epochs = 0;
	} else {
		p->bad_epochs++;
	}
	schedule_step(&p->schedule, result);
	p->epoch++;
	p->steps_before += p->step;
	batch_schedule_step(&p->batch, p->epoch, result, memory);
	p->step = 0;
	p->sums = (struct sums){0};
	p->train_seconds = 0;
	return best;
}

bool position_stops_early(const struct position *p, const struct train_config *cfg)
{
	return cfg->patience > 0 && p->bad_epochs >= cfg->patience;
}
