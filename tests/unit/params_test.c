/* Rules between parameters: what is an error and names what is expected, what is a warning, what is neither. */
#include "cmocka_all.h"

#include "common/json.h"
#include "common/params.h"

static int read_config(const char *text, struct train_config *cfg, struct err *err)
{
	autojson json_t *object = json_parse(text, strlen(text), err);
	assert_non_null(object);
	return config_from_json(cfg, object, err);
}

/* text: a configuration; the error names these. */
static const struct {
	const char *text, *first, *second;
} errors[] = {
	{"{\"nesterov\": true, \"momentum\": 0}", "\"nesterov\"", "expected: momentum 0.9"},
	{"{\"nesterov\": true, \"dampening\": 0.1}", "\"dampening\" 0", "nesterov false"},
	{"{\"dampening\": 0.1, \"momentum\": 0}", "\"dampening\"", "\"momentum\" above 0"},
	{"{\"use_fsgdm\": true, \"optimizer\": \"AdamW\"}", "\"use_fsgdm\"", "expected: optimizer SGD"},
	{"{\"use_fsgdm\": true, \"nesterov\": true}", "\"use_fsgdm\"", "nesterov false"},
	{"{\"beta1\": 1}", "\"beta1\" is 1", "below 1"},
	{"{\"beta2\": 1}", "\"beta2\" is 1", "below 1"},
	{"{\"ema_decay\": 1}", "\"ema_decay\" is 1", "below 1"},
	{"{\"plateau_factor\": 1}", "\"plateau_factor\" is 1", "below 1"},
	{"{\"scheduler\": \"OneCycleLR\", \"patience\": 3}", "OneCycleLR", "expected: patience 0"},
	{"{\"scheduler\": \"OneCycleLR\", \"warmup_epochs\": 3}", "OneCycleLR", "expected: warmup_epochs 0"},
	{"{\"scheduler\": \"OneCycleLR\", \"use_fsgdm\": true}", "OneCycleLR", "onecycle_cycle_momentum false"},
	{"{\"scheduler\": \"OneCycleLR\", \"onecycle_base_momentum\": 0.99}", "\"onecycle_base_momentum\" 0.99", "at most"},
	{"{\"scheduler\": \"OneCycleLR\", \"optimizer\": \"Adam\", \"onecycle_max_momentum\": 1}", "beta1 of Adam", "below 1"},
	{"{\"scheduler\": \"ReduceLROnPlateau\", \"plateau_metric\": \"test_accuracy\"}", "larger", "expected: plateau_mode max"},
	{"{\"scheduler\": \"ReduceLROnPlateau\", \"plateau_mode\": \"max\"}", "smaller", "expected: plateau_mode min"},
	{"{\"scheduler\": \"MultiStepLR\", \"milestones\": []}", "\"milestones\"", "[60, 120, 160]"},
	{"{\"scheduler\": \"CosineAnnealingLR\", \"cosine_eta_min\": 1}", "\"cosine_eta_min\" 1", "at most lr"},
	{"{\"use_batch_scheduler\": true, \"batch_max\": 64}", "\"batch_max\" 64", "at least batch_size"},
	{"{\"milestones\": [60, 60]}", "\"milestones\" needs a list of whole numbers that rise; found [60, 60]", "at most 16 numbers"},
	{"{\"milestones\": [0]}", "\"milestones\"", "from 1 to 1000000"},
	{"{\"milestones\": [1.5]}", "\"milestones\"", "[1.5]"},
	{"{\"milestones\": \"60\"}", "\"milestones\"", "\"60\""},
	{"{\"milestones\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "\"milestones\"", "at most 16 numbers"},
	{"{\"use_cutmix\": 1}", "\"use_cutmix\"", "true or false"},
	{"{\"cutout\": 33}", "\"cutout\" 33 is larger than the image", "at most that"},
	{"{\"scheduler\": \"CosineLR\"}", "\"scheduler\" has no value \"CosineLR\"", "CosineAnnealingLR"},
};

static void test_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct train_config cfg;
		struct err err;
		if (read_config(errors[i].text, &cfg, &err) != -EINVAL)
			fail_msg("%s is taken", errors[i].text);
		if (!strstr(err.text, errors[i].first) || !strstr(err.text, errors[i].second))
			fail_msg("%s: %s", errors[i].text, err.text);
	}
}

