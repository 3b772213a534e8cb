/* See params.h. */
#include "params.h"

#include "json.h"
#include "utf8.h"

#include <math.h>

const struct param params[] = {
#define P_INT(name, def, lo, hi, help) \
	{#name, PARAM_INT, help, lo, hi, false, NULL, #def, offsetof(struct train_config, name)},
#define P_NUM(name, def, lo, hi, open, help) \
	{#name, PARAM_NUM, help, lo, hi, open, NULL, #def, offsetof(struct train_config, name)},
#define P_BOOL(name, def, help) \
	{#name, PARAM_BOOL, help, 0, 0, false, NULL, (def) ? "true" : "false", offsetof(struct train_config, name)},
#define P_CHOICE(name, def, choices, help) \
	{#name, PARAM_CHOICE, help, 0, 0, false, choices, def, offsetof(struct train_config, name)},
#define P_TEXT(name, help) {#name, PARAM_TEXT, help, 0, 0, false, NULL, "\"\"", offsetof(struct train_config, name)},
#define P_LIST(name, def, lo, hi, help) \
	{#name, PARAM_LIST, help, lo, hi, false, NULL, def, offsetof(struct train_config, name)},
#include "params.def"
};
const size_t n_params = ARRAY_LEN(params);

const struct param *param_find(const char *name)
{
	for (size_t i = 0; i < n_params; i++)
		if (str_eq(params[i].name, name))
			return &params[i];
	return NULL;
}

/* What other trainers call them. */
static const struct synonym synonyms[] = {
	{"learning_rate", "lr"},	 {"lrate", "lr"},	     {"initial_lr", "lr"},	 {"base_lr", "lr"},
	{"wd", "weight_decay"},		 {"l2", "weight_decay"},     {"bs", "batch_size"},	 {"batch", "batch_size"},
	{"minibatch", "batch_size"},	 {"opt", "optimizer"},	     {"schedule", "scheduler"},  {"lr_scheduler", "scheduler"},
	{"lr_schedule", "scheduler"},	 {"num_epochs", "epochs"},   {"n_epochs", "epochs"},	 {"max_epochs", "epochs"},
	{"arch", "model"},		 {"architecture", "model"},  {"network", "model"},	 {"net", "model"},
	{"data", "dataset"},		 {"random_seed", "seed"},    {"amp", "use_amp"},	 {"fp16", "use_amp"},
	{"bf16", "use_amp"},		 {"mixed_precision", "use_amp"}, {"mixup", "use_mixup"}, {"cutmix", "use_cutmix"},
	{"warmup", "warmup_epochs"},	 {"ema", "ema_decay"},	     {"grad_clip", "clip_grad_norm"},
	{"clip_grad", "clip_grad_norm"}, {"max_grad_norm", "clip_grad_norm"},			 {"workers", "num_workers"},
	{"validation_split", "val_split"}, {"early_stopping", "patience"},			 {"wandb", "use_wandb"},
	{"hflip", "random_flip"},	 {"img_size", "image_size"}, {"lr_decay", "gamma"},
};

const char *param_nearest(const char *name)
{
	const char *names[ARRAY_LEN(params)];
	for (size_t i = 0; i < n_params; i++)
		names[i] = params[i].name;
	return nearest_meaning(name, names, n_params, synonyms, ARRAY_LEN(synonyms));
}

bool param_choice(const struct param *p, int i, char *buf, size_t size)
{
	const char *at = p->choices;
	for (; i > 0; i--) {
		at = strchr(at, '|');
		if (!at)
			return false;
		at++;
	}
	snprintf(buf, size, "%.*s", (int)strcspn(at, "|"), at);
	return true;
}

#define MAX_CHOICES 16
#define MAX_CHOICE  32

int param_choice_index(const struct param *p, const char *text)
{
	char choice[MAX_CHOICE];
	for (int i = 0; param_choice(p, i, choice, sizeof(choice)); i++)
		if (str_eq(choice, text))
			return i;
	return -1;
}

static void *field(const struct train_config *cfg, const struct param *p)
{
	return (char *)cfg + p->offset;
}

const char *config_choice(const struct train_config *cfg, const char *name)
{
	static __thread char buf[ARRAY_LEN(params)][MAX_CHOICE];
	const struct param *p = param_find(name);
	INVARIANT(p && p->type == PARAM_CHOICE, "%s is not a choice", name);
	char *text = buf[p - params];
	INVARIANT(param_choice(p, *(int *)field(cfg, p), text, MAX_CHOICE), "choice of %s out of range", name);
	return text;
}

/* "text", "a list" ... of a value, for an error. */
static const char *kind_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "a map";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "nothing";
	}
	return "?";
}

/* The range as people write it: "> 0", "from 1 to 65536". */
static void range_text(const struct param *p, char *buf, size_t size)
{
	char lo[32], hi[32];
	number_text(p->min, lo);
	number_text(p->max, hi);
	snprintf(buf, size, p->open ? "above %s, at most %s" : "from %s to %s", lo, hi);
}

/* "0,05" for 0.05: what a decimal comma meant, or NULL. */
static const char *without_comma(const json_t *v, char *buf, size_t size)
{
	const char *text = json_string_value(v);
	if (!text || strlen(text) >= size)
		return NULL;
	strcpy(buf, text);
	char *comma = strchr(buf, ',');
	if (comma)
		*comma = '.';
	char *end;
	strtod(buf, &end);
	return end == buf || *end ? NULL : buf;
}

static int wrong_type(const struct param *p, const json_t *v, const char *wanted, struct err *err)
{
	char range[96], fixed[64];
	autofree char *text = json_dumps(v, JSON_ENCODE_ANY);
	range_text(p, range, sizeof(range));
	const char *meant = without_comma(v, fixed, sizeof(fixed));
	return err_set(err, -EINVAL, "\"%s\" needs %s; %.60s is %s\n  expected: %s%s%s", p->name, wanted, text, kind_of(v),
		       range, meant ? "\n  do this:  write " : "", meant ? meant : "");
}

static int check_number(const struct param *p, const json_t *v, struct err *err)
{
	char text[32], range[96];
	bool whole = p->type == PARAM_INT;
	if (!json_is_number(v))
		return wrong_type(p, v, whole ? "a whole number" : "a number", err);
	double x = json_number_value(v);
	if (whole && x != floor(x))
		return wrong_type(p, v, "a whole number", err);
	if (x >= p->min && x <= p->max && !(p->open && x == p->min))
		return 0;
	range_text(p, range, sizeof(range));
	return err_set(err, -ERANGE, "\"%s\" is out of range: %s\n  expected: %s", p->name, number_text(x, text), range);
}

/* "a, b, c" of "a|b|c". */
static char *choices_text(const struct param *p)
{
	char choice[MAX_CHOICE];
	char *all = xstrdup("");
	for (int i = 0; param_choice(p, i, choice, sizeof(choice)); i++) {
		char *longer = xasprintf("%s%s%s", all, i ? ", " : "", choice);
		free(all);
		all = longer;
	}
	return all;
}

static int check_choice(const struct param *p, const json_t *v, struct err *err)
{
	char storage[MAX_CHOICES][MAX_CHOICE];
	const char *names[MAX_CHOICES];
	autofree char *text = json_dumps(v, JSON_ENCODE_ANY);
	autofree char *all = choices_text(p);
	if (json_is_string(v) && param_choice_index(p, json_string_value(v)) >= 0)
		return 0;
	size_t n = 0;
	for (; n < MAX_CHOICES && param_choice(p, (int)n, storage[n], MAX_CHOICE); n++)
		names[n] = storage[n];
	const char *near = json_is_string(v) ? nearest_name(json_string_value(v), names, n) : NULL;
	return err_set(err, -EINVAL, "\"%s\" has no value %.60s\n  expected: %s%s%s%s", p->name, text, all,
		       near ? "\n  do this:  write \"" : "", near ? near : "", near ? "\"" : "");
}

static int check_bool(const struct param *p, const json_t *v, struct err *err)
{
	autofree char *text = json_dumps(v, JSON_ENCODE_ANY);
	if (!json_is_boolean(v))
		return err_set(err, -EINVAL, "\"%s\" needs true or false; %.60s is %s\n  expected: true or false", p->name,
			       text, kind_of(v));
	return 0;
}

static int check_text(const struct param *p, const json_t *v, struct err *err)
{
	autofree char *text = json_dumps(v, JSON_ENCODE_ANY);
	if (!json_is_string(v))
		return err_set(err, -EINVAL, "\"%s\" needs text; %.60s is %s\n  expected: text in quotation marks", p->name, text,
			       kind_of(v));
	size_t size = json_string_length(v);
	if (size > PARAM_TEXT_MAX || !utf8_is_harmless(json_string_value(v), size))
		return err_set(err, -EINVAL, "\"%s\" is too long or holds control characters\n  expected: at most %d bytes of text",
			       p->name, PARAM_TEXT_MAX);
	return 0;
}

static int check_list(const struct param *p, const json_t *v, struct err *err)
{
	char range[96];
	autofree char *text = json_dumps(v, JSON_ENCODE_ANY);
	size_t n = json_array_size(v);
	bool good = json_is_array(v) && n <= PARAM_LIST_MAX;
	for (size_t i = 0; good && i < n; i++) {
		const json_t *item = json_array_get(v, i);
		double x = json_number_value(item);
		good = json_is_number(item) && x == floor(x) && x >= p->min && x <= p->max &&
		       (i == 0 || x > json_number_value(json_array_get(v, i - 1)));
	}
	if (good)
		return 0;
	range_text(p, range, sizeof(range));
	return err_set(err, -EINVAL, "\"%s\" needs a list of whole numbers that rise; found %.60s\n"
		       "  expected: at most %d numbers %s, such as %s", p->name, text, PARAM_LIST_MAX, range, p->default_text);
}

int param_check(const struct param *p, const json_t *value, struct err *err)
{
	switch (p->type) {
	case PARAM_INT:
	case PARAM_NUM:
		return check_number(p, value, err);
	case PARAM_BOOL:
		return check_bool(p, value, err);
	case PARAM_CHOICE:
		return check_choice(p, value, err);
	case PARAM_TEXT:
		return check_text(p, value, err);
	case PARAM_LIST:
		return check_list(p, value, err);
	}
	BUG("parameter type");
}

static void set_list(struct param_list *list, const json_t *value)
{
	*list = (struct param_list){.n = (int)json_array_size(value)};
	for (int i = 0; i < list->n; i++)
		list->at[i] = (int)json_number_value(json_array_get(value, (size_t)i));
}

static json_t *get_list(const struct param_list *list)
{
	json_t *value = json_array();
	for (int i = 0; i < list->n; i++)
		json_array_append_new(value, json_integer(list->at[i]));
	return value;
}

void config_set(struct train_config *cfg, const struct param *p, const json_t *value)
{
	void *f = field(cfg, p);
	switch (p->type) {
	case PARAM_INT:
		*(int *)f = (int)json_number_value(value);
		return;
	case PARAM_NUM:
		*(double *)f = json_number_value(value);
		return;
	case PARAM_BOOL:
		*(bool *)f = json_is_true(value);
		return;
	case PARAM_CHOICE:
		*(int *)f = param_choice_index(p, json_string_value(value));
		return;
	case PARAM_TEXT:
		memcpy(f, json_string_value(value), json_string_length(value) + 1);
		return;
	case PARAM_LIST:
		set_list(f, value);
		return;
	}
}

json_t *config_get(const struct train_config *cfg, const struct param *p)
{
	const void *f = field(cfg, p);
	switch (p->type) {
	case PARAM_INT:
		return json_integer(*(const int *)f);
	case PARAM_NUM:
		return json_real(*(const double *)f);
	case PARAM_BOOL:
		return json_boolean(*(const bool *)f);
	case PARAM_CHOICE:
		return json_string(config_choice(cfg, p->name));
	case PARAM_TEXT:
		return json_string(f);
	case PARAM_LIST:
		return get_list(f);
	}
	BUG("parameter type");
}

bool config_same(const struct train_config *a, const struct train_config *b, const struct param *p)
{
	static const size_t sizes[] = {
		[PARAM_INT] = sizeof(int),	 [PARAM_NUM] = sizeof(double), [PARAM_BOOL] = sizeof(bool),
		[PARAM_CHOICE] = sizeof(int), [PARAM_LIST] = sizeof(struct param_list),
	};
	if (p->type == PARAM_TEXT)
		return str_eq(field(a, p), field(b, p));
	return memcmp(field(a, p), field(b, p), sizes[p->type]) == 0;
}

void config_defaults(struct train_config *cfg)
{
	*cfg = (struct train_config){
#define P_INT(name, def, ...) .name = def,
#define P_NUM(name, def, ...) .name = def,
#define P_BOOL(name, def, ...) .name = def,
#define P_CHOICE(name, ...)
#define P_TEXT(name, ...)
#define P_LIST(name, ...)
#include "params.def"
	};
	for (size_t i = 0; i < n_params; i++) {
		const struct param *p = &params[i];
		if (p->type == PARAM_CHOICE)
			*(int *)field(cfg, p) = param_choice_index(p, p->default_text);
		if (p->type == PARAM_LIST) {
			autojson json_t *value = json_loads(p->default_text, 0, NULL);
			set_list(field(cfg, p), value);
		}
	}
}

int config_from_json(struct train_config *cfg, const json_t *object, struct err *err)
{
	const char *key;
	json_t *value;
	struct train_config c;
	if (!json_is_object(object))
		return err_set(err, -EINVAL, "a configuration is an object of training parameters");
	config_defaults(&c);
	json_object_foreach((json_t *)object, key, value) {
		const struct param *p = param_find(key);
		if (!p)
			return err_set(err, -EINVAL, "unknown parameter \"%s\"", key);
		int r = param_check(p, value, err);
		if (r < 0)
			return r;
		config_set(&c, p, value);
	}
	int r = config_check(&c, err);
	if (r < 0)
		return r;
	*cfg = c;
	return 0;
}

json_t *config_to_json(const struct train_config *cfg)
{
	json_t *object = json_object();
	for (size_t i = 0; i < n_params; i++)
		json_object_set_new(object, params[i].name, config_get(cfg, &params[i]));
	return object;
}
