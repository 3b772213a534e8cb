/* The file of choices; see conv_choice.h. */
#include "conv_choice.h"

#include "common/fs.h"

#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <unistd.h>

#define FORMAT	       1
#define FILE_BYTES_MAX (4u << 20)
#define ROWS_MAX       20000
#define KEY_MAX	       200
#define ENGINE_MAX     1000000
#define KNOB_TYPE_MAX  1000
#define WORKSPACE_MAX  (INT64_C(1) << 40)
#define MS_MAX	       1e6

struct row {
	char *key;
	struct conv_choice choice;
};

struct rows {
	struct row *row;
	size_t n;
};

struct conv_cache {
	char *path; /* NULL: nothing is kept */
	char *device;
	int cudnn_version;
	struct rows rows;
	bool changed;
};

/* --- rows --- */

static void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->row[i].key);
	free(rows->row);
	*rows = (struct rows){0};
}

static struct row *rows_find(const struct rows *rows, const char *key)
{
	for (size_t i = 0; i < rows->n; i++)
		if (str_eq(rows->row[i].key, key))
			return &rows->row[i];
	return NULL;
}

static void rows_set(struct rows *rows, const char *key, const struct conv_choice *choice)
{
	struct row *row = rows_find(rows, key);
	if (!row) {
		rows->row = xrealloc_array(rows->row, rows->n + 1, sizeof(*rows->row));
		row = &rows->row[rows->n++];
		row->key = xstrdup(key);
	}
	row->choice = *choice;
}

/* --- JSON --- */

json_t *conv_choice_json(const char *key, const struct conv_choice *choice)
{
	json_t *knobs = json_array();
	for (int i = 0; i < choice->n_knobs; i++)
		json_array_append_new(knobs, json_pack("[I, I]", (json_int_t)choice->knobs[i].type,
						       (json_int_t)choice->knobs[i].value));
	return json_pack("{s:s, s:I, s:o, s:I, s:o}", "conv", key, "engine", (json_int_t)choice->engine, "knobs", knobs,
			 "workspace", (json_int_t)choice->workspace, "ms", json_num(choice->ms));
}

static bool in_range(const json_t *v, int64_t max, int64_t *ret)
{
	*ret = json_integer_value(v);
	return json_is_integer(v) && *ret >= 0 && *ret <= max;
}

static int read_row(const json_t *o, struct rows *rows, struct err *err)
{
	struct conv_choice c = {0};
	const char *key = json_str_or(o, "conv", "");
	const json_t *knobs = json_object_get(o, "knobs"), *knob;
	if (!*key || strlen(key) > KEY_MAX)
		return err_set(err, -EINVAL, "a choice without a convolution");
	bool good = in_range(json_object_get(o, "engine"), ENGINE_MAX, &c.engine) &&
		    in_range(json_object_get(o, "workspace"), WORKSPACE_MAX, &c.workspace) &&
		    json_get_num(o, "ms", &c.ms, NULL) == 0 && c.ms >= 0 && c.ms <= MS_MAX && json_is_array(knobs) &&
		    json_array_size(knobs) <= CONV_KNOBS_MAX;
	size_t i;
	if (good) {
		json_array_foreach(knobs, i, knob) {
			good = good && json_array_size(knob) == 2 &&
			       in_range(json_array_get(knob, 0), KNOB_TYPE_MAX, &c.knobs[i].type) &&
			       json_is_integer(json_array_get(knob, 1));
			c.knobs[i].value = json_integer_value(json_array_get(knob, 1));
		}
		c.n_knobs = (int)json_array_size(knobs);
	}
	if (!good)
		return err_set(err, -EINVAL, "the choice for %s has impossible values", key);
	rows_set(rows, key, &c);
	return 0;
}

