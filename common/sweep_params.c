/* The parameters of a sweep file and their values: parameters, defaults, when, seeds, overrides.  Everything wrong is
 * collected.  See sweep_internal.h. */
#include "sweep_internal.h"

#include "json.h"

char *hint(const char *near)
{
	return near ? xasprintf("\n  do this:  write \"%s\"", near) : xstrdup("");
}

bool want_kind(struct reading *r, const struct node *node, enum node_kind kind, const char *key, const char *wanted)
{
	if (node->kind == kind)
		return true;
	findings_add(r->f, node->mark, "\"%s\" needs %s, not %s", key, wanted, node_kind_name(node));
	return false;
}

bool want_int(struct reading *r, const struct node *node, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	if (node->kind == NODE_INT && node->integer >= min && node->integer <= max) {
		*ret = node->integer;
		return true;
	}
	findings_add(r->f, node->mark, "\"%s\" needs a whole number from %lld to %lld", key, (long long)min, (long long)max);
	return false;
}

/* --- parameters and their values --- */

static const struct param *find_param(struct reading *r, const char *name, struct mark mark)
{
	const struct param *p = param_find(name);
	if (p)
		return p;
	autofree char *near = hint(param_nearest(name));
	findings_add(r->f, mark, "unknown parameter \"%.60s\"\n  expected: a training parameter (sweepctl params)%s", name, near);
	return NULL;
}

struct choice *choices_add(struct choices *list, const struct param *param, struct mark mark)
{
	list->items = xrealloc_array(list->items, list->n + 1, sizeof(list->items[0]));
	list->items[list->n] = (struct choice){.param = param, .mark = mark};
	return &list->items[list->n++];
}

/* The same text for the same value: -0 is 0. */
static char *text_of(const json_t *value)
{
	char number[32];
	return json_is_real(value) ? xstrdup(number_text(json_real_value(value) + 0.0, number)) : json_line(value);
}

/* Checks one value and appends it in its normal form.  seen: texts of those before it. */
static void add_value(struct reading *r, struct choice *c, const struct node *node, json_t *seen)
{
	struct err err;
	struct train_config config;
	autojson json_t *value = node_json(node);
	if (param_check(c->param, value, &err) < 0) {
		findings_add(r->f, node->mark, "%s", err.text);
		return;
	}
	config_defaults(&config);
	config_set(&config, c->param, value);
	json_t *normal = config_get(&config, c->param);
	autofree char *text = text_of(normal);
	if (json_object_get(seen, text)) {
		findings_add(r->f, node->mark, "\"%s\" lists %.60s twice\n  expected: each value once", c->param->name, node->text);
		json_decref(normal);
		return;
	}
	json_object_set_new(seen, text, json_true());
	if ((c->n & (c->n - 1)) == 0) /* room doubles */
		c->values = xrealloc_array(c->values, MAX(c->n * 2, (size_t)1), sizeof(c->values[0]));
	c->values[c->n++] = normal;
}

static void add_values(struct reading *r, struct choice *c, const struct node *list)
{
	if (!want_kind(r, list, NODE_LIST, "values", "a list"))
		return;
	if (list->n_items == 0)
		findings_add(r->f, list->mark, "\"%s\" has no value\n  expected: at least one", c->param->name);
	autojson json_t *seen = json_object();
	for (size_t i = 0; i < list->n_items; i++)
		add_value(r, c, list->items[i], seen);
}

/* {"value": v}, {"values": [v, ...]}; "distribution" constant or categorical beside them says the same again. */
static void take_spec(struct reading *r, struct choices *list, const char *name, struct mark mark, const struct node *spec)
{
	const struct param *p = find_param(r, name, mark);
	if (!p)
		return;
	if (spec->kind != NODE_MAP) {
		findings_add(r->f, spec->mark, "\"%s\" needs {\"value\": ...} or {\"values\": [...]}, not %s", name,
			     node_kind_name(spec));
		return;
	}
	const struct node *value = NULL, *values = NULL;
	for (size_t i = 0; i < spec->n_items; i++) {
		const char *key = spec->keys[i];
		const struct node *item = spec->items[i];
		bool listed = item->kind == NODE_STR && (str_eq(item->text, "constant") || str_eq(item->text, "categorical"));
		if (str_eq(key, "value"))
			value = item;
		else if (str_eq(key, "values"))
			values = item;
		else if (!str_eq(key, "distribution") || !listed)
			findings_add(r->f, spec->key_marks[i],
				     "\"%.60s\" of \"%s\": a grid takes listed values\n  expected: value or values", key, name);
	}
	struct choice *c = choices_add(list, p, mark);
	if (!value == !values)
		findings_add(r->f, mark, "\"%s\" needs either value or values", name);
	else if (value)
		add_value(r, c, value, NULL);
	else
		add_values(r, c, values);
}

