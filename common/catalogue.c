/* See catalogue.h. */
#include "catalogue.h"

#include "fs.h"
#include "json.h"

#define CATALOGUE_MAX_BYTES (1024 * 1024)
#define NAME_MAX_LENGTH     100
#define FILE_MAX_BYTES      ((int64_t)1 << 40)

/* --- the table --- */

static const struct item_row {
	enum place_kind kind;
	const char *name, *directory;
	bool archive;
	const char *about;
} item_rows[] = {
#define DATASET(name, directory, archive, about) {PLACE_DATASETS, name, directory, archive, about},
#define WEIGHTS(name, about)                     {PLACE_WEIGHTS, name, NULL, false, about},
#define SOURCE(item, file, bytes, md5, sha256, urls)
#define CONTENT(item, file, bytes, md5, sha256)
#include "catalogue.def"
#undef DATASET
#undef WEIGHTS
#undef SOURCE
#undef CONTENT
};

static const struct file_row {
	const char *item, *file;
	struct catalogue_sum sum;
	const char *urls; /* NULL: a content */
} file_rows[] = {
#define DATASET(name, directory, archive, about)
#define WEIGHTS(name, about)
#define SOURCE(item, file, bytes, md5, sha256, urls) {item, file, {bytes, md5, sha256}, urls},
#define CONTENT(item, file, bytes, md5, sha256)      {item, file, {bytes, md5, sha256}, NULL},
#include "catalogue.def"
#undef DATASET
#undef WEIGHTS
#undef SOURCE
#undef CONTENT
};

static struct catalogue_source *add_source(struct catalogue_item *item, const char *file)
{
	item->sources = xrealloc_array(item->sources, item->n_sources + 1, sizeof(*item->sources));
	struct catalogue_source *s = &item->sources[item->n_sources++];
	*s = (struct catalogue_source){.file = xstrdup(file)};
	return s;
}

static struct catalogue_content *add_content(struct catalogue_item *item, const char *file)
{
	item->contents = xrealloc_array(item->contents, item->n_contents + 1, sizeof(*item->contents));
	struct catalogue_content *c = &item->contents[item->n_contents++];
	*c = (struct catalogue_content){.file = xstrdup(file)};
	return c;
}

static void add_url(struct catalogue_source *s, const char *url, size_t size)
{
	s->urls = xrealloc_array(s->urls, s->n_urls + 1, sizeof(*s->urls));
	s->urls[s->n_urls++] = xasprintf("%.*s", (int)size, url);
}

static void add_urls(struct catalogue_source *s, const char *urls)
{
	while (*urls) {
		size_t size = strcspn(urls, " ");
		add_url(s, urls, size);
		urls += size + strspn(urls + size, " ");
	}
}

static struct catalogue_item *add_item(struct catalogue *c, enum place_kind kind, const char *name)
{
	c->items = xrealloc_array(c->items, c->n + 1, sizeof(*c->items));
	struct catalogue_item *item = &c->items[c->n++];
	*item = (struct catalogue_item){.kind = kind, .name = xstrdup(name)};
	return item;
}

static void add_row(struct catalogue *c, const struct item_row *row)
{
	struct catalogue_item *item = add_item(c, row->kind, row->name);
	item->directory = row->directory ? xstrdup(row->directory) : NULL;
	item->about = xstrdup(row->about);
	item->archive = row->archive;
	for (size_t i = 0; i < ARRAY_LEN(file_rows); i++) {
		const struct file_row *f = &file_rows[i];
		if (!str_eq(f->item, row->name))
			continue;
		if (!f->urls) {
			add_content(item, f->file)->sum = f->sum;
			continue;
		}
		struct catalogue_source *s = add_source(item, f->file);
		s->sum = f->sum;
		add_urls(s, f->urls);
	}
}

/* --- a lab's file --- */

/* Letters, digits, ".", "_", "-"; no leading dot: it becomes a name in a directory. */
static bool is_plain_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t size = strlen(name);
	return size && size <= NAME_MAX_LENGTH && name[0] != '.' && name[0] != '-' && strspn(name, allowed) == size;
}

