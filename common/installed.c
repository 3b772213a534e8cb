/* See installed.h. */
#include "installed.h"

#include "datasets.h"
#include "digest.h"
#include "fs.h"
#include "json.h"
#include "weights_path.h"

#include <sys/stat.h>
#include <time.h>

#define RECORD_MAX_BYTES  (256 * 1024)
#define WEIGHTS_MAX_BYTES ((int64_t)1 << 40)

const char *const installed_state_names[] = {
	[INSTALLED_NONE] = "absent",
	[INSTALLED_UNCHECKED] = "not checked",
	[INSTALLED_CHANGED] = "changed",
	[INSTALLED_CHECKED] = "checked",
};

/* --- the files of an item --- */

static size_t n_files(const struct catalogue_item *item)
{
	return item->kind == PLACE_WEIGHTS ? 1 : item->n_contents;
}

/* Allocated: the one that a reader would take, plain before .gz. */
static char *file_path(const struct catalogue_item *item, const char *path, size_t i)
{
	if (item->kind == PLACE_WEIGHTS)
		return xstrdup(path);
	char *plain = xasprintf("%s/%s", path, item->contents[i].file);
	if (fs_exists(plain))
		return plain;
	char *gz = xasprintf("%s.gz", plain);
	free(plain);
	return gz;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static char *record_path(const struct catalogue_item *item, const char *path)
{
	return item->kind == PLACE_WEIGHTS ? xasprintf("%s.json", path) : xasprintf("%s/fetched.json", path);
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* NULL when there is none, or it is no record. */
static json_t *record_read(const struct catalogue_item *item, const char *path)
{
	autofree char *record = record_path(item, path);
	autofree char *text = NULL;
	size_t size;
	if (fs_read_file(record, RECORD_MAX_BYTES, &text, &size, NULL) < 0)
		return NULL;
	return json_parse(text, size, NULL);
}

/* --- looking --- */

void installed_look(struct installed *ret, const struct catalogue_item *item, const char *path)
{
	autojson json_t *record = record_read(item, path);
	*ret = (struct installed){.path = xstrdup(path), .state = record ? INSTALLED_CHECKED : INSTALLED_UNCHECKED};
	const char *source = json_str_or(record, "source", NULL), *fetched = json_str_or(record, "fetched", NULL);
	ret->source = source ? xstrdup(source) : NULL;
	ret->fetched = fetched ? xstrdup(fetched) : NULL;
	for (size_t i = 0; i < n_files(item); i++) {
		autofree char *file = file_path(item, path, i);
		const json_t *told = json_object_get(json_object_get(record, "files"), base_name(file));
		struct stat st = {0};
		if (stat(file, &st) == 0)
			ret->bytes += st.st_size;
		if (record && (json_int_or(told, "bytes", -1) != st.st_size ||
			       json_int_or(told, "mtime_ns", -1) != mtime_ns(&st)))
			ret->state = INSTALLED_CHANGED;
	}
}

void installed_find(struct installed *ret, const struct catalogue_item *item, const char *data_dir)
{
	autofree char *path = NULL;
	*ret = (struct installed){0};
	if (item->kind == PLACE_WEIGHTS)
		weights_path(item->sources[0].file, data_dir, &path, NULL);
	else
		datasets_find(item->name, data_dir, &path, NULL);
	if (path)
		installed_look(ret, item, path);
}

void installed_fini(struct installed *i)
{
	free(i->path);
	free(i->source);
	free(i->fetched);
	*i = (struct installed){0};
}

/* --- reading every byte --- */

/* What file i must be. */
static struct catalogue_sum expected_of(const struct catalogue_item *item, size_t i)
{
	return item->kind == PLACE_WEIGHTS ? item->sources[0].sum : item->contents[i].sum;
}

/* The file as it lies there, for the record and against it. */
static int check_recorded(const char *file, const struct digest *own, const json_t *told, bool *known, struct err *err)
{
	const char *sha256 = json_str_or(told, "sha256", NULL);
	if (*known || !sha256)
		return 0;
	*known = true;
	if (!str_eq(own->sha256, sha256))
		return err_set(err, -EBADMSG, "has sha256 %s, but had %.64s when it was fetched", own->sha256, sha256);
	return 0;
}

static int check_file(const struct catalogue_item *item, const char *file, size_t i, const json_t *told, bool *known,
		      json_t *files, struct err *err)
{
	const struct catalogue_sum expected = expected_of(item, i);
	int64_t max = expected.bytes ? expected.bytes : WEIGHTS_MAX_BYTES;
	bool packed = item->kind == PLACE_DATASETS;
	struct digest content, own;
	struct stat st;
	*known = *expected.md5 || *expected.sha256;
	int which = digest_needed(&expected) | (!packed && (files || !*known) ? DIGEST_SHA256 : 0);
	int r = digest_file(file, packed, which, max, &content, err);
	if (r == -EFBIG)
		return err_set(err, -EBADMSG, "%s: has more than the %lld bytes expected", file, (long long)max);
	if (r < 0)
		return r;
	r = digest_check(&content, &expected, err);
	if (r == 0 && (files || !*known)) {
		r = packed ? digest_file(file, false, DIGEST_SHA256, WEIGHTS_MAX_BYTES, &own, err) : 0;
		own = packed ? own : content;
		if (r == 0)
			r = check_recorded(file, &own, told, known, err);
	}
	if (r < 0)
		return err_prefix(err, r, "%s", file);
	if (files && stat(file, &st) == 0)
		json_object_set_new(files, base_name(file),
				    json_pack("{sI, ss, sI}", "bytes", (json_int_t)own.bytes, "sha256", own.sha256,
					      "mtime_ns", (json_int_t)mtime_ns(&st)));
	return 0;
}

int installed_check(const struct catalogue_item *item, const char *path, bool *ret_known, json_t **ret_files,
		    struct err *err)
{
	autojson json_t *record = record_read(item, path);
	autojson json_t *files = ret_files ? json_object() : NULL;
	autofree char *differences = NULL;
	bool all_known = true;
	for (size_t i = 0; i < n_files(item); i++) {
		autofree char *file = file_path(item, path, i);
		bool known;
		const json_t *told = json_object_get(json_object_get(record, "files"), base_name(file));
		struct err why;
		int r = check_file(item, file, i, told, &known, files, &why);
		if (r < 0 && r != -EBADMSG)
			return err_set(err, r, "%s", why.text);
		if (r < 0) {
			char *longer =
				xasprintf("%s%s%s", differences ? differences : "", differences ? "\n" : "", why.text);
			free(differences);
			differences = longer;
		}
		all_known = all_known && known;
	}
	if (differences)
		return err_set(err, -EBADMSG, "%s", differences);
	*ret_known = all_known;
	if (ret_files)
		*ret_files = steal_ptr(files);
	return 0;
}

int installed_record(const struct catalogue_item *item, const char *path, const char *source, json_t *files,
		     struct err *err)
{
	autofree char *record = record_path(item, path);
	char now[32];
	time_t t = time(NULL);
	struct tm tm;
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	autojson json_t *j =
		json_pack("{ss, ss, ss, sO}", "name", item->name, "source", source, "fetched", now, "files", files);
	autofree char *text = json_pretty(j);
	autofree char *line = xasprintf("%s\n", text);
	return fs_write_file(record, line, strlen(line), 0644, err);
}