static int read_rows(const json_t *file, const struct conv_cache *cache, struct rows *rows, struct err *err)
{
	if (json_int_or(file, "format", 0) != FORMAT)
		return err_set(err, -EINVAL, "it is of another format");
	if (!str_eq(json_str_or(file, "device", ""), cache->device))
		return err_set(err, -EINVAL, "it is for the device \"%s\", not \"%s\"", json_str_or(file, "device", ""),
			       cache->device);
	if (json_int_or(file, "cudnn", 0) != cache->cudnn_version)
		return err_set(err, -EINVAL, "it is for another cuDNN");
	const json_t *choices = json_object_get(file, "choices"), *choice;
	if (!json_is_array(choices) || json_array_size(choices) > ROWS_MAX)
		return err_set(err, -EINVAL, "it has no list of choices, or too many");
	size_t i;
	json_array_foreach(choices, i, choice) {
		int r = read_row(choice, rows, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is in the file; nothing where there is none.  Negative: it is not to be used. */
static int read_file(const struct conv_cache *cache, struct rows *ret, struct err *err)
{
	autofree char *text = NULL;
	size_t size;
	struct rows rows = {0};
	int r = fs_read_file(cache->path, FILE_BYTES_MAX, &text, &size, err);
	if (r < 0)
		return r == -ENOENT ? 0 : err_prefix(err, r, "the choices of plans are not used");
	autojson json_t *file = json_parse(text, size, err);
	r = file ? read_rows(file, cache, &rows, err) : -EINVAL;
	if (r < 0) {
		rows_fini(&rows);
		return err_prefix(err, r, "%s is not used and will be written anew", cache->path);
	}
	*ret = rows;
	return 0;
}

/* --- the cache --- */

/* "conv-nvidia-h200-sm-90-132-sms-91900.json" */
static char *file_path(const char *dir, const char *device, int cudnn_version)
{
	char slug[96];
	size_t n = 0;
	for (const char *p = device; *p && n + 1 < sizeof(slug); p++) {
		if (isalnum((unsigned char)*p))
			slug[n++] = (char)tolower((unsigned char)*p);
		else if (n > 0 && slug[n - 1] != '-')
			slug[n++] = '-';
	}
	slug[n] = '\0';
	return xasprintf("%s/conv-%s-%d.json", dir, slug, cudnn_version);
}

struct conv_cache *conv_cache_open(const char *dir, const char *device, int cudnn_version, struct err *ret_note)
{
	struct conv_cache *cache = xcalloc(1, sizeof(*cache));
	cache->device = xstrdup(device);
	cache->cudnn_version = cudnn_version;
	cache->path = dir ? file_path(dir, device, cudnn_version) : NULL;
	ret_note->text[0] = '\0';
	if (cache->path && read_file(cache, &cache->rows, ret_note) == 0)
		ret_note->text[0] = '\0';
	return cache;
}

void conv_cache_free(struct conv_cache *cache)
{
	if (!cache)
		return;
	rows_fini(&cache->rows);
	free(cache->device);
	free(cache->path);
	free(cache);
}

static char *make_key(const struct conv_shape *shape, const char *purpose, char buf[KEY_MAX])
{
	char text[CONV_TEXT_MAX];
	snprintf(buf, KEY_MAX, "%s %s", conv_text(shape, text), purpose);
	return buf;
}

bool conv_cache_find(const struct conv_cache *cache, const struct conv_shape *shape, const char *purpose,
		     struct conv_choice *ret)
{
	char key[KEY_MAX];
	const struct row *row = rows_find(&cache->rows, make_key(shape, purpose, key));
	if (row)
		*ret = row->choice;
	return row;
}

void conv_cache_put(struct conv_cache *cache, const struct conv_shape *shape, const char *purpose,
		    const struct conv_choice *choice)
{
	char key[KEY_MAX];
	rows_set(&cache->rows, make_key(shape, purpose, key), choice);
	cache->changed = true;
}

static int write_rows(const struct conv_cache *cache, struct err *err)
{
	json_t *choices = json_array();
	for (size_t i = 0; i < cache->rows.n; i++)
		json_array_append_new(choices, conv_choice_json(cache->rows.row[i].key, &cache->rows.row[i].choice));
	autojson json_t *file = json_pack("{s:i, s:s, s:i, s:o}", "format", FORMAT, "device", cache->device, "cudnn",
					  cache->cudnn_version, "choices", choices);
	autofree char *text = json_pretty(file);
	return fs_write_file(cache->path, text, strlen(text), 0644, err);
}

/* One writer at a time: the temporary file has one name, and nothing of the others may get lost. */
static int lock_file(const struct conv_cache *cache, struct err *err)
{
	autofree char *path = xasprintf("%s.lock", cache->path);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_sys(err, -errno, "cannot lock %s", path);
	return steal_fd(&fd);
}

int conv_cache_save(struct conv_cache *cache, struct err *err)
{
	if (!cache->path || !cache->changed)
		return 0;
	autofree char *dir = xstrdup(cache->path);
	*strrchr(dir, '/') = '\0';
	int r = fs_mkdirs(dir, 0755, err);
	if (r < 0)
		return r;
	autoclose int fd = lock_file(cache, err);
	if (fd < 0)
		return fd;
	struct rows theirs = {0};
	if (read_file(cache, &theirs, NULL) == 0)
		for (size_t i = 0; i < theirs.n; i++)
			if (!rows_find(&cache->rows, theirs.row[i].key))
				rows_set(&cache->rows, theirs.row[i].key, &theirs.row[i].choice);
	rows_fini(&theirs);
	r = write_rows(cache, err);
	cache->changed = r < 0;
	return r;
}

char *conv_cache_dir(void)
{
	const char *service = getenv("CACHE_DIRECTORY"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (service && *service)
		return xstrdup(service);
	if (xdg && *xdg)
		return xasprintf("%s/sweepd", xdg);
	return home && *home ? xasprintf("%s/.cache/sweepd", home) : NULL;
}
