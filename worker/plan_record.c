/* See plan_record.h. */
#include "plan_record.h"

#include "common/fs.h"
#include "common/json.h"

#define FILE_MAX (4 * 1024 * 1024)

/* Convolutions and their plans without the time that each was chosen for. */
static json_t *choices_of(const json_t *plan)
{
	const char *name;
	json_t *choice, *choices = json_deep_copy(json_object_get(plan, "convolutions"));
	json_object_foreach(choices, name, choice)
		json_object_del(choice, "ms");
	return choices;
}

static bool differs_from(const json_t *plan, const char *path)
{
	size_t size;
	autofree char *text = NULL;
	if (fs_read_file(path, FILE_MAX, &text, &size, NULL) < 0)
		return false;
	autojson json_t *before = json_parse(text, size, NULL);
	autojson json_t *old_choices = choices_of(before);
	autojson json_t *choices = choices_of(plan);
	return !json_equal(old_choices, choices);
}

bool plan_record(const char *job_dir, const json_t *plan)
{
	autofree char *path = xasprintf("%s/plan.json", job_dir);
	autofree char *pretty = json_pretty(plan);
	autofree char *text = xasprintf("%s\n", pretty);
	bool differs = differs_from(plan, path);
	fs_write_file(path, text, strlen(text), 0640, NULL);
	return differs;
}
