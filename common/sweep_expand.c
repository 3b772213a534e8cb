/* A plan -> its jobs.  Depth first: parameters in order, then the rules in order, so the last one varies fastest. */
#include "sweep_jobs.h"

#include "json.h"

#define MAX_PARAMS 128
#define WARNED_JOBS 1000 /* warnings are looked for in so many: they repeat themselves, and expansion must be quick */

struct expansion {
	const struct plan *plan;
	struct sweep *sweep;
	struct findings *findings;
	struct train_config config;
	size_t place[MAX_PARAMS];   /* by row of params[]: where it varies */
	uint32_t picks[MAX_PARAMS]; /* by place: the number of the value that stands in config, 0: base's */
	bool full;		   /* run_cap or the limit is reached */
	json_t *unusual, *unused;  /* of the first WARNED_JOBS: sentence, or parameter, and how many it is true of */
	json_t *unused_says;	   /* parameter and sentence */
};

const struct choice *choices_find(const struct choices *list, const struct param *param)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].param == param)
			return &list->items[i];
	return NULL;
}

static bool overridden(const struct expansion *e, const struct param *param)
{
	return choices_find(&e->plan->overrides, param);
}

static void set_all(struct train_config *config, const struct choices *list)
{
	for (size_t i = 0; i < list->n; i++)
		config_set(config, list->items[i].param, list->items[i].values[0]);
}

static bool rule_holds(const struct expansion *e, const struct rule *rule)
{
	for (size_t i = 0; i < rule->conditions.n; i++) {
		const struct choice *c = &rule->conditions.items[i];
		autojson json_t *now = config_get(&e->config, c->param);
		bool any = false;
		for (size_t k = 0; k < c->n && !any; k++)
			any = json_equal(now, c->values[k]);
		if (!any)
			return false;
	}
	return true;
}

/* Puts value k of a choice into config. */
static void take(struct expansion *e, const struct choice *c, size_t k)
{
	config_set(&e->config, c->param, c->values[k]);
	e->picks[e->place[c->param - params]] = c->numbers[k];
}

/* Where the file has the parameter that stands for the job at hand: what wins stands last. */
static const struct choice *in_file(const struct expansion *e, const struct param *param)
{
	const struct choice *c = NULL;
	for (size_t i = e->plan->n_rules; i-- > 0 && !c; )
		c = rule_holds(e, &e->plan->rules[i]) ? choices_find(&e->plan->rules[i].set, param) : NULL;
	if (!c)
		c = choices_find(&e->plan->parameters, param);
	return c ? c : choices_find(&e->plan->defaults, param);
}

/* Sentences about parameters quote them: the place of the first that the file has. */
static struct mark mark_of(const struct expansion *e, const char *sentence)
{
	char name[64];
	for (const char *at = sentence; (at = strchr(at, '"')) != NULL; ) {
		size_t n = strcspn(++at, "\"");
		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		const struct param *param = param_find(name);
		const struct choice *c = param && !overridden(e, param) ? in_file(e, param) : NULL;
		if (c)
			return c->mark;
		at += n + (at[n] == '"');
	}
	return e->plan->parameters_mark;
}

static void count_one(json_t *counts, const char *key)
{
	json_object_set_new(counts, key, json_integer(json_int_or(counts, key, 0) + 1));
}

static void count_warnings(struct expansion *e)
{
	size_t i;
	const char *name;
	json_t *unusual, *unused, *sentence;
	config_warnings_of(&e->config, &unusual, &unused);
	json_array_foreach(unusual, i, sentence)
		count_one(e->unusual, json_string_value(sentence));
	json_object_foreach(unused, name, sentence)
		count_one(e->unused, name);
	json_object_update(e->unused_says, unused);
	json_decref(unusual);
	json_decref(unused);
}

/* Each sentence once.  A parameter that one job uses and another does not is what grids are made of. */
static void tell_warnings(const struct expansion *e)
{
	const char *key;
	json_t *count;
	size_t n_jobs = e->sweep->n_jobs, seen = MIN(n_jobs, (size_t)WARNED_JOBS);
	json_object_foreach(e->unusual, key, count) {
		size_t n = (size_t)json_integer_value(count);
		if (n == n_jobs)
			findings_warn(e->findings, mark_of(e, key), "%s", key);
		else
			findings_warn(e->findings, mark_of(e, key), "%zu of %s%zu jobs: %s", n,
				      n_jobs > seen ? "the first " : "", seen, key);
	}
	json_object_foreach(e->unused, key, count) {
		const char *says = json_str_or(e->unused_says, key, key);
		if ((size_t)json_integer_value(count) == seen)
			findings_warn(e->findings, mark_of(e, says), "%s", says);
	}
}

