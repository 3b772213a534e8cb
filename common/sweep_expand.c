/* A plan -> its jobs.  Depth first: parameters in order, then the rules in order, so the last one varies fastest. */
#include "sweep_internal.h"

#include "json.h"

#define MAX_PARAMS 128

struct expansion {
	const struct plan *plan;
	struct sweep *sweep;
	struct findings *findings;
	struct train_config config;
	bool assigned[MAX_PARAMS]; /* by row of params[]: a swept value stands in config */
	bool full;		   /* run_cap or the limit is reached */
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

static json_t *swept_values(const struct expansion *e)
{
	json_t *swept = json_object();
	for (size_t i = 0; i < e->sweep->n_swept; i++) {
		const struct param *p = param_find(e->sweep->swept[i]);
		if (e->assigned[p - params])
			json_object_set_new(swept, p->name, config_get(&e->config, p));
	}
	return swept;
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
		findings_add(e->findings, e->plan->parameters_mark, "job %zu: %s", s->n_jobs + 1, err.text);
		e->full = true;
		return;
	}
	if ((s->n_jobs & (s->n_jobs - 1)) == 0) /* room doubles */
		s->jobs = xrealloc_array(s->jobs, MAX(s->n_jobs * 2, (size_t)1), sizeof(s->jobs[0]));
	s->jobs[s->n_jobs++] = (struct sweep_job){config_to_json(&e->config), swept_values(e)};
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
	bool was = e->assigned[c->param - params];
	for (size_t k = 0; k < c->n && !e->full; k++) {
		config_set(&e->config, c->param, c->values[k]);
		e->assigned[c->param - params] = true;
		expand_set(e, rule, i + 1);
	}
	e->config = before;
	e->assigned[c->param - params] = was;
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
		config_set(&e->config, c->param, c->values[k]);
		e->assigned[c->param - params] = true;
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

struct keyed {
	char *text;
	size_t job;
};

static int by_text(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int order = strcmp(x->text, y->text);
	return order ? order : x->job < y->job ? -1 : x->job > y->job;
}

/* Two jobs with one configuration would train the same thing twice. */
static void find_twins(struct expansion *e)
{
	const struct sweep *s = e->sweep;
	struct keyed *keyed = xcalloc(s->n_jobs, sizeof(*keyed));
	for (size_t i = 0; i < s->n_jobs; i++)
		keyed[i] = (struct keyed){json_line(s->jobs[i].config), i};
	qsort(keyed, s->n_jobs, sizeof(*keyed), by_text);
	for (size_t i = 1; i < s->n_jobs; i++)
		if (str_eq(keyed[i - 1].text, keyed[i].text)) {
			findings_add(e->findings, e->plan->parameters_mark,
				     "jobs %zu and %zu would be the same\n  expected: each configuration once; seeds: [0, 1] repeats it with another seed",
				     keyed[i - 1].job + 1, keyed[i].job + 1);
			break;
		}
	for (size_t i = 0; i < s->n_jobs; i++)
		free(keyed[i].text);
	free(keyed);
}

int plan_expand(const struct plan *plan, struct sweep *ret, struct findings *f)
{
	size_t errors = f->n_errors;
	struct expansion e = {.plan = plan, .sweep = ret, .findings = f};
	INVARIANT(n_params <= MAX_PARAMS, "MAX_PARAMS is too small");
	config_defaults(&e.config);
	set_all(&e.config, &plan->defaults);
	set_all(&e.config, &plan->overrides);
	note_swept(&e, &plan->parameters);
	for (size_t i = 0; i < plan->n_rules; i++)
		note_swept(&e, &plan->rules[i].set);
	expand_parameters(&e, 0);
	if (f->n_errors == errors)
		find_twins(&e);
	return f->n_errors == errors ? 0 : -EINVAL;
}