void take_parameters(struct reading *r, struct member m)
{
	r->plan.parameters_mark = m.key;
	if (!want_kind(r, m.value, NODE_MAP, "parameters", "a map of training parameters"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++)
		take_spec(r, &r->plan.parameters, m.value->keys[i], m.value->key_marks[i], m.value->items[i]);
}

void take_defaults(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_MAP, "defaults", "a map of training parameters"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++) {
		const struct param *p = find_param(r, m.value->keys[i], m.value->key_marks[i]);
		if (p)
			add_value(r, choices_add(&r->plan.defaults, p, m.value->key_marks[i]), m.value->items[i], NULL);
	}
}

/* --- when --- */

static void take_conditions(struct reading *r, struct rule *rule, const struct node *map)
{
	if (!want_kind(r, map, NODE_MAP, "if", "a map such as {\"model\": \"resnet18\"}"))
		return;
	for (size_t i = 0; i < map->n_items; i++) {
		const struct param *p = find_param(r, map->keys[i], map->key_marks[i]);
		if (!p)
			continue;
		struct choice *c = choices_add(&rule->conditions, p, map->key_marks[i]);
		if (map->items[i]->kind == NODE_LIST)
			add_values(r, c, map->items[i]);
		else
			add_value(r, c, map->items[i], NULL);
	}
}

static void take_rule(struct reading *r, const struct node *node)
{
	if (!want_kind(r, node, NODE_MAP, "when", "maps {\"if\": ..., \"set\": ...}"))
		return;
	const struct node *conditions = node_get(node, "if", NULL), *set = node_get(node, "set", NULL);
	for (size_t i = 0; i < node->n_items; i++)
		if (!str_eq(node->keys[i], "if") && !str_eq(node->keys[i], "set"))
			findings_add(r->f, node->key_marks[i], "unknown key \"%.60s\"\n  expected: if, set", node->keys[i]);
	if (!conditions || !set) {
		findings_add(r->f, node->mark, "a rule of \"when\" needs both \"if\" and \"set\"");
		return;
	}
	r->plan.rules = xrealloc_array(r->plan.rules, r->plan.n_rules + 1, sizeof(r->plan.rules[0]));
	struct rule *rule = &r->plan.rules[r->plan.n_rules++];
	*rule = (struct rule){.mark = node->mark};
	take_conditions(r, rule, conditions);
	if (!want_kind(r, set, NODE_MAP, "set", "a map of training parameters"))
		return;
	for (size_t i = 0; i < set->n_items; i++)
		take_spec(r, &rule->set, set->keys[i], set->key_marks[i], set->items[i]);
}

void take_when(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_LIST, "when", "a list of {\"if\": ..., \"set\": ...}"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++)
		take_rule(r, m.value->items[i]);
}

/* A parameter that `parameters` varies and a rule sets as well would be two things at once. */
void check_rules(struct reading *r)
{
	for (size_t i = 0; i < r->plan.n_rules; i++) {
		const struct choices *set = &r->plan.rules[i].set;
		for (size_t k = 0; k < set->n; k++)
			if (choices_find(&r->plan.parameters, set->items[k].param))
				findings_add(r->f, set->items[k].mark,
					     "\"%s\" is set here and in \"parameters\"\n  expected: it in one of them",
					     set->items[k].param->name);
	}
}

/* --- seeds --- */

void take_seeds(struct reading *r, struct member m)
{
	const struct param *seed = param_find("seed");
	if (choices_find(&r->plan.parameters, seed)) {
		findings_add(r->f, m.key, "\"seed\" is given twice\n  expected: it in one of parameters, seeds, repeat");
		return;
	}
	add_values(r, choices_add(&r->plan.parameters, seed, m.key), m.value);
}

/* repeat: n is seeds: [0, 1, ..., n - 1]. */
void take_repeat(struct reading *r, struct member m)
{
	int64_t n;
	char text[32];
	struct node *items[SWEEP_MAX_REPEATS];
	struct node list = {.kind = NODE_LIST, .items = items, .mark = m.value->mark};
	if (!want_int(r, m.value, "repeat", 1, SWEEP_MAX_REPEATS, &n))
		return;
	for (int64_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%lld", (long long)i);
		items[list.n_items++] = node_scalar(text);
	}
	take_seeds(r, (struct member){m.key, &list});
	for (size_t i = 0; i < list.n_items; i++)
		node_free(items[i]);
}

void take_override(struct reading *r, const struct sweep_override *o)
{
	static const struct mark nowhere = {0, 0};
	const struct param *p = find_param(r, o->key, nowhere);
	if (!p)
		return;
	struct node *value = node_scalar(o->value);
	if (value)
		add_value(r, choices_add(&r->plan.overrides, p, nowhere), value, NULL);
	else
		findings_add(r->f, nowhere, "--override %s=%.60s: expected one value", o->key, o->value);
	node_free(value);
}
