/* See conv_tune.h. */
#include "conv_tune.h"

#define PURPOSE_MAX 64

/* A choice made under other limits is another choice. */
static char *purpose_of(const struct conv_limits *limits, char buf[PURPOSE_MAX])
{
	snprintf(buf, PURPOSE_MAX, "%s%s workspace%zu", limits->deterministic ? "deterministic" : "any order",
		 limits->tensor_cores ? "" : " no tensor cores", limits->workspace_bytes);
	return buf;
}

struct candidates {
	const struct conv_tuner *tuner;
	struct conv_plan *plans[CONV_CANDIDATES];
	int n;
};

static int time_candidate(void *arg, int i, int repeats, double *ret_ms, struct err *err)
{
	struct candidates *c = arg;
	return c->tuner->time(c->tuner->arg, c->plans[i], repeats, ret_ms, err);
}

static int find_fastest(struct candidates *c, struct conv_plan **ret, struct err *err)
{
	const struct conv_timer timer = {time_candidate, c};
	double ms = 0;
	int best = c->n > 1 ? conv_choose(c->n, &timer, &ms, err) : 0;
	if (best >= 0) {
		*ret = c->plans[best];
		c->plans[best] = NULL;
		(*ret)->choice.ms = ms;
	}
	conv_plans_free(c->plans, c->n);
	return MIN(best, 0);
}

int conv_tune(struct conv_plan **ret, const struct conv_tuner *tuner, const struct conv_op *op, struct err *err)
{
	char purpose[PURPOSE_MAX], text[CONV_TEXT_MAX];
	struct conv_choice known;
	struct candidates c = {.tuner = tuner};
	bool timed = tuner->time;
	purpose_of(&tuner->limits, purpose);
	if (timed && conv_cache_find(tuner->cache, conv_op_shape(op), purpose, &known) &&
	    conv_plan_new(ret, op, &known, &tuner->limits, NULL) == 0)
		return 0;
	c.n = conv_plans_find(op, &tuner->limits, timed ? CONV_CANDIDATES : 1, c.plans, err);
	if (c.n < 0)
		return c.n;
	int r = find_fastest(&c, ret, err);
	if (r < 0)
		return err_prefix(err, r, "%s", conv_text(conv_op_shape(op), text));
	if (timed)
		conv_cache_put(tuner->cache, conv_op_shape(op), purpose, &(*ret)->choice);
	return 0;
}
