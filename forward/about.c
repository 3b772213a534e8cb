/* See about.h. */
#include "about.h"

#include "confusion_png.h"
#include "pictures.h"

#include "common/json.h"
#include "common/log.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <math.h>

#define NAME_MAX_BYTES 120

void about_machine(struct line_machine *ret)
{
	static struct utsname name;
	static char os[3 * sizeof(name.sysname)];
	uname(&name);
	snprintf(os, sizeof(os), "%s-%s-%s", name.sysname, name.release, name.machine);
	*ret = (struct line_machine){
		.os = os,
		.host = name.nodename,
		.cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
		.ram_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
	};
}

struct line_job about_line_job(const struct wsweep_facts *ws, const struct job_facts *facts)
{
	return (struct line_job){
		.started_ms = facts->started_ms,
		.epochs = facts->epochs,
		.log_every = ws->settings->log_every,
		.metric = ws->row->metric,
		.maximize = ws->row->maximize,
		.samples = json_int_or(facts->config, "log_steps", 0) > 0,
	};
}

/* "model=resnet18 lr=0.1": what the sweep varies; "job 5" where it varies nothing. */
static char *display_name(int64_t job, const json_t *swept)
{
	const char *key;
	json_t *value;
	char *name = NULL;
	json_object_foreach((json_t *)swept, key, value)
	{
		autofree char *before = name;
		autofree char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : json_line(value);
		name = xasprintf("%s%s%s=%s", before ? before : "", before ? " " : "", key, text);
	}
	if (name && strlen(name) <= NAME_MAX_BYTES)
		return name;
	free(name);
	return xasprintf("job %lld", (long long)job);
}

static json_t *wrapped_config(struct follow *f, const struct job_facts *facts)
{
	autojson json_t *metadata = line_metadata(&f->machine, facts->started_ms, facts->started);
	return line_config(facts->config, metadata);
}

json_t *about_run(struct follow *f, const struct wsweep_facts *ws, int64_t job, const char *run_id, struct err *err)
{
	struct job_facts facts;
	if (rows_facts(f->rows, job, &facts, err) < 0)
		return NULL;
	autojson json_t *config = wrapped_config(f, &facts);
	autofree char *config_text = json_line(config);
	autofree char *name = display_name(job, facts.swept);
	json_t *o = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:s?}", "name", run_id, "project",
			      ws->project, "entity", ws->entity, "displayName", name, "groupName",
			      ws->settings->group ? ws->settings->group : ws->row->name, "jobType", "train", "host",
			      f->machine.host, "program", "sweep-worker", "config", config_text, "sweep", ws->there,
			      "notes", ws->settings->notes);
	if (json_array_size(ws->settings->tags))
		json_object_set(o, "tags", (json_t *)ws->settings->tags);
	job_facts_fini(&facts);
	return o;
}

static json_t *parameters(struct follow *f, const struct wsweep_facts *ws, struct err *err)
{
	size_t i;
	json_t *name, *map = json_object();
	json_array_foreach(ws->row->swept, i, name)
	{
		json_t *values = NULL;
		if (rows_values(f->rows, ws->id, json_string_value(name), &values, err) < 0) {
			json_decref(map);
			return NULL;
		}
		json_object_set_new(map, json_string_value(name), json_pack("{s:o}", "values", values));
	}
	return map;
}

json_t *about_sweep(struct follow *f, const struct wsweep_facts *ws, const char *nonce, struct err *err)
{
	json_t *map = parameters(f, ws, err);
	if (!map)
		return NULL;
	autojson json_t *config =
		json_pack("{s:s, s:s, s:{s:s, s:s}, s:o, s:{s:s}}", "name", ws->row->name, "method", "grid", "metric",
			  "name", ws->row->metric, "goal", ws->row->maximize ? "maximize" : "minimize", "parameters",
			  map, "controller", "type", "local");
	autofree char *text = json_line(config);
	autofree char *description = xasprintf("sweepd %s", nonce);
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:s}", "config", text, "entityName", ws->entity, "projectName",
			 ws->project, "displayName", ws->row->name, "description", description, "state", "RUNNING");
}

char *about_yaml(const json_t *config)
{
	const char *key;
	json_t *value;
	char *text = NULL;
	size_t size;
	autofile FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	json_object_foreach((json_t *)config, key, value)
	{
		autofree char *flow = json_dumps(json_object_get(value, "value"), JSON_ENCODE_ANY);
		fprintf(f, "%s:\n  value: %s\n", key, flow ? flow : "null"); /* JSON is YAML */
	}
	INVARIANT(fclose(steal_ptr(f)) == 0, "out of memory");
	return text;
}

static void add_text(struct upload_files *files, const char *name, char *text)
{
	upload_add(files, name, text, text ? strlen(text) : 0);
}

static void take_point(void *arg, const struct row *row)
{
	double value[N_CURVES];
	for (int k = 0; k < N_CURVES; k++)
		value[k] = json_num_or(row->detail, curve_names[k], NAN);
	curves_add(arg, json_int_or(row->detail, "epoch", 0), value);
}

static int add_curves(struct upload_files *files, struct follow *f, int64_t job, struct err *err)
{
	size_t size = 0;
	char *png = NULL;
	autofree struct curves *curves = xcalloc(1, sizeof(*curves));
	int r = rows_epochs(f->rows, job, INT64_MAX, take_point, curves, err);
	if (r == 0)
		png = curves_png(curves, &size);
	upload_add(files, "media/images/learning_curves.png", png, size);
	return r;
}

/* A run has one once it was tested; a file that is not as it should be costs the picture alone. */
static void add_confusion(struct upload_files *files, struct follow *f, int64_t job)
{
	size_t size = 0;
	struct err err;
	struct confusion_matrix c;
	autofree char *dir = paths_job_dir(&f->paths, job), *path = xasprintf("%s/confusion.json", dir);
	int r = confusion_matrix_read(&c, path, CONFUSION_BEST, &err);
	if (r < 0)
		log_warn("job %lld: no picture of its confusion matrix: %s", (long long)job, err.text);
	if (r <= 0)
		return;
	char *png = confusion_png(&c, &size);
	upload_add(files, "media/images/confusion_matrix.png", png, size);
	confusion_matrix_fini(&c);
}

int about_files(struct upload_files *ret, struct follow *f, const struct wsweep_facts *ws, int64_t job, int64_t lines,
		struct err *err)
{
	struct job_facts facts;
	char *summary = NULL;
	int r = rows_facts(f->rows, job, &facts, err);
	if (r < 0)
		return r;
	const struct batch_job about = {.job = job, .line = about_line_job(ws, &facts)};
	autojson json_t *config = wrapped_config(f, &facts);
	autojson json_t *metadata = line_metadata(&f->machine, facts.started_ms, facts.started);
	add_text(ret, "config.yaml", about_yaml(config));
	add_text(ret, "wandb-metadata.json", json_pretty(metadata));
	r = batch_summary(&summary, f->rows, &about, INT64_MAX, lines - 1, err);
	add_text(ret, "wandb-summary.json", summary);
	r = r ? r : add_curves(ret, f, job, err);
	if (r == 0)
		add_confusion(ret, f, job);
	job_facts_fini(&facts);
	return r;
}
