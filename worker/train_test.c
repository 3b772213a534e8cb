/* The test after an epoch.  See train_internal.h. */
#include "train_internal.h"

#include "common/clock.h"

/* The whole split. */
static int test_split(struct training *t, enum split split, const struct eval_options *options, struct sums *sums,
		      enum outcome *ret, struct err *err)
{
	uint32_t steps = training_batches(t, split);
	for (uint32_t step = 0; step < steps;) {
		uint32_t n = training_chunk(t->test_step_s, steps - step);
		training_progress(t, true, step, steps);
		double start = monotonic_s();
		int r = training_backend(t)->evaluate(t->plan, split, options, step, n, sums, err);
		r = r ? r : dataset_check(t->data, err);
		t->test_step_s = (monotonic_s() - start) / n;
		step += n;
		r = r ? r : training_heed_wishes(t, true, ret, err);
		if (r < 0 || *ret != GO_ON)
			return r;
	}
	return 0;
}

static int test_weights(struct training *t, bool ema, struct tested *tested, enum outcome *ret, struct err *err)
{
	const enum split splits[] = {SPLIT_VAL, SPLIT_TEST};
	bool mirror = str_eq(config_choice(&t->job->config, "tta"), "mirror");
	int r = 0;
	for (size_t i = 0; r == 0 && *ret == GO_ON && i < ARRAY_LEN(splits); i++) {
		struct split_tested *of = &tested->of[splits[i]];
		struct test_sums *sums = ema ? &of->ema : &of->weights;
		struct eval_options options = {.ema = ema, .mirror = mirror ? &sums->mirror : NULL};
		if (splits[i] == SPLIT_TEST && !ema)
			options.predicted = t->confusion.predicted;
		r = test_split(t, splits[i], &options, &sums->plain, ret, err);
	}
	return r;
}

int training_test(struct training *t, struct tested *ret_tested, enum outcome *ret, struct err *err)
{
	double start = monotonic_s();
	int r = test_weights(t, false, ret_tested, ret, err);
	if (r == 0 && *ret == GO_ON && t->job->config.ema_decay > 0)
		r = test_weights(t, true, ret_tested, ret, err);
	ret_tested->seconds = monotonic_s() - start;
	return r;
}
