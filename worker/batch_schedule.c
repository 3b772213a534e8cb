#include "batch_schedule.h"

#include "common/json.h"

#include <math.h>

enum { SCALING_NONE, SCALING_LINEAR, SCALING_SQRT }; /* the order of params.def's choices */

void batch_schedule_init(struct batch_schedule *b, const struct train_config *cfg)
{
	*b = (struct batch_schedule){
		.cfg = cfg, .size = cfg->batch_size, .most = cfg->batch_max, .best = INFINITY, .last_loss = INFINITY};
}

static int larger(const struct batch_schedule *b)
{
	double grown = fmax(floor(b->size * b->cfg->batch_factor), b->size + 1.0);
	return grown < b->most ? (int)grown : b->most;
}

static bool plateau_grows(struct batch_schedule *b, double loss)
{
	if (loss < b->best) {
		b->best = loss;
		b->bad_epochs = 0;
	} else if (++b->bad_epochs > b->cfg->batch_patience) {
		b->bad_epochs = 0;
		return true;
	}
	return false;
}

static bool memory_grows(struct batch_schedule *b, double loss, const struct memory_use *memory)
{
	bool falls = loss <= b->last_loss;
	double needed = (double)memory->used * larger(b) / b->size;
	b->last_loss = loss;
	return falls && memory->used > 0 && needed <= b->cfg->batch_memory * (double)memory->total;
}

void batch_schedule_step(struct batch_schedule *b, int64_t epochs, const struct epoch_result *result,
			 const struct memory_use *memory)
{
	bool grows = false;
	if (!b->cfg->use_batch_scheduler)
		return;
	switch ((enum batch_policy)b->cfg->batch_policy) {
	case BATCH_NONE:
		break;
	case BATCH_STEP:
		grows = epochs % b->cfg->batch_every == 0;
		break;
	case BATCH_PLATEAU:
		grows = plateau_grows(b, result->test_loss);
		break;
	case BATCH_MEMORY:
		grows = memory_grows(b, result->train_loss, memory);
		break;
	}
	if (grows && b->size < b->most)
		b->size = larger(b);
}

void batch_schedule_refuse(struct batch_schedule *b, int size, bool room)
{
	b->size = size;
	if (room)
		b->most = size;
}

double batch_schedule_lr_scale(const struct batch_schedule *b)
{
	double ratio = (double)b->size / b->cfg->batch_size;
	switch (b->cfg->batch_lr_scaling) {
	case SCALING_LINEAR:
		return ratio;
	case SCALING_SQRT:
		return sqrt(ratio);
	}
	return 1;
}

json_t *batch_schedule_save(const struct batch_schedule *b)
{
	json_t *o = json_pack("{s:i, s:i, s:I}", "size", b->size, "most", b->most, "bad_epochs", (json_int_t)b->bad_epochs);
	json_object_set_new(o, "best", json_num(b->best));
	json_object_set_new(o, "last_loss", json_num(b->last_loss));
	return o;
}

int batch_schedule_load(struct batch_schedule *b, const json_t *o, struct err *err)
{
	int64_t size, most;
	struct batch_schedule n = *b;
	int r = json_get_int(o, "size", &size, err);
	r = r ? r : json_get_int(o, "most", &most, err);
	r = r ? r : json_get_int(o, "bad_epochs", &n.bad_epochs, err);
	r = r ? r : json_get_num(o, "best", &n.best, err);
	r = r ? r : json_get_num(o, "last_loss", &n.last_loss, err);
	if (r < 0)
		return r;
	bool fixed = !b->cfg->use_batch_scheduler;
	int highest = fixed ? b->cfg->batch_size : b->cfg->batch_max;
	if (size < b->cfg->batch_size || size > highest || (!fixed && (most < size || most > highest)))
		return err_set(err, -EINVAL, "batches of %lld, at most %lld", (long long)size, (long long)most);
	n.size = (int)size;
	n.most = (int)(fixed ? b->most : most);
	*b = n;
	return 0;
}
