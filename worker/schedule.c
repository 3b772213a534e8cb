/* See schedule.h. */
#include "schedule.h"

#include "common/json.h"

#include <math.h>

#define PLATEAU_EPS 1e-8 /* a cut by less is not made */

void schedule_init(struct schedule *s, const struct train_config *cfg)
{
	*s = (struct schedule){
		.kind = (enum scheduler)cfg->scheduler,
		.step_size = cfg->step_size,
		.gamma = cfg->gamma,
		.factor = cfg->plateau_factor,
		.threshold = cfg->plateau_threshold,
		.min_lr = cfg->plateau_min_lr,
		.patience = cfg->plateau_patience,
		.cooldown = cfg->plateau_cooldown,
		.lr = cfg->lr,
		.best = INFINITY,
	};
}

double schedule_lr(const struct schedule *s)
{
	return s->lr;
}

static void plateau_cut(struct schedule *s)
{
	double lr = fmax(s->lr * s->factor, s->min_lr);
	if (s->lr - lr > PLATEAU_EPS)
		s->lr = lr;
	s->cooldown_left = s->cooldown;
	s->bad_epochs = 0;
}

/* torch's ReduceLROnPlateau.step(), in its order. */
static void plateau_step(struct schedule *s, double loss)
{
	if (loss < s->best * (1 - s->threshold)) {
		s->best = loss;
		s->bad_epochs = 0;
	} else {
		s->bad_epochs++;
	}
	if (s->cooldown_left > 0) {
		s->cooldown_left--;
		s->bad_epochs = 0;
	}
	if (s->bad_epochs > s->patience)
		plateau_cut(s);
}

void schedule_step(struct schedule *s, double test_loss)
{
	s->epoch++;
	switch (s->kind) {
	case SCHEDULER_STEP:
		if (s->epoch % s->step_size == 0)
			s->lr *= s->gamma;
		break;
	case SCHEDULER_PLATEAU:
		plateau_step(s, test_loss);
		break;
	}
}

json_t *schedule_save(const struct schedule *s)
{
	json_t *o = json_object();
	json_object_set_new(o, "lr", json_num(s->lr));
	json_object_set_new(o, "epoch", json_integer(s->epoch));
	json_object_set_new(o, "best", json_num(s->best));
	json_object_set_new(o, "bad_epochs", json_integer(s->bad_epochs));
	json_object_set_new(o, "cooldown_left", json_integer(s->cooldown_left));
	return o;
}

int schedule_load(struct schedule *s, const json_t *object, struct err *err)
{
	struct schedule loaded = *s;
	int r = json_get_num(object, "lr", &loaded.lr, err);
	if (r == 0)
		r = json_get_int(object, "epoch", &loaded.epoch, err);
	if (r == 0)
		r = json_get_num(object, "best", &loaded.best, err);
	if (r == 0)
		r = json_get_int(object, "bad_epochs", &loaded.bad_epochs, err);
	if (r == 0)
		r = json_get_int(object, "cooldown_left", &loaded.cooldown_left, err);
	if (r == 0)
		*s = loaded;
	return r;
}
