/* Reads a sweep file into a plan: its keys, each with the function that takes it, are the table at the end.
 *
 * Everything wrong is collected, so that one run tells it all.  See sweep.h and sweep_internal.h. */
#include "sweep_jobs.h"

#include "duration.h"
#include "json.h"

#include <ctype.h>

#define MAX_NAME 64 /* as SWEEP_NAME_RULE says */

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
			     "\"%.80s\" cannot be the name of a sweep\n  expected: " SWEEP_NAME_RULE, m.value->text);
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
	json_object_set_new(r->wandb, "project", json_string(m.value->text));
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

/* Of one attempt, as Slurm's: a job that goes on from its checkpoint has it anew. */
static void take_time_limit(struct reading *r, const struct node *node)
{
	struct err err;
	double s = node->kind == NODE_INT ? (double)node->integer : node->real;
	if (node->kind == NODE_STR && duration_parse(node->text, &s, &err) < 0)
		findings_add(r->f, node->mark, "%s\n  expected: " DURATION_RULE, err.text);
	else if (node->kind != NODE_STR && node->kind != NODE_INT && node->kind != NODE_REAL)
		findings_add(r->f, node->mark, "\"time_limit\" needs a length of time, not %s\n  expected: " DURATION_RULE,
			     node_kind_name(node));
	else if (!(s > 0 && s <= DURATION_MAX_S))
		findings_add(r->f, node->mark, "\"time_limit\" is not between nothing and a year (31536000 seconds)\n  expected: " DURATION_RULE);
	else
		r->sweep->time_limit_s = s;
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
		else if (str_eq(key, "time_limit"))
			take_time_limit(r, item);
		else
			findings_add(r->f, m.value->key_marks[i],
				     "unknown key \"%.60s\" in resources\n  expected: priority, retries, time_limit",
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

static const struct {
	const char *key;
	void (*take)(struct reading *r, struct member m);
} keys[] = {
#define KEY(key, taker, ...) {#key, taker},
#define KEY_IN(...)
#define KEY_NONE(key, taker) {#key, taker},
#include "sweep_keys.def"
};

const struct sweep_key sweep_keys[] = {
#define KEY(key, taker, value, otherwise, help) {NULL, #key, value, otherwise, help},
#define KEY_IN(map, key, value, otherwise, help) {#map, #key, value, otherwise, help},
#define KEY_NONE(...)
#include "sweep_keys.def"
};
const size_t n_sweep_keys = ARRAY_LEN(sweep_keys);

const char *sweep_key_help(const char *map, const char *key)
{
	for (size_t i = 0; i < n_sweep_keys; i++) {
		const struct sweep_key *k = &sweep_keys[i];
		if (str_eq(k->key, key) && (map ? k->map && str_eq(k->map, map) : !k->map))
			return k->help;
	}
	BUG("no key %s in %s", key, map ? map : "the file");
}

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

/* --- the sweep --- */

static void choices_fini(struct choices *list)
{
	for (size_t i = 0; i < list->n; i++) {
		for (size_t k = 0; k < list->items[i].n; k++)
			json_decref(list->items[i].values[k]);
		free(list->items[i].values);
		free(list->items[i].numbers);
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
	r.sweep->wandb = json_object();
	r.wandb = json_object();
	struct node *root = doc_parse(text, size, f);
	if (root)
		take_file(&r, root);
	node_free(root);
	for (size_t i = 0; i < n_overrides; i++)
		take_override(&r, &overrides[i]);
	finish_wandb(&r);
	if (!r.sweep->name)
		r.sweep->name = xstrdup(sweep_name_is_good(default_name) ? default_name : "sweep");
	if (!r.has_goal)
		r.sweep->maximize = strstr(r.sweep->metric, "accuracy");
	if (f->n_errors == errors)
		plan_expand(&r.plan, r.sweep, f);
	check_wandb(&r);
	if (f->n_errors == errors)
		check_metric(&r);
	plan_fini(&r.plan);
	json_decref(r.wandb);
	if (f->n_errors != errors) {
		sweep_free(r.sweep);
		return -EINVAL;
	}
	autofree char *head = xasprintf("%s\n%s\n%d\n", r.sweep->project, r.sweep->metric, r.sweep->maximize);
	sweep_jobs_hash(r.sweep, head, r.sweep->hash);
	*ret = r.sweep;
	return 0;
}

void sweep_free(struct sweep *sweep)
{
	if (!sweep)
		return;
	for (size_t i = 0; i < sweep->n_swept; i++)
		free(sweep->swept[i]);
	sweep_jobs_free(sweep->jobs);
	free(sweep->swept);
	free(sweep->name);
	free(sweep->project);
	free(sweep->metric);
	json_decref(sweep->wandb);
	free(sweep);
}