static void add_job(struct expansion *e)
{
	struct sweep *s = e->sweep;
	struct err err;
	if (e->plan->run_cap && (int64_t)s->n_jobs == e->plan->run_cap) {
		e->full = true;
		return;
	}
	if (s->n_jobs == SWEEP_MAX_JOBS) {
		findings_add(e->findings, e->plan->parameters_mark, "more than %d jobs\n  expected: fewer values, or run_cap",
			     SWEEP_MAX_JOBS);
		e->full = true;
		return;
	}
	if (config_check(&e->config, &err) < 0) {
		findings_add(e->findings, mark_of(e, err.text), "job %zu: %s", s->n_jobs + 1, err.text);
		e->full = true;
		return;
	}
	sweep_jobs_add(s->jobs, s->n_jobs, e->picks);
	if (s->n_jobs++ < WARNED_JOBS)
		count_warnings(e);
}

static void expand_rules(struct expansion *e, size_t rule);

/* Every combination of a matching rule's values from its entry i on, each followed by the rules behind it. */
static void expand_set(struct expansion *e, size_t rule, size_t i)
{
	const struct choices *set = &e->plan->rules[rule].set;
	if (i == set->n) {
		expand_rules(e, rule + 1);
		return;
	}
	const struct choice *c = &set->items[i];
	if (overridden(e, c->param)) {
		expand_set(e, rule, i + 1);
		return;
	}
	struct train_config before = e->config;
	uint32_t was = e->picks[e->place[c->param - params]];
	for (size_t k = 0; k < c->n && !e->full; k++) {
		take(e, c, k);
		expand_set(e, rule, i + 1);
	}
	e->config = before;
	e->picks[e->place[c->param - params]] = was;
}

static void expand_rules(struct expansion *e, size_t rule)
{
	while (rule < e->plan->n_rules && !rule_holds(e, &e->plan->rules[rule]))
		rule++;
	if (rule == e->plan->n_rules)
		add_job(e);
	else
		expand_set(e, rule, 0);
}

static void expand_parameters(struct expansion *e, size_t i)
{
	if (i == e->plan->parameters.n) {
		expand_rules(e, 0);
		return;
	}
	const struct choice *c = &e->plan->parameters.items[i];
	if (overridden(e, c->param)) {
		expand_parameters(e, i + 1);
		return;
	}
	for (size_t k = 0; k < c->n && !e->full; k++) {
		take(e, c, k);
		expand_parameters(e, i + 1);
	}
}

static void note_swept(struct expansion *e, const struct choices *list)
{
	struct sweep *s = e->sweep;
	for (size_t i = 0; i < list->n; i++) {
		const struct choice *c = &list->items[i];
		bool known = c->n < 2 || overridden(e, c->param);
		for (size_t k = 0; k < s->n_swept; k++)
			known = known || str_eq(s->swept[k], c->param->name);
		if (known)
			continue;
		s->swept = xrealloc_array(s->swept, s->n_swept + 1, sizeof(s->swept[0]));
		s->swept[s->n_swept++] = xstrdup(c->param->name);
	}
}

/* Two jobs with one configuration would train the same thing twice. */
static void find_twins(struct expansion *e)
{
	size_t a, b;
	if (sweep_jobs_twins(e->sweep->jobs, e->sweep->n_jobs, &a, &b))
		findings_add(e->findings, e->plan->parameters_mark,
			     "jobs %zu and %zu would be the same\n  expected: each configuration once; seeds: [0, 1] repeats it with another seed",
			     a + 1, b + 1);
}

static void number_values(struct expansion *e, struct choices *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct choice *c = &list->items[i];
		if (overridden(e, c->param))
			continue;
		size_t place = e->place[c->param - params] = sweep_jobs_place(e->sweep->jobs, c->param);
		c->numbers = xcalloc(c->n + 1, sizeof(c->numbers[0]));
		for (size_t k = 0; k < c->n; k++)
			c->numbers[k] = sweep_jobs_number(e->sweep->jobs, place, c->values[k]);
	}
}

int plan_expand(struct plan *plan, struct sweep *ret, struct findings *f)
{
	size_t errors = f->n_errors;
	struct expansion e = {.plan = plan, .sweep = ret, .findings = f,
			      .unusual = json_object(), .unused = json_object(), .unused_says = json_object()};
	INVARIANT(n_params <= MAX_PARAMS, "MAX_PARAMS is too small");
	config_defaults(&e.config);
	set_all(&e.config, &plan->defaults);
	set_all(&e.config, &plan->overrides);
	note_swept(&e, &plan->parameters);
	for (size_t i = 0; i < plan->n_rules; i++)
		note_swept(&e, &plan->rules[i].set);
	ret->jobs = sweep_jobs_new(plan, config_to_json(&e.config));
	number_values(&e, &plan->parameters);
	for (size_t i = 0; i < plan->n_rules; i++)
		number_values(&e, &plan->rules[i].set);
	expand_parameters(&e, 0);
	tell_warnings(&e);
	json_decref(e.unusual);
	json_decref(e.unused);
	json_decref(e.unused_says);
	if (f->n_errors == errors)
		find_twins(&e);
	return f->n_errors == errors ? 0 : -EINVAL;
}
