/* The keys of a sweep file that are about Weights & Biases: `wandb` and `entity`.  See sweep_internal.h, wandb.h. */
#include "sweep_internal.h"

#include "json.h"
#include "wandb.h"

void take_entity(struct reading *r, struct member m)
{
	struct err err;
	autojson json_t *value = node_json(m.value);
	if (m.value->kind == NODE_NULL)
		return;
	if (wandb_setting_check("entity", value, &err) < 0)
		findings_add(r->f, m.value->mark, "%s", err.text);
	else
		json_object_set(r->wandb, "entity", value);
}

void take_wandb(struct reading *r, struct member m)
{
	struct err err;
	r->wandb_mark = m.key;
	r->sweep->has_wandb = true;
	if (!want_kind(r, m.value, NODE_MAP, "wandb", "a map such as {\"project\": ..., \"mode\": \"online\"}"))
		return;
	for (size_t i = 0; i < m.value->n_items; i++) {
		const char *key = m.value->keys[i];
		autojson json_t *value = node_json(m.value->items[i]);
		bool known = wandb_setting_is_known(key);
		if (wandb_setting_check(key, value, &err) < 0)
			findings_add(r->f, known ? m.value->items[i]->mark : m.value->key_marks[i], "%s", err.text);
		else
			json_object_set(r->sweep->wandb, key, value);
	}
}

static bool is_set(const struct plan *plan, const struct param *param)
{
	bool set = choices_find(&plan->parameters, param) || choices_find(&plan->defaults, param) ||
		   choices_find(&plan->overrides, param);
	for (size_t i = 0; i < plan->n_rules && !set; i++)
		set = choices_find(&plan->rules[i].set, param);
	return set;
}

void finish_wandb(struct reading *r)
{
	const struct param *use_wandb = param_find("use_wandb");
	json_object_update_missing(r->sweep->wandb, r->wandb);
	if (!r->sweep->has_wandb || is_set(&r->plan, use_wandb))
		return;
	if (str_eq(json_str_or(r->sweep->wandb, "mode", ""), wandb_mode_names[WANDB_DISABLED]))
		return;
	struct choice *c = choices_add(&r->plan.defaults, use_wandb, r->wandb_mark);
	c->values = xrealloc_array(NULL, 1, sizeof(c->values[0]));
	c->values[c->n++] = json_true();
}

size_t sweep_wandb_jobs(const struct sweep *sweep)
{
	size_t n = 0;
	for (size_t i = 0; i < sweep->n_jobs; i++)
		n += json_is_true(sweep_job_value(sweep, i, "use_wandb"));
	return n;
}

void check_wandb(struct reading *r)
{
	struct err err;
	const json_t *project = json_object_get(r->sweep->wandb, "project");
	if (project && sweep_wandb_jobs(r->sweep) && wandb_setting_check("project", project, &err) < 0)
		findings_add(r->f, r->wandb_mark, "%s\n  do this:  write \"wandb\": {\"project\": ...} beside it",
			     err.text);
}