/* What the only warning says; NULL: there is none. */
static const struct {
	const char *text, *says;
} warnings[] = {
	{"{}", NULL},
	{"{\"nesterov\": true, \"scheduler\": \"ReduceLROnPlateau\", \"plateau_patience\": 5, \"patience\": 20, \"min_delta\": 0.1}", NULL},
	{"{\"scheduler\": \"CosineAnnealingLR\", \"step_size\": 50, \"gamma\": 0.1}", NULL}, /* as the table has them */
	{"{\"scheduler\": \"CosineAnnealingLR\", \"step_size\": 30}",
	 "\"step_size\" 30 is not used: \"scheduler\" is \"CosineAnnealingLR\""},
	{"{\"gamma\": 0.2, \"scheduler\": \"MultiStepLR\"}", NULL},
	{"{\"milestones\": [5]}", "\"milestones\" [5] is not used: \"scheduler\" is \"StepLR\""},
	{"{\"plateau_cooldown\": 2}", "\"plateau_cooldown\" 2 is not used: \"scheduler\" is \"StepLR\""},
	{"{\"cosine_t_max\": 200}", "\"cosine_t_max\" 200 is not used"},
	{"{\"onecycle_pct_start\": 0.5}", "\"onecycle_pct_start\" 0.5 is not used"},
	{"{\"optimizer\": \"AdamW\", \"lr\": 1e-3, \"nesterov\": true}", "\"nesterov\" true is not used: \"optimizer\" is \"AdamW\""},
	{"{\"beta2\": 0.99}", "\"beta2\" 0.99 is not used: \"optimizer\" is \"SGD\""},
	{"{\"optimizer\": \"Adam\", \"lr\": 1e-3, \"beta2\": 0.99}", NULL},
	{"{\"optimizer\": \"Adam\"}", "\"lr\" 0.1 is much for Adam"},
	{"{\"fsgdm_c\": 0.1}", "\"fsgdm_c\" 0.1 is not used: \"use_fsgdm\" is false"},
	{"{\"weight_decay\": 0, \"decay_bn_bias\": false}", "\"decay_bn_bias\" false is not used: \"weight_decay\" is 0.0"},
	{"{\"warmup_unit\": \"step\"}", "\"warmup_unit\" \"step\" is not used: \"warmup_epochs\" is 0"},
	{"{\"warmup_epochs\": 5, \"epochs\": 5}", "\"warmup_epochs\" 5 leaves none of 5 epochs"},
	{"{\"min_delta\": 0.5}", "\"min_delta\" 0.5 is not used: \"patience\" is 0"},
	{"{\"scheduler\": \"MultiStepLR\", \"epochs\": 160}", "\"milestones\" has 160, which 160 epochs do not reach"},
	{"{\"scheduler\": \"CosineAnnealingLR\", \"cosine_t_max\": 20}", "\"cosine_t_max\" 20 is less than the epochs there are"},
	{"{\"scheduler\": \"none\"}", "keeps the learning rate at 0.1"},
	{"{\"scheduler\": \"none\", \"warmup_epochs\": 5}", NULL},
	{"{\"ema_decay\": 0.5}", "\"ema_decay\" 0.5 averages hardly"},
	{"{\"batch_every\": 10}", "\"batch_every\" 10 is not used: \"use_batch_scheduler\" is false"},
	{"{\"use_batch_scheduler\": true, \"batch_every\": 10}", NULL},
	{"{\"use_batch_scheduler\": true, \"batch_policy\": \"plateau\", \"batch_every\": 10}",
	 "\"batch_every\" 10 is not used: \"batch_policy\" is \"plateau\""},
	{"{\"use_batch_scheduler\": true, \"batch_policy\": \"none\"}", "use_batch_scheduler changes nothing"},
	{"{\"use_batch_scheduler\": true, \"batch_size\": 512}", "the batch cannot grow"},
	{"{\"cutmix_alpha\": 0.2}", "\"cutmix_alpha\" 0.2 is not used: \"use_cutmix\" is false"},
	{"{\"mixup_alpha\": 0.2, \"use_cutmix\": true}", "\"mixup_alpha\" 0.2 is not used: \"use_mixup\" is false"},
	{"{\"use_mixup\": true, \"use_cutmix\": true, \"mixup_alpha\": 0.2, \"cutmix_alpha\": 0.2, \"mix_prob\": 0.5}", NULL},
	{"{\"mix_prob\": 0.5}", "\"mix_prob\" 0.5 is not used: neither \"use_mixup\" nor \"use_cutmix\" is true"},
	{"{\"use_mixup\": true, \"batch_size\": 1}", "leaves use_mixup nothing to mix with"},
	{"{\"crop_scale\": 0.5}", "\"crop_scale\" 0.5 is not used: \"random_resized_crop\" is false"},
	{"{\"random_resized_crop\": true, \"crop_scale\": 0.5, \"image_size\": 224, \"stem\": \"imagenet\", \"cutout\": 100}", NULL},
	{"{\"heavy_aug\": true, \"color_jitter_contrast\": 0.2}", "\"heavy_aug\" changes colours too"},
	{"{\"dataset\": \"mnist\", \"color_jitter_hue\": 0.2}", "change nothing of the gray images of mnist"},
};

