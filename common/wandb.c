/* See wandb.h. */
#include "wandb.h"

#include "json.h"
#include "utf8.h"

#include <ctype.h>

const char *const wandb_mode_names[] = {"online", "offline", "disabled"};

#define NOT_IN_PROJECTS "/\\#?%:"

/* Characters of UTF-8 text; control characters and marks that reorder text count as too many. */
static size_t text_length(const char *s)
{
	size_t n = 0;
	for (size_t size = strlen(s), step; size > 0; s += step, size -= step, n++) {
		step = utf8_length(s, size);
		if (step == 0 || (utf8_is_harmful(utf8_code_point(s, step)) && *s != '\n'))
			return SIZE_MAX;
	}
	return n;
}

static int check_text(const char *key, const json_t *value, size_t max, struct err *err)
{
	const char *text = json_string_value(value);
	size_t n = text ? text_length(text) : 0;
	if (!text || n < 1 || n > max)
		return err_set(err, -EINVAL, "\"%s\" of wandb is not one\n  expected: text of 1 to %zu characters", key,
			       max);
	return 0;
}

static int check_mode(const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	for (int i = 0; text && i < N_WANDB_MODES; i++)
		if (str_eq(text, wandb_mode_names[i]))
			return 0;
	return err_set(err, -EINVAL, "\"mode\" of wandb is not one\n  expected: online, offline or disabled");
}

static int check_project(const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	if (text && strpbrk(text, NOT_IN_PROJECTS))
		return err_set(err, -EINVAL, "\"%.128s\" cannot be a project of W&B\n  expected: text without %s", text,
			       NOT_IN_PROJECTS);
	return check_text("project", value, WANDB_NAME_MAX, err);
}

static int check_entity(const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	bool good = text && *text && strlen(text) <= WANDB_NAME_MAX;
	for (; good && *text; text++)
		good = isalnum((unsigned char)*text) || *text == '-' || *text == '_';
	return good ? 0
		    : err_set(err, -EINVAL,
			      "\"entity\" is no user or team of W&B\n  expected: letters, digits, - and _");
}

static int check_tags(const json_t *value, struct err *err)
{
	size_t i;
	json_t *tag;
	if (!json_is_array(value) || json_array_size(value) > WANDB_TAGS_MAX)
		return err_set(err, -EINVAL, "\"tags\" of wandb is not one\n  expected: a list of at most %d texts",
			       WANDB_TAGS_MAX);
	json_array_foreach((json_t *)value, i, tag)
	{
		int r = check_text("tags", tag, WANDB_TAG_MAX, err);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (json_equal(json_array_get(value, k), tag))
				return err_set(err, -EINVAL, "\"tags\" lists %.80s twice\n  expected: each tag once",
					       json_string_value(tag));
	}
	return 0;
}

static int check_log_every(const json_t *value, struct err *err)
{
	json_int_t n = json_integer_value(value);
	if (!json_is_integer(value) || n < 1 || n > WANDB_LOG_EVERY_MAX)
		return err_set(err, -EINVAL, "\"log_every\" needs a whole number from 1 to %d", WANDB_LOG_EVERY_MAX);
	return 0;
}

int wandb_base_url_check(const char *url, struct err *err)
{
	static const char rule[] = "expected: http://HOST or https://HOST, with a port where it needs one";
	bool secure = strncmp(url, "https://", 8) == 0;
	const char *host = url + (secure ? 8 : 7);
	if (!secure && strncmp(url, "http://", 7) != 0)
		return err_set(err, -EINVAL, "the base URL \"%.120s\" has no http:// or https://\n  %s", url, rule);
	size_t n = strcspn(host, "/");
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("?#\"\\<>", *p))
			return err_set(err, -EINVAL, "a base URL cannot hold that character: %.120s\n  %s", url, rule);
	if (memchr(host, '@', n)) /* not shown: a password would be in it */
		return err_set(err, -EINVAL, "a base URL holds no user or password\n  %s", rule);
	size_t name = *host == '[' ? strspn(host, "[0123456789abcdefABCDEF:]") : strcspn(host, ":/");
	size_t port = host[name] == ':' ? 1 + strspn(host + name + 1, "0123456789") : 0;
	if (name == 0 || name + port != n || port == 1 || strlen(url) > WANDB_URL_MAX)
		return err_set(err, -EINVAL, "the base URL \"%.120s\" has no good host\n  %s", url, rule);
	bool page = (n == 8 && strncmp(host, "wandb.ai", 8) == 0) ||
		    (n == 12 && strncmp(host, "app.wandb.ai", 12) == 0) ||
		    (n == 12 && strncmp(host, "www.wandb.ai", 12) == 0);
	if (page || (!secure && n == 12 && strncmp(host, "api.wandb.ai", 12) == 0))
		return err_set(err, -EINVAL,
			       "%.120s is not where W&B takes runs\n  do this:  write \"" WANDB_DEFAULT_BASE_URL "\"",
			       url);
	return 0;
}

