/* See schedule.h. */
#include "schedule.h"

#include "common/json.h"

#include <math.h>

enum { MODE_MIN, MODE_MAX };	  /* the order of params.def's choices, as the following */
enum { THRESHOLD_REL, THRESHOLD_ABS };
enum { ANNEAL_COS, ANNEAL_LINEAR };
enum { UNIT_EPOCH, UNIT_STEP };

void schedule_init(struct schedule *s, const struct train_config *cfg)
{
	*s = (struct schedule){.cfg = cfg, .lr = cfg->lr, .best = cfg->plateau_mode == MODE_MAX ? -INFINITY : INFINITY};
}

/* --- after an epoch --- */

static bool plateau_better(const struct schedule *s, double value)
{
	double threshold = s->cfg->plateau_threshold;
	bool max = s->cfg->plateau_mode == MODE_MAX;
	if (s->cfg->plateau_threshold_mode == THRESHOLD_REL)
		return max ? value > s->best * (1 + threshold) : value < s->best * (1 - threshold);
	return max ? value > s->best + threshold : value < s->best - threshold;
}

static void plateau_cut(struct schedule *s)
{
	double lr = fmax(s->lr * s->cfg->plateau_factor, s->cfg->plateau_min_lr);
	if (s->lr - lr > s->cfg->plateau_eps)
		s->lr = lr;
	s->cooldown_left = s->cfg->plateau_cooldown;
	s->bad_epochs = 0;
}

/* torch's ReduceLROnPlateau.step(), in its order. */
static void plateau_step(struct schedule *s, const struct epoch_result *result)
{
	const double values[] = {result->test_loss, result->test_accuracy, result->train_loss, result->train_accuracy};
	double value = values[s->cfg->plateau_metric];
	if (plateau_better(s, value)) {
		s->best = value;
		s->bad_epochs = 0;
	} else {
		s->bad_epochs++;
	}
	if (s->cooldown_left > 0) {
		s->cooldown_left--;
		s->bad_epochs = 0;
	}
	if (s->bad_epochs > s->cfg->plateau_patience)
		plateau_cut(s);
}

static bool is_milestone(const struct param_list *milestones, int64_t epoch)
{
	for (int i = 0; i < milestones->n; i++)
		if (milestones->at[i] == epoch)
			return true;
	return false;
}

/* From eta_min + (lr - eta_min) * (1 + cos(pi * epoch / T_max)) / 2; beyond T_max it rises again, as torch's does. */
static double cosine_lr(const struct train_config *cfg, int64_t epoch)
{
	int left = cfg->epochs > cfg->warmup_epochs ? cfg->epochs - cfg->warmup_epochs : 1;
	int t_max = cfg->cosine_t_max > 0 ? cfg->cosine_t_max : left;
	return cfg->cosine_eta_min + (cfg->lr - cfg->cosine_eta_min) * (1 + cos(M_PI * (double)epoch / t_max)) / 2;
}

/* epoch: of the schedule itself, the warm-up not counted; >= 1 */
static void main_step(struct schedule *s, int64_t epoch, const struct epoch_result *result)
{
	const struct train_config *cfg = s->cfg;
	switch ((enum scheduler)cfg->scheduler) {
	case SCHEDULER_STEP:
		if (epoch % cfg->step_size == 0)
			s->lr *= cfg->gamma;
		break;
	case SCHEDULER_MULTI_STEP:
		if (is_milestone(&cfg->milestones, epoch))
			s->lr *= cfg->gamma;
		break;
	case SCHEDULER_PLATEAU:
		plateau_step(s, result);
		break;
	case SCHEDULER_COSINE:
		s->lr = cosine_lr(cfg, epoch);
		break;
	case SCHEDULER_ONE_CYCLE:
	case SCHEDULER_NONE:
		break;
	}
}

void schedule_step(struct schedule *s, const struct epoch_result *result)
{
	s->epoch++;
	if (s->epoch > s->cfg->warmup_epochs)
		main_step(s, s->epoch - s->cfg->warmup_epochs, result);
}

/* --- of a step --- */

/* A stretch of OneCycleLR up to `end`, a step that may be fractional. */
struct phase {
	double end, lr[2], momentum[2];
};

static double anneal(const struct train_config *cfg, const double ends[2], double share)
{
	if (cfg->onecycle_anneal == ANNEAL_LINEAR)
		return (ends[1] - ends[0]) * share + ends[0];
	return ends[1] + (ends[0] - ends[1]) / 2 * (cos(M_PI * share) + 1);
}

static struct step_values one_cycle(const struct train_config *cfg, double step, double total, double momentum)
{
	double max = cfg->lr, first = max / cfg->onecycle_div_factor, last = first / cfg->onecycle_final_div_factor;
	double high = cfg->onecycle_cycle_momentum ? cfg->onecycle_max_momentum : momentum;
	double low = cfg->onecycle_cycle_momentum ? cfg->onecycle_base_momentum : momentum;
	double peak = cfg->onecycle_pct_start * total - 1, begin = 0;
	const struct phase two[] = {{peak, {first, max}, {high, low}}, {total - 1, {max, last}, {low, high}}};
	const struct phase three[] = {{peak, {first, max}, {high, low}},
				      {2 * cfg->onecycle_pct_start * total - 2, {max, first}, {low, high}},
				      {total - 1, {first, last}, {high, high}}};
	const struct phase *phase = cfg->onecycle_three_phase ? three : two, *end = phase + (cfg->onecycle_three_phase ? 2 : 1);
	for (; phase < end && step > phase->end; phase++)
		begin = phase->end;
	double share = phase->end > begin ? (step - begin) / (phase->end - begin) : 1;
	return (struct step_values){anneal(cfg, phase->lr, share), anneal(cfg, phase->momentum, share)};
}

static double usual_momentum(const struct schedule *s)
{
	const struct train_config *cfg = s->cfg;
	if (cfg->optimizer != OPTIMIZER_SGD)
		return cfg->beta1;
	if (!cfg->use_fsgdm)
		return cfg->momentum;
	double e = (double)s->epoch;
	return e / (e + cfg->fsgdm_c * cfg->epochs);
}

/* step: of the steps of the epoch */
static struct step_values values_of(const struct schedule *s, uint32_t step, uint32_t steps)
{
	const struct train_config *cfg = s->cfg;
	double momentum = usual_momentum(s), factor = cfg->warmup_start_factor, at = (double)s->epoch;
	if (cfg->scheduler == SCHEDULER_ONE_CYCLE)
		return one_cycle(cfg, at * steps + step, (double)cfg->epochs * steps, momentum);
	if (s->epoch >= cfg->warmup_epochs)
		return (struct step_values){s->lr, momentum};
	if (cfg->warmup_unit == UNIT_STEP)
		at += (double)step / steps;
	return (struct step_values){cfg->lr * (factor + (1 - factor) * at / cfg->warmup_epochs), momentum};
}

void schedule_values(const struct schedule *s, uint32_t steps, struct step_values *ret)
{
	for (uint32_t step = 0; step < steps; step++)
		ret[step] = values_of(s, step, steps);
}

double schedule_lr(const struct schedule *s)
{
	return values_of(s, 0, 1).lr;
}

/* --- checkpoint --- */

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
