/* sweepctl submit: reads the sweep file and finds everything that is wrong with it before the daemon hears of it. */
#include "ctl/submit.h"
#include "common/datasets.h"
#include "common/dotenv.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/wandb.h"

#include <limits.h>
#include <unistd.h>

static int read_stdin(char **ret, size_t *ret_size, struct err *err)
{
	char *text = xmalloc(DOC_MAX_BYTES + 2);
	size_t size = 0;

	while (size <= DOC_MAX_BYTES) {
		ssize_t n = read(STDIN_FILENO, text + size, DOC_MAX_BYTES + 1 - size);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR) {
			free(text);
			return err_sys(err, -errno, "standard input");
		}
		size += n > 0 ? (size_t)n : 0;
	}
	if (size > DOC_MAX_BYTES) {
		free(text);
		return err_set(err, -EFBIG, "standard input: a sweep file has at most %d bytes", DOC_MAX_BYTES);
	}
	text[size] = 0;
	*ret = text;
	*ret_size = size;
	return 0;
}

static int read_text(struct sweep_file *f, const char *path)
{
	struct err err;
	int e;

	if (str_eq(path, "-"))
		e = read_stdin(&f->text, &f->size, &err);
	else
		e = fs_read_file(path, DOC_MAX_BYTES, &f->text, &f->size, &err);
	if (e < 0)
		fprintf(stderr, "error: %s\n", err.text);
	return e < 0 ? EXIT_REFUSED : EXIT_OK;
}

/* "key=value" -> both. */
static int split_overrides(struct sweep_file *f, const struct submit_input *input)
{
	f->overrides = xcalloc(input->n_overrides + 1, sizeof(f->overrides[0]));
	for (size_t i = 0; i < input->n_overrides; i++) {
		char *equals = strchr(input->overrides[i], '=');
		if (!equals || equals == input->overrides[i]) {
			fprintf(stderr, "error: --override %s\n  expected: KEY=VALUE, as in --override epochs=50\n",
				input->overrides[i]);
			return EXIT_USAGE;
		}
		*equals = 0;
		f->overrides[i] = (struct sweep_override){input->overrides[i], equals + 1};
	}
	return EXIT_OK;
}

/* Where the file names its data set: in defaults, else in parameters; {0, 0} when it is an override or the default. */
static struct mark dataset_mark(const struct sweep_file *f, size_t n_overrides)
{
	struct findings ignored = {0};
	struct mark mark = {0, 0};

	for (size_t i = 0; i < n_overrides; i++)
		if (str_eq(f->overrides[i].key, "dataset"))
			return mark;
	struct node *root = doc_parse(f->text, f->size, &ignored);
	static const char *const places[] = {"defaults", "parameters"};
	for (size_t i = 0; root && i < ARRAY_LEN(places) && !mark.line; i++) {
		const struct node *place = node_get(root, places[i], NULL);
		if (place && place->kind == NODE_MAP && !node_get(place, "dataset", &mark))
			mark = (struct mark){0, 0};
	}
	node_free(root);
	findings_fini(&ignored);
	return mark;
}

/* The directory of $SWEEPD_DATA under which `found` lies, absolute; NULL when it was found elsewhere. */
static char *place_in_environment(const char *found)
{
	const char *places = getenv("SWEEPD_DATA");
	char real_found[PATH_MAX], real_place[PATH_MAX];

	if (!places || !realpath(found, real_found))
		return NULL;
	for (const char *at = places; *at;) {
		size_t size = strcspn(at, ":");
		autofree char *place = xasprintf("%.*s", (int)size, at);
		at += size + (at[size] == ':');
		if (!*place || !realpath(place, real_place))
			continue;
		size = strlen(real_place);
		if (strncmp(real_found, real_place, size) == 0 && (real_found[size] == '/' || !real_found[size]))
			return xstrdup(real_place);
	}
	return NULL;
}