static int check_base_url(const json_t *value, struct err *err)
{
	const char *text = json_string_value(value);
	if (!text)
		return err_set(err, -EINVAL, "\"base_url\" of wandb needs text such as \"" WANDB_DEFAULT_BASE_URL "\"");
	return wandb_base_url_check(text, err);
}

static int check_group(const json_t *value, struct err *err)
{
	return check_text("group", value, WANDB_NAME_MAX, err);
}

static int check_notes(const json_t *value, struct err *err)
{
	return check_text("notes", value, WANDB_NOTES_MAX, err);
}

static const struct {
	const char *key, *variable; /* variable: of the environment, or NULL */
	int (*check)(const json_t *value, struct err *err);
} settings_table[] = {
	{"mode", "WANDB_MODE", check_mode},
	{"project", "WANDB_PROJECT", check_project},
	{"entity", "WANDB_ENTITY", check_entity},
	{"group", NULL, check_group},
	{"notes", NULL, check_notes},
	{"tags", NULL, check_tags},
	{"log_every", NULL, check_log_every},
	{"base_url", "WANDB_BASE_URL", check_base_url},
};

bool wandb_setting_is_known(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++)
		if (str_eq(settings_table[i].key, key))
			return true;
	return false;
}

int wandb_setting_check(const char *key, const json_t *value, struct err *err)
{
	const char *names[ARRAY_LEN(settings_table)];
	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
		if (str_eq(settings_table[i].key, key))
			return settings_table[i].check(value, err);
		names[i] = settings_table[i].key;
	}
	const char *near = nearest_name(key, names, ARRAY_LEN(names));
	autofree char *hint = near ? xasprintf("\n  do this:  write \"%s\"", near) : xstrdup("");
	return err_set(
		err, -EINVAL,
		"unknown key \"%.60s\" in wandb\n  expected: mode, project, entity, group, notes, tags, log_every, "
		"base_url%s",
		key, hint);
}

char *wandb_base_url_plain(const char *url)
{
	char *plain = xstrdup(url);
	for (size_t n = strlen(plain); n && plain[n - 1] == '/'; n--)
		plain[n - 1] = '\0';
	return plain;
}

char *wandb_page_url(const char *base_url, const char *entity, const char *project)
{
	static const char api[] = "https://api.";
	bool cloud = strncmp(base_url, api, strlen(api)) == 0;
	return xasprintf("%s%s/%s/%s", cloud ? "https://" : "", cloud ? base_url + strlen(api) : base_url,
			 entity ? entity : "", project);
}

json_t *wandb_environment(const char *(*get)(void *arg, const char *name), void *arg)
{
	json_t *settings = json_object();
	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
		const char *value = settings_table[i].variable ? get(arg, settings_table[i].variable) : NULL;
		if (value && *value)
			json_object_set_new(settings, settings_table[i].key, json_string(value));
	}
	return settings;
}

int wandb_settings_complete(json_t *settings, const json_t *environment, const char *project, struct err *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)environment, key, value)
	{
		if (json_object_get(settings, key))
			continue;
		int r = wandb_setting_check(key, value, err);
		if (r < 0)
			return err_prefix(err, r, "the environment's settings of W&B");
		json_object_set(settings, key, value);
	}
	autojson json_t *defaults = json_pack("{s:s, s:s, s:i}", "mode", wandb_mode_names[WANDB_ONLINE], "project",
					      project, "log_every", 1);
	json_object_update_missing(settings, defaults);
	return 0;
}

int wandb_settings_read(struct wandb_settings *ret, const char *text, const char *project, struct err *err)
{
	const char *key;
	json_t *value;
	autojson json_t *json = text ? json_parse(text, strlen(text), err) : json_object();
	if (!json)
		return -EINVAL;
	json_object_foreach(json, key, value)
	{
		int r = wandb_setting_check(key, value, err);
		if (r < 0)
			return r;
	}
	wandb_settings_complete(json, NULL, project, NULL);
	if (!json_object_get(json, "tags"))
		json_object_set_new(json, "tags", json_array());
	*ret = (struct wandb_settings){
		.project = json_str_or(json, "project", NULL),
		.entity = json_str_or(json, "entity", NULL),
		.group = json_str_or(json, "group", NULL),
		.notes = json_str_or(json, "notes", NULL),
		.base_url = json_str_or(json, "base_url", NULL),
		.tags = json_object_get(json, "tags"),
		.log_every = json_int_or(json, "log_every", 1),
	};
	while (!str_eq(wandb_mode_names[ret->mode], json_str_or(json, "mode", "")))
		ret->mode++;
	ret->json = steal_ptr(json);
	return 0;
}

void wandb_settings_fini(struct wandb_settings *s)
{
	json_decref(s->json);
	*s = (struct wandb_settings){0};
}
