/* Reads a sweep file into a plan: its keys, each with the function that takes it, are the table at the end.
 *
 * Everything wrong is collected, so that one run tells it all.  See sweep.h and sweep_internal.h. */
#include "sweep_internal.h"

#include "json.h"

#include <ctype.h>
#include <math.h>
#include <sha2.h>

const char *const sweep_metrics[] = {"train_loss", "train_accuracy", "test_loss", "test_accuracy"};
const size_t n_sweep_metrics = ARRAY_LEN(sweep_metrics);

#define MAX_NAME 64

struct reading {
	struct plan plan;
	struct sweep *sweep;
	bool has_goal;
	const struct node *seeds;
	struct findings *f;
};

struct member { /* of the file's map, under the hands of its taker */
	struct mark key;
	const struct node *value;
};

/* "\n  do this:  write "NEAR"", or "". */
static char *hint(const char *near)
{
	return near ? xasprintf("\n  do this:  write \"%s\"", near) : xstrdup("");
}

static bool want_kind(struct reading *r, const struct node *node, enum node_kind kind, const char *key, const char *wanted)
{
	if (node->kind == kind)
		return true;
	findings_add(r->f, node->mark, "\"%s\" needs %s, not %s", key, wanted, node_kind_name(node));
	return false;
}

static bool want_int(struct reading *r, const struct node *node, const char *key, int64_t min, int64_t max, int64_t *ret)
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

static struct choice *choices_add(struct choices *list, const struct param *param, struct mark mark)
{
	list->items = xrealloc_array(list->items, list->n + 1, sizeof(list->items[0]));
	list->items[list->n] = (struct choice){.param = param, .mark = mark};
	return &list->items[list->n++];
}

/* Checks one value and appends it in its normal form. */
static void add_value(struct reading *r, struct choice *c, const struct node *node)
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
	for (size_t i = 0; i < c->n; i++)
		if (json_equal(c->values[i], normal)) {
			findings_add(r->f, node->mark, "\"%s\" lists %.60s twice\n  expected: each value once", c->param->name,
				     node->text);
			json_decref(normal);
			return;
		}
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
	for (size_t i = 0; i < list->n_items; i++)
		add_value(r, c, list->items[i]);
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
		add_value(r, c, value);
	else
		add_values(r, c, values);
}

static void take_parameters(struct reading *r, struct member m)
{
	r->plan.parameters_mark = m.key;
	if (!want_kind(r, m.value, NODE_MAP, "parameters", "a map of training parameters"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++)
		take_spec(r, &r->plan.parameters, m.value->keys[i], m.value->key_marks[i], m.value->items[i]);
}

static void take_defaults(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_MAP, "defaults", "a map of training parameters"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++) {
		const struct param *p = find_param(r, m.value->keys[i], m.value->key_marks[i]);
		if (p)
			add_value(r, choices_add(&r->plan.defaults, p, m.value->key_marks[i]), m.value->items[i]);
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
			add_value(r, c, map->items[i]);
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

static void take_when(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_LIST, "when", "a list of {\"if\": ..., \"set\": ...}"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++)
		take_rule(r, m.value->items[i]);
}

/* A parameter that `parameters` varies and a rule sets as well would be two things at once. */
static void check_rules(struct reading *r)
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

static void take_seeds(struct reading *r, struct member m)
{
	const struct param *seed = param_find("seed");
	if (choices_find(&r->plan.parameters, seed)) {
		findings_add(r->f, m.key, "\"seed\" is given twice\n  expected: it in one of parameters, seeds, repeat");
		return;
	}
	add_values(r, choices_add(&r->plan.parameters, seed, m.key), m.value);
}

/* repeat: n is seeds: [0, 1, ..., n - 1]. */
static void take_repeat(struct reading *r, struct member m)
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

/* --- the small keys --- */

bool sweep_name_is_good(const char *name)
{
	size_t size = strlen(name);
	const char *digits = name + (name[0] == 's');
	bool looks_like_a_target = *digits && digits[strspn(digits, "0123456789,-")] == '\0';
	if (size == 0 || size > MAX_NAME || looks_like_a_target)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-+ ", *name))
			return false;
	return true;
}

static void take_name(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_STR, "name", "text"))
		return;
	if (!sweep_name_is_good(m.value->text))
		findings_add(r->f, m.value->mark,
			     "\"%.80s\" cannot be the name of a sweep\n  expected: at most %d letters, digits, . _ - + and spaces; not a number, not s1",
			     m.value->text, MAX_NAME);
	r->sweep->name = xstrdup(m.value->text);
}

static void take_project(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_STR, "project", "text"))
		return;
	if (!*m.value->text || strlen(m.value->text) > 128)
		findings_add(r->f, m.value->mark, "\"project\" needs 1 to 128 characters");
	free(r->sweep->project);
	r->sweep->project = xstrdup(m.value->text);
}