/* Looks for the data set of every job. */
static void check_data(struct sweep_file *f, const struct submit_input *input, struct findings *findings)
{
	autojson json_t *seen = json_object();
	struct mark mark = dataset_mark(f, input->n_overrides);
	struct err err;

	for (size_t i = 0; i < f->sweep->n_jobs; i++) {
		const char *name = json_string_value(sweep_job_value(f->sweep, i, "dataset"));
		autofree char *found = NULL;
		if (!name || json_object_get(seen, name))
			continue;
		json_object_set_new(seen, name, json_true());
		if (datasets_find(name, f->data_dir, &found, &err) < 0) {
			if (input->dry_run)
				findings_warn(findings, mark, "%s", err.text);
			else
				findings_add(findings, mark, "%s", err.text);
		} else if (!f->data_dir) {
			f->data_dir = place_in_environment(found);
		}
	}
}

static int resolve_data(struct sweep_file *f, const char *data)
{
	char path[PATH_MAX];

	if (!data)
		return EXIT_OK;
	if (!realpath(data, path)) {
		fprintf(stderr, "error: --data %s: %s\n", data, strerror(errno));
		return EXIT_REFUSED;
	}
	f->data_dir = xstrdup(path);
	return EXIT_OK;
}

static char *directory_of(const char *file)
{
	char path[PATH_MAX];
	const char *slash = str_eq(file, "-") ? NULL : strrchr(file, '/');
	autofree char *dir = slash ? xasprintf("%.*s", (int)(slash - file + 1), file) : xstrdup(".");

	return realpath(dir, path) ? xstrdup(path) : NULL;
}

/* A variable of the environment, else of the .env beside the file or above it, as load_dotenv() would give it. */
static const char *variable(void *arg, const char *name)
{
	static char value[1024];
	struct sweep_file *f = arg;
	struct dotenv d;
	const char *set = getenv(name);

	if (set && *set)
		return set;
	if (!f->file_dir || dotenv_find(f->file_dir, name, geteuid(), &d, NULL) < 0)
		return NULL;
	snprintf(value, sizeof(value), "%s", d.value);
	dotenv_fini(&d);
	return value;
}

/* The settings of W&B that the file leaves open.  They matter, and are checked, where a job is forwarded. */
static void take_environment(struct sweep_file *f, struct findings *findings)
{
	struct err err;

	f->wandb = sweep_wandb_jobs(f->sweep) ? wandb_environment(variable, f) : json_object();
	if (wandb_settings_complete(f->sweep->wandb, f->wandb, f->sweep->project, &err) < 0)
		findings_add(findings, (struct mark){0, 0}, "%s", err.text);
}

static int say_findings(const struct sweep_file *f, const struct findings *findings)
{
	if (findings->n_items) {
		autofree char *text = findings_print(findings, f->shown, f->text);
		struct screen talk;
		screen_init(&talk, STDERR_FILENO, COLOR_NEVER);
		screen_wrap(&talk, stderr, text, 4);
	}
	if (!findings->n_errors)
		return EXIT_OK;
	fprintf(stderr, "%zu error%s; nothing was stored.\n", findings->n_errors, findings->n_errors == 1 ? "" : "s");
	return EXIT_REFUSED;
}

int sweep_file_load(struct sweep_file *f, const struct submit_input *input)
{
	struct findings findings = {0};
	const char *slash = strrchr(input->file, '/');

	*f = (struct sweep_file){0};
	f->shown = xstrdup(str_eq(input->file, "-") ? "standard input" : input->file);
	f->base = xstrdup(str_eq(input->file, "-") ? "sweep" : slash ? slash + 1 : input->file);
	int code = split_overrides(f, input);
	if (!code)
		code = resolve_data(f, input->data);
	if (!code)
		code = read_text(f, input->file);
	if (code)
		return code;
	f->file_dir = directory_of(input->file);
	autofree char *name = xasprintf("%.*s", (int)strcspn(f->base, "."), f->base);
	if (sweep_parse(&f->sweep, f->text, f->size, f->overrides, input->n_overrides, *name ? name : "sweep",
			&findings) == 0) {
		check_data(f, input, &findings);
		take_environment(f, &findings);
	}
	code = say_findings(f, &findings);
	findings_fini(&findings);
	return code;
}

void sweep_file_fini(struct sweep_file *f)
{
	sweep_free(f->sweep);
	free(f->shown);
	free(f->base);
	free(f->text);
	free(f->overrides);
	free(f->data_dir);
	free(f->file_dir);
	json_decref(f->wandb);
}