static void test_warnings(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(warnings); i++) {
		struct train_config cfg;
		struct err err;
		if (read_config(warnings[i].text, &cfg, &err) < 0)
			fail_msg("%s: %s", warnings[i].text, err.text);
		autojson json_t *found = config_warnings(&cfg);
		autofree char *all = json_line(found);
		const char *one = json_string_value(json_array_get(found, 0));
		bool good = warnings[i].says ? json_array_size(found) == 1 && strstr(one, warnings[i].says) : json_array_size(found) == 0;
		if (!good)
			fail_msg("%s: %s", warnings[i].text, all);
	}
}

/* A list goes through JSON and back, and counts as the same where it is. */
static void test_lists(void **state)
{
	struct train_config cfg, again;
	struct err err;
	assert_int_equal(read_config("{\"milestones\": [3, 70]}", &cfg, &err), 0);
	assert_true(cfg.milestones.n == 2 && cfg.milestones.at[0] == 3 && cfg.milestones.at[1] == 70);
	autojson json_t *object = config_to_json(&cfg);
	assert_int_equal(config_from_json(&again, object, &err), 0);
	assert_true(config_same(&cfg, &again, param_find("milestones")));
	config_defaults(&again);
	assert_false(config_same(&cfg, &again, param_find("milestones")));
	assert_true(again.milestones.n == 3 && again.milestones.at[2] == 160);
}

/* What a mistyped or foreign name most likely means; NULL: nobody knows, and nothing is better than something wrong. */
static const struct {
	const char *word, *near;
} names[] = {
	{"LR", "lr"}, {"lrate", "lr"}, {"learning_rate", "lr"}, {"learning_rte", "lr"}, {"wd", "weight_decay"},
	{"weight_decy", "weight_decay"}, {"optim", "optimizer"}, {"batch", "batch_size"}, {"batchsize", "batch_size"},
	{"bs", "batch_size"}, {"epoch", "epochs"}, {"nestrov", "nesterov"}, {"label_smooth", "label_smoothing"}, {"amp", "use_amp"},
	{"xy", NULL}, {"colour", NULL}, {"frobnicate", NULL}, {"plateau", NULL}, {"", NULL},
};
static const struct {
	const char *param, *word, *near;
} choices[] = {
	{"scheduler", "cosine", "CosineAnnealingLR"}, {"scheduler", "step", "StepLR"}, {"scheduler", "plateau", "ReduceLROnPlateau"},
	{"scheduler", "onecycle", "OneCycleLR"}, {"scheduler", "poly", NULL}, {"optimizer", "sgd", "SGD"}, {"optimizer", "sdg", "SGD"},
	{"optimizer", "adamw", "AdamW"}, {"optimizer", "rmsprop", NULL}, {"model", "resnet", NULL}, {"dataset", "cifar", "cifar10"},
};

static void test_what_is_meant(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *near = param_nearest(names[i].word);
		if (!near != !names[i].near || (near && !str_eq(near, names[i].near)))
			fail_msg("\"%s\": %s", names[i].word, near ? near : "nothing");
	}
	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		struct err err;
		autojson json_t *word = json_string(choices[i].word);
		assert_int_equal(param_check(param_find(choices[i].param), word, &err), -EINVAL);
		autofree char *hint = xasprintf("do this:  write \"%s\"", choices[i].near ? choices[i].near : "");
		if (choices[i].near ? !strstr(err.text, hint) : strstr(err.text, "do this") != NULL)
			fail_msg("%s: %s", choices[i].word, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_warnings),
					   cmocka_unit_test(test_lists), cmocka_unit_test(test_what_is_meant)};
	return cmocka_run_group_tests_name("parameters", tests, NULL, NULL);
}
