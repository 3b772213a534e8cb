/* See fetch.h: is it there?  Lock, room, files, install. */
#include "fetch_internal.h"

#include "common/fs.h"
#include "common/installed.h"
#include "common/json.h"
#include "common/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define LOCK_POLL_NS (200 * 1000 * 1000)

void fetched_fini(struct fetched *f)
{
	free(f->path);
	free(f->source);
	*f = (struct fetched){0};
}

/* --- is it there? --- */

static bool owned_by_us(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && st.st_uid == geteuid();
}

/* Nobody else can have put a link where we write: root fetches into directories of the service. */
static bool is_ours(const struct fetch *f)
{
	return owned_by_us(f->item->kind == PLACE_WEIGHTS ? f->o->place : f->target);
}

/* Whether what lies at path is right; ret is filled then.  A damaged one is said. */
static bool is_right(struct fetch *f, const char *path, struct fetched *ret)
{
	auto_installed struct installed found = {0};
	autojson json_t *files = NULL;
	struct err err;
	bool known;
	installed_look(&found, f->item, path);
	if (found.state != INSTALLED_CHECKED && installed_check(f->item, path, &known, &files, &err) < 0) {
		if (!f->told)
			progress_say(f->o->download.progress, "%s\n%s: fetching it again", err.text, f->item->name);
		f->told = true;
		return false;
	}
	if (files && str_eq(path, f->target) && is_ours(f)) /* it need not be read again next time */
		installed_record(f->item, path, found.source ? found.source : "found there", files, NULL);
	*ret = (struct fetched){
		.was_there = true, .path = xstrdup(path), .bytes = found.bytes, .source = steal_ptr(found.source)};
	return true;
}

static bool has_all_files(const struct fetch *f)
{
	for (size_t i = 0; i < f->item->n_contents; i++) {
		autofree char *plain = xasprintf("%s/%s", f->target, f->item->contents[i].file);
		autofree char *gz = xasprintf("%s.gz", plain);
		if (!fs_exists(plain) && !fs_exists(gz))
			return false;
	}
	return fs_exists(f->target);
}

static bool is_there(struct fetch *f, struct fetched *ret)
{
	auto_installed struct installed found = {0};
	if (f->o->again)
		return false;
	if (has_all_files(f))
		return is_right(f, f->target, ret);
	if (f->o->only_place)
		return false;
	installed_find(&found, f->item, NULL);
	return found.path && is_right(f, found.path, ret);
}

/* --- one at a time --- */

static int make_work_directory(const struct fetch *f, struct err *err)
{
	struct stat st;
	int r = fs_mkdirs(f->work, 0755, err);
	if (r < 0)
		return r;
	if (lstat(f->work, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s is not a directory of yours\n  do this:  remove it, or --data DIR",
			       f->work);
	if (f->item->kind == PLACE_DATASETS && lstat(f->target, &st) == 0 && st.st_uid != geteuid())
		return err_set(err, -EPERM,
			       "%s belongs to another user\n  do this:  fetch as that user, remove it, or --data DIR",
			       f->target);
	return 0;
}

static int lock(const struct fetch *f, int *ret_fd, struct err *err)
{
	char holder[128];
	autofree char *path = xasprintf("%s/%s.lock", f->work, f->item->name);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, -errno, "cannot create %s", path);
	int r = flock(fd, LOCK_EX | LOCK_NB);
	if (r < 0 && errno == EWOULDBLOCK) {
		flock_holder(path, holder, sizeof(holder));
		progress_say(f->o->download.progress, "%s: another fetch%s is at it; waiting for it", f->item->name,
			     holder);
		while (r < 0 && errno == EWOULDBLOCK &&
		       !download_interrupted) { /* flock() itself may miss a signal just before */
			nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_NS}, NULL);
			r = flock(fd, LOCK_EX | LOCK_NB);
		}
	}
	if (r < 0 && download_interrupted)
		return err_set(err, -EINTR, "interrupted");
	if (r < 0)
		return err_sys(err, -errno, "cannot lock %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* --- room --- */

static int64_t bytes_needed(const struct fetch *f)
{
	int64_t bytes = 0;
	for (size_t i = 0; i < f->item->n_sources; i++) {
		autofree char *part = fetch_part(f, i);
		struct stat st;
		int64_t have = stat(part, &st) == 0 ? st.st_size : 0;
		bytes += MAX(f->item->sources[i].sum.bytes - have, 0);
	}
	for (size_t i = 0; f->item->archive && i < f->item->n_contents; i++)
		bytes += f->item->contents[i].sum.bytes;
	return bytes;
}

static int check_room(const struct fetch *f, struct err *err)
{
	struct statvfs fs;
	char needed[32], have[32];
	int64_t bytes = bytes_needed(f);
	if (statvfs(f->o->place, &fs) < 0)
		return 0; /* writing will tell */
	int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	if (room >= bytes)
		return 0;
	return err_set(err, -ENOSPC,
		       "%s: %s needs %s, %s are free\n  do this:  make room, or --data DIR on another disk",
		       f->o->place, f->item->name, bytes_text(bytes, needed), bytes_text(room, have));
}

/* --- */

/* What the system said of the place, with what to do. */
static int explain(const struct fetch *f, int r, struct err *err)
{
	struct err why = *err;
	if (strstr(why.text, "do this:"))
		return r;
	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		return err_set(err, r,
			       "%s\n  do this:  make room and fetch again: it goes on where it stopped; or --data DIR "
			       "on another "
			       "disk",
			       why.text);
	if (r == -EACCES || r == -EPERM || r == -EROFS)
		return err_set(err, r,
			       "%s\n  do this:  --data DIR of a directory you may write; for the service: sudo "
			       "sweepctl %s fetch %s",
			       why.text, f->item->kind == PLACE_WEIGHTS ? "weights" : "dataset", f->item->name);
	return r;
}

static int fetch_all(struct fetch *f, struct fetched *ret, struct err *err)
{
	auto_installed struct installed found = {0};
	int r = check_room(f, err);
	for (size_t i = 0; r == 0 && i < f->item->n_sources; i++)
		r = fetch_source(f, i, err);
	if (r == 0 && download_interrupted)
		r = err_set(err, -EINTR, "interrupted");
	if (r == 0)
		r = fetch_install(f, err);
	if (r < 0)
		return r;
	installed_look(&found, f->item, f->target);
	*ret = (struct fetched){.path = xstrdup(f->target), .source = xstrdup(f->source), .bytes = found.bytes};
	return 0;
}

static int fetch_locked(struct fetch *f, struct fetched *ret, struct err *err)
{
	autoclose int held = -1;
	int r = make_work_directory(f, err);
	if (r == 0)
		r = lock(f, &held, err);
	if (r == 0 && is_there(f, ret))
		fetch_clean(f);
	else if (r == 0)
		r = fetch_all(f, ret, err);
	return r;
}

int fetch_item(const struct catalogue_item *item, const struct fetch_options *o, struct fetched *ret, struct err *err)
{
	struct fetch f = {.item = item, .o = o};
	int r = 0;
	f.work = xasprintf("%s/.fetch", o->place);
	f.target = xasprintf("%s/%s", o->place, item->kind == PLACE_WEIGHTS ? item->sources[0].file : item->directory);
	if (fetch_has_parts(&f) || !is_there(&f, ret)) /* without a lock, which needs the right to write */
		r = fetch_locked(&f, ret, err);
	r = r < 0 ? explain(&f, r, err) : 0;
	free(f.work);
	free(f.target);
	free(f.source);
	return r;
}