static void take_method(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_STR, "method", "text") || str_eq(m.value->text, "grid"))
		return;
	if (str_eq(m.value->text, "random") || str_eq(m.value->text, "bayes"))
		findings_add(r->f, m.value->mark, "method \"%s\" is not built in yet\n  expected: grid", m.value->text);
	else
		findings_add(r->f, m.value->mark, "unknown method \"%.60s\"\n  expected: grid", m.value->text);
}

static void take_metric_name(struct reading *r, const struct node *node)
{
	if (!want_kind(r, node, NODE_STR, "name", "text"))
		return;
	for (size_t i = 0; i < n_sweep_metrics; i++)
		if (str_eq(node->text, sweep_metrics[i])) {
			free(r->sweep->metric);
			r->sweep->metric = xstrdup(node->text);
			return;
		}
	autofree char *near = hint(nearest_name(node->text, sweep_metrics, n_sweep_metrics));
	findings_add(r->f, node->mark,
		     "unknown metric \"%.60s\"\n  expected: train_loss, train_accuracy, test_loss or test_accuracy%s", node->text,
		     near);
}

static void take_metric(struct reading *r, struct member m)
{
	if (!want_kind(r, m.value, NODE_MAP, "metric", "{\"name\": ..., \"goal\": ...}"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++) {
		const char *key = m.value->keys[i];
		const struct node *item = m.value->items[i];
		if (str_eq(key, "name")) {
			take_metric_name(r, item);
		} else if (!str_eq(key, "goal")) {
			findings_add(r->f, m.value->key_marks[i], "unknown key \"%.60s\" in metric\n  expected: name, goal", key);
		} else if (item->kind == NODE_STR && (str_eq(item->text, "maximize") || str_eq(item->text, "minimize"))) {
			r->sweep->maximize = str_eq(item->text, "maximize");
			r->has_goal = true;
		} else {
			findings_add(r->f, item->mark, "\"goal\" is not one\n  expected: maximize or minimize");
		}
	}
}

static void take_run_cap(struct reading *r, struct member m)
{
	want_int(r, m.value, "run_cap", 1, SWEEP_MAX_JOBS, &r->plan.run_cap);
}

static void take_resources(struct reading *r, struct member m)
{
	int64_t n;
	if (!want_kind(r, m.value, NODE_MAP, "resources", "a map"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++) {
		const char *key = m.value->keys[i];
		const struct node *item = m.value->items[i];
		if (str_eq(key, "priority"))
			r->sweep->priority = want_int(r, item, "priority", -1000, 1000, &n) ? (int)n : 0;
		else if (str_eq(key, "retries"))
			r->sweep->retries = want_int(r, item, "retries", 0, 100, &n) ? (int)n : 0;
		else
			findings_add(r->f, m.value->key_marks[i], "unknown key \"%.60s\" in resources\n  expected: priority, retries",
				     key);
	}
}

static void take_text(struct reading *r, struct member m)
{
	if (m.value->kind != NODE_STR && m.value->kind != NODE_NULL)
		findings_add(r->f, m.value->mark, "expected text, not %s", node_kind_name(m.value));
}

static void refuse_program(struct reading *r, struct member m)
{
	findings_add(r->f, m.key, "jobs that run a program of yours are not built in yet\n  expected: a sweep of the built-in trainer, without program and command");
}

static void refuse_later(struct reading *r, struct member m)
{
	findings_add(r->f, m.key, "this key is not built in yet\n  do this:  remove it");
}

/* `seeds` and `repeat` come after `parameters`, wherever they stand in the file. */
static const struct {
	const char *key;
	void (*take)(struct reading *r, struct member m);
} keys[] = {
	{"name", take_name},
	{"project", take_project},
	{"description", take_text},
	{"entity", take_text},
	{"method", take_method},
	{"metric", take_metric},
	{"parameters", take_parameters},
	{"when", take_when},
	{"defaults", take_defaults},
	{"seeds", take_seeds},
	{"repeat", take_repeat},
	{"run_cap", take_run_cap},
	{"resources", take_resources},
	{"program", refuse_program},
	{"command", refuse_program},
	{"early_terminate", refuse_later},
	{"wandb", refuse_later},
};

static void check_keys(struct reading *r, const struct node *root)
{
	const char *names[ARRAY_LEN(keys)];
	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		names[k] = keys[k].key;
	for (size_t i = 0; i < root->n_items; i++) {
		const char *key = root->keys[i];
		bool known = str_eq(key, "$schema") || strncmp(key, "x-", 2) == 0;
		for (size_t k = 0; k < ARRAY_LEN(keys) && !known; k++)
			known = str_eq(key, keys[k].key);
		if (known)
			continue;
		autofree char *near = hint(nearest_name(key, names, ARRAY_LEN(names)));
		bool misplaced = param_find(key);
		findings_add(r->f, root->key_marks[i], "unknown key \"%.60s\"\n  expected: %s%s", key,
			     misplaced ? "a training parameter stands in parameters or in defaults"
				       : "name, project, method, metric, parameters, when, defaults, ...",
			     misplaced ? "" : near);
	}
}

static void take_file(struct reading *r, const struct node *root)
{
	if (root->kind != NODE_MAP) {
		findings_add(r->f, root->mark, "a sweep file is a map with the key \"parameters\", not %s", node_kind_name(root));
		return;
	}
	check_keys(r, root);
	r->plan.parameters_mark = root->mark;
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		struct member m;
		m.value = node_get(root, keys[k].key, &m.key);
		if (m.value)
			keys[k].take(r, m);
	}
	check_rules(r);
	if (!node_get(root, "parameters", NULL) && !node_get(root, "defaults", NULL))
		findings_add(r->f, root->mark, "a sweep file needs \"parameters\"");
}

static void take_override(struct reading *r, const struct sweep_override *o)
{
	static const struct mark nowhere = {0, 0};
	const struct param *p = find_param(r, o->key, nowhere);
	if (!p)
		return;
	struct node *value = node_scalar(o->value);
	if (value)
		add_value(r, choices_add(&r->plan.overrides, p, nowhere), value);
	else
		findings_add(r->f, nowhere, "--override %s=%.60s: expected one value", o->key, o->value);
	node_free(value);
}

/* --- the sweep --- */

static void compute_hash(struct sweep *s)
{
	SHA2_CTX sha;
	SHA256Init(&sha);
	autofree char *head = xasprintf("%s\n%s\n%d\n", s->project, s->metric, s->maximize);
	SHA256Update(&sha, (const uint8_t *)head, strlen(head));
	for (size_t i = 0; i < s->n_jobs; i++) {
		autofree char *config = json_line(s->jobs[i].config), *swept = json_line(s->jobs[i].swept);
		SHA256Update(&sha, (const uint8_t *)config, strlen(config) + 1);
		SHA256Update(&sha, (const uint8_t *)swept, strlen(swept) + 1);
	}
	SHA256End(&sha, s->hash);
}

static void choices_fini(struct choices *list)
{
	for (size_t i = 0; i < list->n; i++) {
		for (size_t k = 0; k < list->items[i].n; k++)
			json_decref(list->items[i].values[k]);
		free(list->items[i].values);
	}
	free(list->items);
}

static void plan_fini(struct plan *plan)
{
	choices_fini(&plan->parameters);
	choices_fini(&plan->defaults);
	choices_fini(&plan->overrides);
	for (size_t i = 0; i < plan->n_rules; i++) {
		choices_fini(&plan->rules[i].conditions);
		choices_fini(&plan->rules[i].set);
	}
	free(plan->rules);
}

int sweep_parse(struct sweep **ret, const char *text, size_t size, const struct sweep_override *overrides,
		size_t n_overrides, const char *default_name, struct findings *f)
{
	size_t errors = f->n_errors;
	struct reading r = {.sweep = xcalloc(1, sizeof(*r.sweep)), .f = f};
	r.sweep->project = xstrdup("sweepd");
	r.sweep->metric = xstrdup("test_accuracy");
	r.sweep->retries = 2;
	struct node *root = doc_parse(text, size, f);
	if (root)
		take_file(&r, root);
	node_free(root);
	for (size_t i = 0; i < n_overrides; i++)
		take_override(&r, &overrides[i]);
	if (!r.sweep->name)
		r.sweep->name = xstrdup(sweep_name_is_good(default_name) ? default_name : "sweep");
	if (!r.has_goal)
		r.sweep->maximize = strstr(r.sweep->metric, "accuracy");
	if (f->n_errors == errors)
		plan_expand(&r.plan, r.sweep, f);
	plan_fini(&r.plan);
	if (f->n_errors != errors) {
		sweep_free(r.sweep);
		return -EINVAL;
	}
	compute_hash(r.sweep);
	*ret = r.sweep;
	return 0;
}

void sweep_free(struct sweep *sweep)
{
	if (!sweep)
		return;
	for (size_t i = 0; i < sweep->n_jobs; i++) {
		json_decref(sweep->jobs[i].config);
		json_decref(sweep->jobs[i].swept);
	}
	for (size_t i = 0; i < sweep->n_swept; i++)
		free(sweep->swept[i]);
	free(sweep->jobs);
	free(sweep->swept);
	free(sweep->name);
	free(sweep->project);
	free(sweep->metric);
	free(sweep);
}
