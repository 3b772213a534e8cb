/* Prints the JSON schema of sweep files, so that editors complete and check them.  Made from params.def like everything
 * else that lists parameters; schema/sweep.schema.json is its output, and a test keeps the two equal. */
#include "common/duration.h"
#include "common/json.h"
#include "common/sweep.h"
#include "common/wandb.h"

#include <math.h>

static json_t *ref(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name));
}

static json_t *choices(const struct param *p)
{
	char choice[64];
	json_t *list = json_array();
	for (int i = 0; param_choice(p, i, choice, sizeof(choice)); i++)
		json_array_append_new(list, json_string(choice));
	return list;
}

/* A bound as a whole number where it is one: 0 and not 0.0. */
static json_t *bound(double v)
{
	return v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v);
}

/* One value of a parameter. */
static json_t *value_schema(const struct param *p)
{
	switch (p->type) {
	case PARAM_INT:
		return json_pack("{s:s, s:o, s:o}", "type", "integer", "minimum", bound(p->min), "maximum", bound(p->max));
	case PARAM_NUM:
		return json_pack("{s:s, s:o, s:o}", "type", "number", p->open ? "exclusiveMinimum" : "minimum", bound(p->min),
				 "maximum", bound(p->max));
	case PARAM_LIST:
		return json_pack("{s:s, s:i, s:{s:s, s:o, s:o}}", "type", "array", "maxItems", PARAM_LIST_MAX, "items", "type",
				 "integer", "minimum", bound(p->min), "maximum", bound(p->max));
	case PARAM_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case PARAM_CHOICE:
		return json_pack("{s:o}", "enum", choices(p));
	case PARAM_TEXT:
		return json_pack("{s:s, s:i}", "type", "string", "maxLength", PARAM_TEXT_MAX);
	}
	BUG("parameter type");
}

static json_t *described(json_t *schema, const struct param *p)
{
	json_object_set_new(schema, "description", json_sprintf("%s (default %s)", p->help, p->default_text));
	return schema;
}

/* {"value": v} or {"values": [v, ...]} of a parameter. */
static json_t *spec_schema(const struct param *p)
{
	json_t *properties = json_pack("{s:o, s:{s:s, s:i, s:b, s:o}, s:{s:[s,s]}}", "value", ref(p->name), "values", "type",
				       "array", "minItems", 1, "uniqueItems", 1, "items", ref(p->name), "distribution", "enum",
				       "constant", "categorical");
	return json_pack("{s:s, s:o, s:b, s:[{s:[s]}, {s:[s]}]}", "type", "object", "properties", properties,
			 "additionalProperties", 0, "oneOf", "required", "value", "required", "values");
}

/* {"p": of(p), ...} for every parameter, nothing else. */
static json_t *map_of(json_t *(*of)(const struct param *p))
{
	json_t *properties = json_object();
	for (size_t i = 0; i < n_params; i++)
		json_object_set_new(properties, params[i].name, of(&params[i]));
	return json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
}

static json_t *value_ref(const struct param *p)
{
	return ref(p->name);
}

static json_t *condition_schema(const struct param *p)
{
	return json_pack("{s:[o, {s:s, s:i, s:o}]}", "anyOf", ref(p->name), "type", "array", "minItems", 1, "items",
			 ref(p->name));
}

static json_t *integer_schema(int64_t min, int64_t max, const char *description)
{
	return json_pack("{s:s, s:I, s:I, s:s}", "type", "integer", "minimum", (json_int_t)min, "maximum", (json_int_t)max,
			 "description", description);
}

static json_t *text_schema(const char *description)
{
	return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

static json_t *metric_schema(void)
{
	json_t *names = json_array();
	for (size_t i = 0; i < n_sweep_metrics; i++)
		json_array_append_new(names, json_string(sweep_metrics[i]));
	return json_pack("{s:s, s:{s:{s:o}, s:{s:[s,s]}}, s:b, s:s}", "type", "object", "properties", "name", "enum", names,
			 "goal", "enum", "maximize", "minimize", "additionalProperties", 0, "description",
			 sweep_key_help(NULL, "metric"));
}

static json_t *rule_schema(void)
{
	return json_pack("{s:s, s:{s:o, s:o}, s:[s,s], s:b}", "type", "object", "properties", "if",
			 map_of(condition_schema), "set", ref("specs"), "required", "if", "set",
			 "additionalProperties", 0);
}

static json_t *duration_schema(const char *description)
{
	return json_pack("{s:[{s:s, s:i, s:I}, {s:s, s:i, s:s}], s:s}", "anyOf", "type", "number", "exclusiveMinimum", 0,
			 "maximum", (json_int_t)DURATION_MAX_S, "type", "string", "minLength", 1, "pattern",
			 DURATION_PATTERN, "description", description);
}

static json_t *wandb_text(const char *key, int max, const char *pattern)
{
	json_t *schema = json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1, "maxLength", max, "description",
				   sweep_key_help("wandb", key));
	if (pattern)
		json_object_set_new(schema, "pattern", json_string(pattern));
	return schema;
}

