/* sweepctl submit --dry-run: what would be submitted. */
#include "ctl/format.h"
#include "ctl/submit.h"
#include "ctl/table.h"
#include "common/json.h"

/* On a terminal, of more jobs than SHOWN only the first and the last. */
#define SHOWN       50
#define SHOWN_FIRST 20
#define SHOWN_LAST  5

static bool varies(const struct sweep *sweep, const char *name)
{
	const json_t *first = sweep_job_value(sweep, 0, name);

	for (size_t i = 1; i < sweep->n_jobs; i++)
		if (!json_equal(first, sweep_job_value(sweep, i, name)))
			return true;
	return false;
}

/* The swept parameters in their order, then what `when` makes vary; list of names. */
static json_t *columns_of(const struct sweep *sweep)
{
	json_t *columns = json_array(), *swept = json_object();
	const char *name;
	json_t *value;

	for (size_t i = 0; i < sweep->n_swept; i++) {
		json_object_set_new(swept, sweep->swept[i], json_true());
		json_array_append_new(columns, json_string(sweep->swept[i]));
	}
	autojson json_t *config = sweep_job_config(sweep, 0);
	json_object_foreach(config, name, value) if (!json_object_get(swept, name) && varies(sweep, name))
		json_array_append_new(columns, json_string(name));
	json_decref(swept);
	return columns;
}

static bool in_list(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item) if (str_eq(json_string_value(item), name)) return true;
	return false;
}

static bool overridden(const struct sweep_file *f, const struct submit_input *input, const char *name)
{
	for (size_t i = 0; i < input->n_overrides; i++)
		if (str_eq(f->overrides[i].key, name))
			return true;
	return false;
}

/* "constant  dataset cifar100, optimizer SGD, ...", broken into lines of 78 columns. */
static void print_constants(const struct sweep_file *f, const struct submit_input *input, const json_t *columns)
{
	autojson json_t *config = sweep_job_config(f->sweep, 0);
	struct train_config defaults;
	size_t hidden = 0, at = 0;
	const char *name;
	json_t *value;

	config_defaults(&defaults);
	json_object_foreach(config, name, value)
	{
		const struct param *p = param_find(name);
		json_t *normal = p ? config_get(&defaults, p) : NULL;
		bool usual = normal && json_equal(normal, value);
		json_decref(normal);
		if (in_list(columns, name))
			continue;
		bool chosen = overridden(f, input, name);
		if (usual && !chosen && !input->all) {
			hidden++;
			continue;
		}
		autofree char *text = format_value(value);
		autofree char *item = xasprintf("%s %s%s", name, text, chosen ? " (override)" : "");
		if (at && at + 2 + strlen(item) > 78) {
			printf(",\n          %s", item);
			at = 10 + strlen(item);
		} else {
			printf("%s%s", at ? ", " : "constant  ", item);
			at += (at ? 2 : 10) + strlen(item);
		}
	}
	if (at)
		putchar('\n');
	if (hidden)
		printf("defaults  %zu more: --all\n", hidden);
}

static void print_jobs(const struct ctl *ctl, const struct sweep *sweep, const json_t *columns, bool all)
{
	if (!json_array_size(columns)) /* one job: all of it is constant */
		return;
	struct table *t = table_new();
	bool cut = ctl->out.terminal && !all && sweep->n_jobs > SHOWN;
	size_t k;
	json_t *name;

	table_column(t, "#", true, 0);
	json_array_foreach(columns, k, name)
	{
		autofree char *title = format_upper(json_string_value(name));
		table_column(t, title, json_is_number(sweep_job_value(sweep, 0, json_string_value(name))), 0);
	}
	for (size_t i = 0; i < sweep->n_jobs; i++) {
		char number[32];
		bool gap = cut && i == SHOWN_FIRST;
		snprintf(number, sizeof(number), "%zu", i + 1);
		table_cell(t, gap ? "..." : number);
		json_array_foreach(columns, k, name)
		{
			autofree char *text =
				format_value(sweep_job_value(sweep, i, json_string_value(name)));
			table_cell(t, gap ? "" : text);
		}
		if (gap)
			i = sweep->n_jobs - SHOWN_LAST - 1;
	}
	table_print(t, &ctl->out, stdout);
	table_free(t);
}

static void print_dry_json(const struct sweep *sweep)
{
	json_t *jobs = json_array();

	for (size_t i = 0; i < sweep->n_jobs; i++)
		json_array_append_new(
			jobs, json_pack("{so, so}", "swept", sweep_job_swept(sweep, i), "config", sweep_job_config(sweep, i)));
	print_json(json_pack("{ss, ss, ss, ss, so}", "name", sweep->name, "metric", sweep->metric, "goal",
			     sweep->maximize ? "maximize" : "minimize", "hash", sweep->hash, "jobs", jobs));
}

void dry_run_print(const struct ctl *ctl, const struct sweep_file *f, const struct submit_input *input)
{
	if (ctl->json) {
		print_dry_json(f->sweep);
		return;
	}
	json_t *columns = columns_of(f->sweep);
	print_jobs(ctl, f->sweep, columns, input->all);
	print_constants(f, input, columns);
	json_decref(columns);
	fflush(stdout);
	fprintf(stderr, "%zu job%s; nothing was stored (--dry-run)\n", f->sweep->n_jobs,
		f->sweep->n_jobs == 1 ? "" : "s");
}
