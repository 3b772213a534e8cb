/* See fetch_internal.h: from partial files to what readers see.
 *
 * A data set is put together in .fetch/NAME.new, checked and recorded there, and renamed as a directory.  Where one
 * lies already (damaged, or --again), its files are replaced one by one, the record first removed and last written, so
 * that a crash between leaves one that is known as unchecked; a person's other files in it stay. */
#include "fetch_internal.h"

#include "common/fs.h"
#include "common/installed.h"
#include "common/json.h"
#include "unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int sync_path(const char *path, int flags, struct err *err)
{
	autoclose int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(err, -errno, "cannot flush %s", path);
	return 0;
}

/* rename() that says what it was about. */
static int move(const char *from, const char *to, struct err *err)
{
	if (rename(from, to) == 0)
		return 0;
	if (errno == EXDEV)
		return err_set(
			err, -EXDEV,
			"%s leads to another file system\n  do this:  remove the link, or fetch there: --data DIR", to);
	return err_sys(err, -errno, "cannot put %s in place", to);
}

/* Ours alone: files, no directories below. */
static void remove_flat(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

/* The parts become files of directory `fresh`, flushed. */
static int put_together(struct fetch *f, const char *fresh, struct err *err)
{
	const struct catalogue_item *item = f->item;
	int r = 0;
	if (item->archive) {
		autofree char *part = fetch_part(f, 0);
		progress_say(f->o->download.progress, "%s: unpacking", item->sources[0].file);
		r = unpack(item, part, fresh, err);
		return r < 0 ? err_prefix(err, r, "%s", item->sources[0].file) : 0;
	}
	for (size_t i = 0; r == 0 && i < item->n_sources; i++) {
		autofree char *part = fetch_part(f, i), *path = xasprintf("%s/%s", fresh, item->sources[i].file);
		r = sync_path(part, O_RDONLY, err);
		if (r == 0)
			r = move(part, path, err);
	}
	return r;
}

/* Checked once more where it lies, and recorded. */
static int check_and_record(struct fetch *f, const char *path, struct err *err)
{
	autojson json_t *files = NULL;
	bool known;
	int r = installed_check(f->item, path, &known, &files, err);
	return r < 0 ? r : installed_record(f->item, path, f->source, files, err);
}

/* The .gz beside a plain file, or the other way round: a reader takes the plain one. */
static void remove_other_form(const char *target, const char *file)
{
	size_t size = strlen(file);
	bool gz = size > 3 && str_eq(file + size - 3, ".gz");
	autofree char *other =
		gz ? xasprintf("%s/%.*s", target, (int)size - 3, file) : xasprintf("%s/%s.gz", target, file);
	unlink(other);
}

static int replace_files(const char *fresh, const char *target, struct err *err)
{
	autofree char *record = xasprintf("%s/fetched.json", target),
		      *fresh_record = xasprintf("%s/fetched.json", fresh);
	const struct dirent *entry;
	int r = unlink(record) < 0 && errno != ENOENT ? err_sys(err, -errno, "cannot replace %s", record) : 0;
	DIR *d = opendir(fresh);
	if (!d)
		return err_sys(err, -errno, "%s", fresh);
	while (r == 0 && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || str_eq(entry->d_name, "fetched.json"))
			continue;
		autofree char *from = xasprintf("%s/%s", fresh, entry->d_name),
			      *to = xasprintf("%s/%s", target, entry->d_name);
		r = move(from, to, err);
		if (r == 0)
			remove_other_form(target, entry->d_name);
	}
	closedir(d);
	if (r == 0)
		r = sync_path(target, O_RDONLY | O_DIRECTORY, err);
	if (r == 0)
		r = move(fresh_record, record, err);
	return r < 0 ? r : sync_path(target, O_RDONLY | O_DIRECTORY, err);
}

static int place_directory(const struct fetch *f, const char *fresh, struct err *err)
{
	if (fs_exists(f->target))
		return replace_files(fresh, f->target, err);
	int r = sync_path(fresh, O_RDONLY | O_DIRECTORY, err);
	if (r == 0)
		r = move(fresh, f->target, err);
	return r < 0 ? r : sync_path(f->o->place, O_RDONLY | O_DIRECTORY, err);
}

/* The record first: without its file it says nothing, the file without it would be unchecked. */
static int place_file(const struct fetch *f, const char *fresh, struct err *err)
{
	autofree char *file = xasprintf("%s/%s", fresh, f->item->sources[0].file);
	autofree char *record = xasprintf("%s.json", file), *target_record = xasprintf("%s.json", f->target);
	int r = move(record, target_record, err);
	if (r == 0)
		r = move(file, f->target, err);
	return r < 0 ? r : sync_path(f->o->place, O_RDONLY | O_DIRECTORY, err);
}

bool fetch_has_parts(const struct fetch *f)
{
	bool any = false;
	for (size_t i = 0; i < f->item->n_sources; i++) {
		autofree char *part = fetch_part(f, i);
		any = any || fs_exists(part);
	}
	return any;
}

static char *fresh_directory(const struct fetch *f)
{
	return xasprintf("%s/%s.new", f->work, f->item->name);
}

void fetch_clean(const struct fetch *f)
{
	autofree char *fresh = fresh_directory(f);
	remove_flat(fresh);
	for (size_t i = 0; i < f->item->n_sources; i++) {
		autofree char *part = fetch_part(f, i);
		download_forget(part);
	}
}

int fetch_install(struct fetch *f, struct err *err)
{
	const struct catalogue_item *item = f->item;
	autofree char *fresh = fresh_directory(f);
	autofree char *file =
		item->kind == PLACE_WEIGHTS ? xasprintf("%s/%s", fresh, item->sources[0].file) : xstrdup(fresh);
	remove_flat(fresh); /* of one that was killed */
	int r = mkdir(fresh, 0755) < 0 ? err_sys(err, -errno, "cannot create directory %s", fresh) : 0;
	if (r == 0)
		r = put_together(f, fresh, err);
	if (r == 0)
		r = check_and_record(f, file, err);
	if (r == 0)
		r = item->kind == PLACE_WEIGHTS ? place_file(f, fresh, err) : place_directory(f, fresh, err);
	if (r == 0 || r == -EBADMSG)
		fetch_clean(f);
	else
		remove_flat(fresh);
	if (r == -EBADMSG) {
		struct err why = *err;
		return err_set(err, r, "%s\n  do this:  another source: --mirror URL, --from FILE", why.text);
	}
	return r;
}