static json_t *wandb_schema(void)
{
	json_t *properties = json_object();
	json_object_set_new(properties, "mode", json_pack("{s:[s,s,s], s:s}", "enum", wandb_mode_names[WANDB_ONLINE],
							  wandb_mode_names[WANDB_OFFLINE], wandb_mode_names[WANDB_DISABLED],
							  "description", sweep_key_help("wandb", "mode")));
	json_object_set_new(properties, "project", wandb_text("project", WANDB_NAME_MAX, WANDB_PROJECT_PATTERN));
	json_object_set_new(properties, "entity", wandb_text("entity", WANDB_NAME_MAX, WANDB_ENTITY_PATTERN));
	json_object_set_new(properties, "group", wandb_text("group", WANDB_NAME_MAX, NULL));
	json_object_set_new(properties, "notes", wandb_text("notes", WANDB_NOTES_MAX, NULL));
	json_object_set_new(properties, "tags",
			    json_pack("{s:s, s:i, s:b, s:{s:s, s:i, s:i}, s:s}", "type", "array", "maxItems", WANDB_TAGS_MAX,
				      "uniqueItems", 1, "items", "type", "string", "minLength", 1, "maxLength", WANDB_TAG_MAX,
				      "description", sweep_key_help("wandb", "tags")));
	json_object_set_new(properties, "log_every",
			    integer_schema(1, WANDB_LOG_EVERY_MAX, sweep_key_help("wandb", "log_every")));
	json_object_set_new(properties, "base_url", wandb_text("base_url", WANDB_URL_MAX, WANDB_URL_PATTERN));
	return json_pack("{s:s, s:o, s:b, s:s}", "type", "object", "properties", properties, "additionalProperties", 0,
			 "description", sweep_key_help(NULL, "wandb"));
}

static json_t *keys_schema(void)
{
	json_t *keys = json_object();
	json_object_set_new(keys, "$schema", json_pack("{s:s}", "type", "string"));
	json_object_set_new(keys, "name", text_schema(sweep_key_help(NULL, "name")));
	json_object_set_new(keys, "project", text_schema(sweep_key_help(NULL, "project")));
	json_t *entity = json_pack("{s:[s,s], s:s, s:s}", "type", "string", "null", "pattern", WANDB_ENTITY_PATTERN, "description",
				   sweep_key_help(NULL, "entity"));
	json_object_set_new(keys, "entity", entity);
	json_object_set_new(keys, "description", text_schema(sweep_key_help(NULL, "description")));
	json_object_set_new(keys, "method", json_pack("{s:s}", "const", "grid"));
	json_object_set_new(keys, "metric", metric_schema());
	json_object_set_new(keys, "parameters", ref("specs"));
	json_object_set_new(keys, "when", json_pack("{s:s, s:o, s:s}", "type", "array", "items", rule_schema(), "description",
						    sweep_key_help(NULL, "when")));
	json_object_set_new(keys, "defaults", map_of(value_ref));
	json_object_set_new(keys, "seeds",
			    json_pack("{s:s, s:i, s:b, s:o, s:s}", "type", "array", "minItems", 1, "uniqueItems", 1, "items",
				      ref("seed"), "description", sweep_key_help(NULL, "seeds")));
	json_object_set_new(keys, "repeat", integer_schema(1, SWEEP_MAX_REPEATS, sweep_key_help(NULL, "repeat")));
	json_object_set_new(keys, "run_cap", integer_schema(1, SWEEP_MAX_JOBS, sweep_key_help(NULL, "run_cap")));
	json_object_set_new(keys, "resources",
			    json_pack("{s:s, s:{s:o, s:o, s:o}, s:b}", "type", "object", "properties", "priority",
				      integer_schema(-1000, 1000, sweep_key_help("resources", "priority")), "retries",
				      integer_schema(0, 100, sweep_key_help("resources", "retries")), "time_limit",
				      duration_schema(sweep_key_help("resources", "time_limit")),
				      "additionalProperties", 0));
	json_object_set_new(keys, "wandb", wandb_schema());
	return keys;
}

int main(void)
{
	json_t *defs = json_object();
	for (size_t i = 0; i < n_params; i++)
		json_object_set_new(defs, params[i].name, described(value_schema(&params[i]), &params[i]));
	json_object_set_new(defs, "specs", map_of(spec_schema));
	autojson json_t *schema = json_pack("{s:s, s:s, s:s, s:o, s:{s:o}, s:b, s:[{s:[s]}, {s:[s]}], s:o}", "$schema",
					    "https://json-schema.org/draft/2020-12/schema", "title", "A sweep of sweepd", "type",
					    "object", "properties", keys_schema(), "patternProperties", "^x-", json_true(),
					    "additionalProperties", 0, "anyOf", "required", "parameters", "required", "defaults",
					    "$defs", defs);
	INVARIANT(schema, "a json_pack format is wrong");
	autofree char *text = json_pretty(schema);
	puts(text);
	return 0;
}