static int read_hex(const json_t *o, const char *key, size_t max, char *ret, struct err *err)
{
	const json_t *value = json_object_get(o, key);
	const char *text = value ? json_string_value(value) : "";
	if (!text || strlen(text) > max || text[strspn(text, "0123456789abcdefABCDEF")])
		return err_set(err, -EINVAL, "%s: expected up to %zu hexadecimal digits", key, max);
	for (size_t i = 0; i <= strlen(text); i++)
		ret[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
	return 0;
}

static int read_sum(const json_t *o, struct catalogue_sum *ret, struct err *err)
{
	struct catalogue_sum sum = {.bytes = json_int_or(o, "bytes", 0)};
	if (sum.bytes < 0 || sum.bytes > FILE_MAX_BYTES)
		return err_set(err, -EINVAL, "bytes: expected 1 to %lld", (long long)FILE_MAX_BYTES);
	int r = read_hex(o, "md5", 32, sum.md5, err);
	if (r == 0 && *sum.md5 && strlen(sum.md5) != 32)
		r = err_set(err, -EINVAL, "md5: expected 32 hexadecimal digits");
	if (r == 0)
		r = read_hex(o, "sha256", 64, sum.sha256, err);
	if (r == 0 && *sum.sha256 && strlen(sum.sha256) < 8)
		r = err_set(err, -EINVAL, "sha256: expected 64 hexadecimal digits, or a prefix of at least 8");
	if (r == 0)
		*ret = sum;
	return r;
}

static int read_name(const json_t *o, const char **ret, struct err *err)
{
	int r = json_get_str(o, "file", ret, err);
	if (r == 0 && !is_plain_name(*ret))
		return err_set(err, -EINVAL, "file: expected a plain file name, not \"%.100s\"", *ret);
	return r;
}

static int read_source(struct catalogue_item *item, const json_t *o, struct err *err)
{
	const char *file;
	size_t i;
	json_t *url;
	int r = read_name(o, &file, err);
	if (r < 0)
		return r;
	struct catalogue_source *s = add_source(item, file);
	json_array_foreach(json_object_get(o, "urls"), i, url)
	{
		if (!json_is_string(url) || !strstr(json_string_value(url), "://"))
			return err_set(err, -EINVAL, "urls: expected addresses such as https://HOST/FILE");
		add_url(s, json_string_value(url), json_string_length(url));
	}
	return read_sum(o, &s->sum, err);
}

static int read_content(struct catalogue_item *item, const json_t *o, struct err *err)
{
	const char *file;
	int r = read_name(o, &file, err);
	if (r < 0)
		return r;
	struct catalogue_content *c = add_content(item, file);
	r = read_sum(o, &c->sum, err);
	if (r == 0 && c->sum.bytes == 0)
		return err_set(err, -EINVAL, "bytes: must be given for what an archive or a .gz holds");
	return r;
}

static void free_sources(struct catalogue_item *item)
{
	for (size_t i = 0; i < item->n_sources; i++) {
		for (size_t k = 0; k < item->sources[i].n_urls; k++)
			free(item->sources[i].urls[k]);
		free(item->sources[i].urls);
		free(item->sources[i].file);
	}
	free(item->sources);
	item->sources = NULL;
	item->n_sources = 0;
}

static void free_contents(struct catalogue_item *item)
{
	for (size_t i = 0; i < item->n_contents; i++)
		free(item->contents[i].file);
	free(item->contents);
	item->contents = NULL;
	item->n_contents = 0;
}

/* Source i of a data set that is no archive is content i, plain or as .gz. */
static int check_item(const struct catalogue_item *item, struct err *err)
{
	if (item->kind == PLACE_WEIGHTS)
		return item->n_sources == 1 ? 0 : err_set(err, -EINVAL, "sources: weights are one file");
	if (item->archive)
		return item->n_sources == 1 ? 0 : err_set(err, -EINVAL, "sources: an archive is one file");
	if (item->n_sources != item->n_contents)
		return err_set(err, -EINVAL, "sources: expected %zu, one for each of the contents", item->n_contents);
	for (size_t i = 0; i < item->n_sources; i++) {
		const char *file = item->sources[i].file, *content = item->contents[i].file;
		size_t size = strlen(content);
		if (strncmp(file, content, size) != 0 || (file[size] && !str_eq(file + size, ".gz")))
			return err_set(err, -EINVAL, "sources: expected %s or %s.gz at place %zu, not %s", content,
				       content, i + 1, file);
	}
	return 0;
}

static int read_item(struct catalogue *c, enum place_kind kind, const char *name, const json_t *o, struct err *err)
{
	const struct catalogue_item *present = NULL;
	struct catalogue_item *item;
	const json_t *contents = json_object_get(o, "contents"), *about = json_object_get(o, "about");
	size_t i;
	json_t *file;
	int r = 0;
	catalogue_find(c, kind, name, &present, NULL);
	if (!present && (kind == PLACE_DATASETS || !is_plain_name(name)))
		return err_set(err, -EINVAL, "%s",
			       kind == PLACE_DATASETS ? "no data set that sweepd can read has this name"
						      : "expected a plain name");
	item = present ? &c->items[present - c->items] : add_item(c, kind, name);
	free_sources(item);
	if (contents)
		free_contents(item);
	if (json_is_string(about) || !item->about) {
		free(item->about);
		item->about = xstrdup(json_is_string(about) ? json_string_value(about) : "");
	}
	item->archive = kind == PLACE_DATASETS && json_bool_or(o, "archive", item->archive);
	json_array_foreach(json_object_get(o, "sources"), i, file) if (r == 0) r = read_source(item, file, err);
	json_array_foreach(contents, i, file) if (r == 0) r = read_content(item, file, err);
	return r < 0 ? r : check_item(item, err);
}

static int read_items(struct catalogue *c, enum place_kind kind, const json_t *items, struct err *err)
{
	const char *name;
	json_t *o;
	json_object_foreach((json_t *)items, name, o)
	{
		int r = read_item(c, kind, name, o, err);
		if (r < 0)
			return err_prefix(err, r, "%.100s", name);
	}
	return 0;
}

static int read_file(struct catalogue *c, const char *path, struct err *err)
{
	autofree char *text = NULL;
	size_t size;
	int r = fs_read_file(path, CATALOGUE_MAX_BYTES, &text, &size, err);
	if (r < 0)
		return r;
	autojson json_t *j = json_parse(text, size, err);
	if (!j)
		return err_prefix(err, -EINVAL, "%s", path);
	const json_t *datasets = json_object_get(j, "datasets"), *weights = json_object_get(j, "weights");
	if (!datasets && !weights)
		return err_set(err, -EINVAL, "%s: expected an object with \"datasets\" or \"weights\"", path);
	r = read_items(c, PLACE_DATASETS, datasets, err);
	if (r == 0)
		r = read_items(c, PLACE_WEIGHTS, weights, err);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}

/* --- */

int catalogue_open(struct catalogue *ret, const char *file, struct err *err)
{
	struct catalogue c = {0};
	for (size_t i = 0; i < ARRAY_LEN(item_rows); i++)
		add_row(&c, &item_rows[i]);
	int r = file ? read_file(&c, file, err) : 0;
	if (r < 0)
		catalogue_fini(&c);
	else
		*ret = c;
	return r;
}

void catalogue_fini(struct catalogue *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free_sources(&c->items[i]);
		free_contents(&c->items[i]);
		free(c->items[i].name);
		free(c->items[i].directory);
		free(c->items[i].about);
	}
	free(c->items);
	*c = (struct catalogue){0};
}

