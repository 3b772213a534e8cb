/* Rules between parameters; see params.h.  An error where the result would be meaningless, a warning where something is
 * merely unusual or is set without being used (a grid over schedulers sets what only one of them reads).
 *
 * To add one: an error in config_check() by way of a check_*() function; a parameter that only counts beside another in
 * `needs`; any other warning in config_warnings() by way of a warn_*() function. */
#include "params.h"

#include "json.h"

#include <pthread.h>

/* Whether a parameter holds that choice.  A sweep asks this of every job: the choice is looked up once. */
#define CHOSEN(cfg, name, choice)                                                          \
	({                                                                                 \
		static _Atomic int index = -1;                                             \
		if (index < 0)                                                             \
			index = param_choice_index(param_find(#name), choice);             \
		(cfg)->name == index;                                                      \
	})

/* --- errors --- */

static int check_optimizer(const struct train_config *cfg, struct err *err)
{
	bool sgd = CHOSEN(cfg, optimizer, "SGD");
	if (sgd && cfg->nesterov && cfg->momentum <= 0 && !cfg->use_fsgdm)
		return err_set(err, -EINVAL, "\"nesterov\" needs \"momentum\" above 0\n  expected: momentum 0.9, or nesterov false");
	if (sgd && cfg->nesterov && cfg->dampening > 0)
		return err_set(err, -EINVAL, "\"nesterov\" needs \"dampening\" 0\n  expected: dampening 0, or nesterov false");
	if (sgd && cfg->dampening > 0 && cfg->momentum <= 0)
		return err_set(err, -EINVAL, "\"dampening\" needs \"momentum\" above 0\n  expected: momentum 0.9, or dampening 0");
	if (cfg->use_fsgdm && !sgd)
		return err_set(err, -EINVAL, "\"use_fsgdm\" is a way of SGD's momentum; \"optimizer\" is %s\n"
			       "  expected: optimizer SGD, or use_fsgdm false", config_choice(cfg, "optimizer"));
	if (cfg->use_fsgdm && (cfg->nesterov || cfg->dampening > 0))
		return err_set(err, -EINVAL, "\"use_fsgdm\" has neither Nesterov momentum nor dampening\n"
			       "  expected: nesterov false and dampening 0");
	return 0;
}

/* What is a share must leave something. */
static int check_below_one(const struct train_config *cfg, struct err *err)
{
	const struct {
		const char *name;
		double value;
	} shares[] = {{"beta1", cfg->beta1}, {"beta2", cfg->beta2}, {"ema_decay", cfg->ema_decay},
		      {"plateau_factor", cfg->plateau_factor}};
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		if (shares[i].value >= 1)
			return err_set(err, -EINVAL, "\"%s\" is 1\n  expected: below 1", shares[i].name);
	return 0;
}

static int check_schedule(const struct train_config *cfg, struct err *err)
{
	bool one_cycle = CHOSEN(cfg, scheduler, "OneCycleLR");
	bool accuracy = CHOSEN(cfg, plateau_metric, "test_accuracy") || CHOSEN(cfg, plateau_metric, "train_accuracy");
	if (one_cycle && cfg->patience > 0)
		return err_set(err, -EINVAL, "\"scheduler\" OneCycleLR plans all epochs, \"patience\" %d would stop before its end\n"
			       "  expected: patience 0, or another scheduler", cfg->patience);
	if (one_cycle && cfg->warmup_epochs > 0)
		return err_set(err, -EINVAL, "\"scheduler\" OneCycleLR has a warm-up of its own (onecycle_pct_start)\n"
			       "  expected: warmup_epochs 0, or another scheduler");
	if (one_cycle && cfg->onecycle_cycle_momentum && cfg->use_fsgdm)
		return err_set(err, -EINVAL, "\"use_fsgdm\" and OneCycleLR would both set the momentum\n"
			       "  expected: onecycle_cycle_momentum false, or use_fsgdm false");
	if (one_cycle && cfg->onecycle_base_momentum > cfg->onecycle_max_momentum)
		return err_set(err, -EINVAL, "\"onecycle_base_momentum\" %g is above \"onecycle_max_momentum\" %g\n"
			       "  expected: at most that", cfg->onecycle_base_momentum, cfg->onecycle_max_momentum);
	if (one_cycle && !CHOSEN(cfg, optimizer, "SGD") && cfg->onecycle_cycle_momentum && cfg->onecycle_max_momentum >= 1)
		return err_set(err, -EINVAL, "\"onecycle_max_momentum\" is 1, and it is beta1 of %s\n  expected: below 1",
			       config_choice(cfg, "optimizer"));
	if (CHOSEN(cfg, scheduler, "ReduceLROnPlateau") && accuracy != CHOSEN(cfg, plateau_mode, "max"))
		return err_set(err, -EINVAL, "\"plateau_metric\" %s is better when it is %s; \"plateau_mode\" is %s\n"
			       "  expected: plateau_mode %s", config_choice(cfg, "plateau_metric"), accuracy ? "larger" : "smaller",
			       config_choice(cfg, "plateau_mode"), accuracy ? "max" : "min");
	if (CHOSEN(cfg, scheduler, "MultiStepLR") && cfg->milestones.n == 0)
		return err_set(err, -EINVAL, "\"scheduler\" MultiStepLR needs \"milestones\"\n  expected: such as [60, 120, 160]");
	if (CHOSEN(cfg, scheduler, "CosineAnnealingLR") && cfg->cosine_eta_min > cfg->lr)
		return err_set(err, -EINVAL, "\"cosine_eta_min\" %g is above \"lr\" %g\n  expected: at most lr", cfg->cosine_eta_min,
			       cfg->lr);
	return 0;
}

static int check_batch(const struct train_config *cfg, struct err *err)
{
	if (cfg->use_batch_scheduler && cfg->batch_max < cfg->batch_size)
		return err_set(err, -EINVAL, "\"batch_max\" %d is below \"batch_size\" %d, with which the training begins\n"
			       "  expected: at least batch_size, or use_batch_scheduler false", cfg->batch_max, cfg->batch_size);
	return 0;
}

static int check_fine_tuning(const struct train_config *cfg, struct err *err)
{
	if (cfg->image_size != 32 && cfg->image_size != 224)
		return err_set(err, -EINVAL, "\"image_size\" has no value %d\n  expected: 32 or 224", cfg->image_size);
	if (*cfg->weights && !cfg->pretrained)
		return err_set(err, -EINVAL, "\"weights\" is for \"pretrained\"\n  expected: pretrained true, or no weights");
	if (!cfg->pretrained)
		return 0;
	if (*cfg->weights && *cfg->weights != '/' && strchr(cfg->weights, '/'))
		return err_set(err, -EINVAL, "\"weights\" is a path that does not begin with /: jobs run in directories of their own\n"
					     "  expected: an absolute path, or a name of `sweepctl weights list`");
	if (!*cfg->weights && !CHOSEN(cfg, model, "resnet18") && !CHOSEN(cfg, model, "resnet50"))
		return err_set(err, -EINVAL, "\"pretrained\": no ImageNet weights of %s are known\n"
					     "  expected: model resnet18 or resnet50, or \"weights\"", config_choice(cfg, "model"));
	if (!*cfg->weights && !CHOSEN(cfg, stem, "imagenet"))
		return err_set(err, -EINVAL, "\"pretrained\" needs \"stem\" imagenet: ImageNet's conv1 is 7x7, not 3x3\n"
					     "  expected: stem imagenet, or pretrained false");
	return 0;
}

static int check_augmentation(const struct train_config *cfg, struct err *err)
{
	if (cfg->cutout > cfg->image_size)
		return err_set(err, -EINVAL, "\"cutout\" %d is larger than the image, whose side is \"image_size\" %d\n"
			       "  expected: at most that; 0: none", cfg->cutout, cfg->image_size);
	return 0;
}

static int check_validation(const struct train_config *cfg, struct err *err)
{
	double held = cfg->val_split;
	if (held >= 1 && held != (double)(int64_t)held)
		return err_set(err, -EINVAL, "\"val_split\" %g is neither a share nor a number of images\n"
			       "  expected: below 1, or a whole number", held);
	if (held >= 1 && cfg->train_images > 0 && held >= cfg->train_images)
		return err_set(err, -EINVAL, "\"val_split\" %g leaves nothing of \"train_images\" %d\n  expected: less than that", held,
			       cfg->train_images);
	return 0;
}

int config_check(const struct train_config *cfg, struct err *err)
{
	static int (*const checks[])(const struct train_config *, struct err *) = {check_below_one, check_optimizer,
										    check_schedule, check_batch,
										    check_fine_tuning, check_augmentation,
										    check_validation};
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		int r = checks[i](cfg, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- warnings --- */

/* A parameter (or all that begin with a name ending in _) that counts only where `of` is on, above 0, or one of `values`. */
static const struct need {
	const char *name, *of, *values;
} needs[] = {
	{"momentum", "optimizer", "SGD"},
	{"dampening", "optimizer", "SGD"},
	{"nesterov", "optimizer", "SGD"},
	{"beta1", "optimizer", "Adam|AdamW"},
	{"beta2", "optimizer", "Adam|AdamW"},
	{"eps", "optimizer", "Adam|AdamW"},
	{"decay_bn_bias", "weight_decay", NULL},
	{"fsgdm_c", "use_fsgdm", NULL},
	{"step_size", "scheduler", "StepLR"},
	{"gamma", "scheduler", "StepLR|MultiStepLR"},
	{"milestones", "scheduler", "MultiStepLR"},
	{"cosine_", "scheduler", "CosineAnnealingLR"},
	{"onecycle_", "scheduler", "OneCycleLR"},
	{"plateau_", "scheduler", "ReduceLROnPlateau"},
	{"warmup_start_factor", "warmup_epochs", NULL},
	{"warmup_unit", "warmup_epochs", NULL},
	{"min_delta", "patience", NULL},
	{"batch_policy", "use_batch_scheduler", NULL},
	{"batch_max", "use_batch_scheduler", NULL},
	{"batch_factor", "use_batch_scheduler", NULL},
	{"batch_lr_scaling", "use_batch_scheduler", NULL},
	{"batch_every", "use_batch_scheduler", NULL},
	{"batch_patience", "use_batch_scheduler", NULL},
	{"batch_memory", "use_batch_scheduler", NULL},
	{"batch_every", "batch_policy", "step"},
	{"batch_patience", "batch_policy", "plateau"},
	{"batch_memory", "batch_policy", "memory"},
	{"crop_scale", "random_resized_crop", NULL},
	{"mixup_alpha", "use_mixup", NULL},
	{"cutmix_alpha", "use_cutmix", NULL},
};

static bool covers(const struct need *need, const char *name)
{
	size_t n = strlen(need->name);
	return need->name[n - 1] == '_' ? strncmp(need->name, name, n) == 0 : str_eq(need->name, name);
}

static bool listed(const char *values, const char *value)
{
	size_t n = strlen(value);
	for (const char *at = values; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
		if (strncmp(at, value, n) == 0 && (at[n] == '|' || at[n] == '\0'))
			return true;
	return false;
}

static bool is_met(const struct need *need, const json_t *value)
{
	return need->values ? listed(need->values, json_string_value(value)) : json_is_true(value) || json_number_value(value) > 0;
}

static void warn(json_t *warnings, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(json_t *warnings, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	json_array_append_new(warnings, json_vsprintf(fmt, ap));
	va_end(ap);
}

/* Of a parameter that is not as usual: the first need that is not met. */
static void add_unused(json_t *unused, const struct train_config *cfg, const struct param *p)
{
	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (!covers(&needs[i], p->name))
			continue;
		autojson json_t *of = config_get(cfg, param_find(needs[i].of));
		if (is_met(&needs[i], of))
			continue;
		autojson json_t *value = config_get(cfg, p);
		autofree char *mine = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		autofree char *other = json_dumps(of, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		json_object_set_new(unused, p->name,
				    json_sprintf("\"%s\" %s is not used: \"%s\" is %s", p->name, mine, needs[i].of, other));
		return;
	}
}

static void warn_schedule(json_t *warnings, const struct train_config *cfg)
{
	const struct param_list *m = &cfg->milestones;
	if (cfg->warmup_epochs >= cfg->epochs)
		warn(warnings, "\"warmup_epochs\" %d leaves none of %d epochs: the learning rate does not reach lr", cfg->warmup_epochs,
		     cfg->epochs);
	if (CHOSEN(cfg, scheduler, "MultiStepLR") && m->n && m->at[m->n - 1] + cfg->warmup_epochs >= cfg->epochs)
		warn(warnings, "\"milestones\" has %d, which %d epochs%s do not reach", m->at[m->n - 1], cfg->epochs,
		     cfg->warmup_epochs ? " and their warm-up" : "");
	if (CHOSEN(cfg, scheduler, "CosineAnnealingLR") && cfg->cosine_t_max > 0 &&
	    cfg->cosine_t_max + cfg->warmup_epochs < cfg->epochs)
		warn(warnings, "\"cosine_t_max\" %d is less than the epochs there are: the learning rate rises again behind it",
		     cfg->cosine_t_max);
	if (CHOSEN(cfg, scheduler, "none") && cfg->warmup_epochs == 0 && !cfg->use_batch_scheduler)
		warn(warnings, "\"scheduler\" none keeps the learning rate at %g to the end", cfg->lr);
}

static void warn_optimizer(json_t *warnings, const struct train_config *cfg)
{
	if (!CHOSEN(cfg, optimizer, "SGD") && cfg->lr > 0.01)
		warn(warnings, "\"lr\" %g is much for %s, whose usual one is 0.001", cfg->lr, config_choice(cfg, "optimizer"));
	if (cfg->ema_decay > 0 && cfg->ema_decay < 0.9)
		warn(warnings, "\"ema_decay\" %g averages hardly more than a few steps; 0.999 is usual", cfg->ema_decay);
}

static void warn_batch(json_t *warnings, const struct train_config *cfg)
{
	if (cfg->use_batch_scheduler && CHOSEN(cfg, batch_policy, "none"))
		warn(warnings, "\"batch_policy\" none keeps the batch at %d: use_batch_scheduler changes nothing", cfg->batch_size);
	else if (cfg->use_batch_scheduler && cfg->batch_max == cfg->batch_size)
		warn(warnings, "\"batch_max\" is batch_size (%d): the batch cannot grow", cfg->batch_size);
}

static void warn_fine_tuning(json_t *warnings, const struct train_config *cfg)
{
	if (cfg->pretrained && CHOSEN(cfg, stem, "imagenet") && cfg->image_size == 32)
		warn(warnings, "\"image_size\" 32 with stem imagenet: its first stage sees 8x8 pixels; weights of ImageNet give most at 224");
	if (cfg->image_size == 224 && CHOSEN(cfg, stem, "cifar"))
		warn(warnings, "\"image_size\" 224 with stem cifar: the whole image goes through every layer, 49 times the work of 32");
	if (CHOSEN(cfg, lr_groups, "layers") && !cfg->pretrained)
		warn(warnings, "\"lr_groups\" layers without \"pretrained\" slows layers that have learnt nothing yet");
}

static void warn_augmentation(json_t *warnings, const struct train_config *cfg)
{
	bool jitters = cfg->color_jitter_brightness > 0 || cfg->color_jitter_contrast > 0 || cfg->color_jitter_saturation > 0 ||
		       cfg->color_jitter_hue > 0;
	bool mixes = cfg->use_mixup || cfg->use_cutmix;
	if (listed("mnist|fashion-mnist", config_choice(cfg, "dataset")) &&
	    (cfg->color_jitter_saturation > 0 || cfg->color_jitter_hue > 0))
		warn(warnings, "\"color_jitter_saturation\" and \"color_jitter_hue\" change nothing of the gray images of %s",
		     config_choice(cfg, "dataset"));
	if (jitters && (cfg->trivial_augment || cfg->heavy_aug))
		warn(warnings, "\"%s\" changes colours too: color_jitter_... comes on top of it",
		     cfg->heavy_aug ? "heavy_aug" : "trivial_augment");
	if (cfg->mix_prob < 1 && !mixes)
		warn(warnings, "\"mix_prob\" %g is not used: neither \"use_mixup\" nor \"use_cutmix\" is true", cfg->mix_prob);
	if (mixes && cfg->batch_size == 1)
		warn(warnings, "\"batch_size\" 1 leaves %s nothing to mix with", cfg->use_mixup ? "use_mixup" : "use_cutmix");
}

static struct train_config usual;

static void set_usual(void)
{
	config_defaults(&usual);
}

void config_warnings_of(const struct train_config *cfg, json_t **ret_unusual, json_t **ret_unused)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	json_t *warnings = json_array(), *unused = json_object();
	pthread_once(&once, set_usual);
	for (size_t i = 0; i < n_params; i++)
		if (!config_same(cfg, &usual, &params[i]))
			add_unused(unused, cfg, &params[i]);
	warn_optimizer(warnings, cfg);
	warn_schedule(warnings, cfg);
	warn_batch(warnings, cfg);
	warn_fine_tuning(warnings, cfg);
	warn_augmentation(warnings, cfg);
	*ret_unusual = warnings;
	*ret_unused = unused;
}

json_t *config_warnings(const struct train_config *cfg)
{
	const char *name;
	json_t *warnings, *unused, *sentence;
	config_warnings_of(cfg, &warnings, &unused);
	json_object_foreach(unused, name, sentence)
		json_array_append(warnings, sentence);
	json_decref(unused);
	return warnings;
}