static int no_such(const struct catalogue *c, enum place_kind kind, const char *name, struct err *err)
{
	autofree const char **names = xcalloc(c->n, sizeof(*names));
	autofree char *list = xstrdup("");
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].kind != kind)
			continue;
		names[n++] = c->items[i].name;
		char *longer = xasprintf("%s%s%s", list, *list ? ", " : "", c->items[i].name);
		free(list);
		list = longer;
	}
	const char *near = nearest_name(name, names, n);
	const char *what = kind == PLACE_DATASETS ? "data set" : "weights";
	if (near)
		return err_set(err, -ENOENT, "no %s \"%.100s\"; did you mean \"%s\"?\n  expected: %s", what, name, near,
			       list);
	return err_set(err, -ENOENT, "no %s \"%.100s\"\n  expected: %s", what, name, list);
}

int catalogue_find(const struct catalogue *c, enum place_kind kind, const char *name, const struct catalogue_item **ret,
		   struct err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct catalogue_item *item = &c->items[i];
		if (item->kind == kind && (str_eq(item->name, name) || (kind == PLACE_WEIGHTS && item->n_sources &&
									str_eq(item->sources[0].file, name)))) {
			*ret = item;
			return 0;
		}
	}
	return no_such(c, kind, name, err);
}

int64_t catalogue_download_bytes(const struct catalogue_item *item)
{
	int64_t bytes = 0;
	for (size_t i = 0; i < item->n_sources; i++) {
		if (!item->sources[i].sum.bytes)
			return 0;
		bytes += item->sources[i].sum.bytes;
	}
	return bytes;
}
