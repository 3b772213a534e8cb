/* doctor: the daemon, the store, and who may do what; see doctor.h. */
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "common/clock.h"
#include "common/locks.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP       "sweepd"
#define ROOM_ENOUGH (1024.0 * 1024 * 1024)
#define LOG_LONG    (16L * 1024 * 1024)

static void running(struct doctor *d, const json_t *answer)
{
	const char *version = json_str_or(answer, "version", "");
	bool other = *version && !str_eq(version, SWEEPD_VERSION);
	char up[FORMAT_MAX];

	d->daemon = (pid_t)json_int_or(answer, "pid", 0);
	const char *trouble = json_str_or(answer, "store_trouble", NULL);
	if (trouble)
		doctor_add(d, HEALTH_FAIL, "daemon", NULL,
			   "its store takes nothing at the moment; workers train on\n%s", trouble);
	doctor_add(d, other ? HEALTH_WARN : HEALTH_OK, "daemon", other ? "sweepctl daemon restart" : NULL,
		   "%s, pid %lld, up %s%s%s", d->ctl->paths.system ? "the system's" : "private (yours)",
		   (long long)d->daemon,
		   format_span((double)(wall_ms() - json_int_or(answer, "started_ms", 0)) / 1000, up),
		   other ? ", another version than this sweepctl: " : "", other ? version : "");
}

void doctor_daemon(struct doctor *d)
{
	autojson json_t *answer = NULL;
	const struct paths *paths = &d->ctl->paths;
	struct err err;
	int e = client_ask(paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, &err);

	if (e == 0 && json_bool_or(answer, "ok", false))
		running(d, answer);
	else if (e == -ENOTCONN)
		doctor_add(d, HEALTH_NONE, "daemon",
			   paths->system ? "sudo systemctl start sweepd" : "sweepctl daemon start", "not running");
	else if (e == -EACCES)
		doctor_add_err(d, HEALTH_FAIL, "daemon",
			       paths->system ? "sudo adduser $USER " GROUP ", then log in again" : NULL, &err);
	else if (e < 0)
		doctor_add_err(d, HEALTH_FAIL, "daemon", NULL, &err);
	else
		doctor_add(d, HEALTH_FAIL, "daemon", NULL, "%s", json_str_or(answer, "error", "refuses"));
}

/* The device lines are the daemon's: what it set aside it says why. */
static void check_set_aside(struct doctor *d, struct reader *r)
{
	struct device_row *rows = NULL;
	size_t n = 0;

	if (reader_devices(r, &rows, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (str_eq(rows[i].state, "set_aside"))
			doctor_add(d, HEALTH_WARN, rows[i].id, NULL, "set aside: %s",
				   rows[i].reason ? rows[i].reason : "no reason");
	device_rows_free(rows, n);
}

static void check_file(struct doctor *d, const struct file_system *fs, const char *shown)
{
	const struct paths *paths = &d->ctl->paths;
	bool tight = fs->free_bytes < ROOM_ENOUGH;
	char size[FORMAT_MAX], room[FORMAT_MAX];
	struct stat st;

	format_bytes(fs->free_bytes, room);
	if (stat(paths->db, &st) == 0)
		doctor_add(d, tight ? HEALTH_WARN : HEALTH_OK, "store",
			   tight ? "free some space; checkpoints need it" : NULL, "%s, %s, %s, %s free", shown,
			   format_bytes((double)st.st_size, size), fs->name, room);
	else if (can_create(paths->state))
		doctor_add(d, HEALTH_OK, "store", NULL, "%s, none yet, %s, %s free", shown, fs->name, room);
	else
		doctor_add(d, HEALTH_FAIL, "store", "export SWEEPD_DIR=DIR, a directory of yours",
			   "%s cannot be created: no permission", shown);
}

/* The write-ahead log is a few MiB unless somebody's transaction keeps it from shrinking. */
static void check_log(struct doctor *d)
{
	autofree char *log = xasprintf("%s-wal", d->ctl->paths.db);
	char holder[FORMAT_MAX], size[FORMAT_MAX];
	struct stat st;

	if (stat(log, &st) < 0 || st.st_size < LOG_LONG)
		return;
	lock_holder(d->ctl->paths.db, DB_LOCK_READ, d->daemon, holder, sizeof(holder));
	doctor_add(d, HEALTH_WARN, "log", "end the transaction of that reader",
		   "the write-ahead log has %s; a reader%s keeps it from shrinking",
		   format_bytes((double)st.st_size, size), holder);
}

void doctor_store(struct doctor *d)
{
	const struct paths *paths = &d->ctl->paths;
	autofree char *shown = format_path(paths->db);
	struct file_system fs;
	struct reader *r = NULL;
	struct err err;

	if (file_system_read(&fs, paths->state, &err) < 0) {
		doctor_add_err(d, HEALTH_FAIL, "store", NULL, &err);
		return;
	}
	if (fs.network) {
		doctor_add(d, HEALTH_FAIL, "store", "export SWEEPD_DIR=/a/local/disk/sweepd",
			   "%s is on %s; SQLite's write-ahead log needs a local disk", shown, fs.name);
		return;
	}
	if (reader_open(&r, paths, &err) < 0) {
		doctor_add_err(d, HEALTH_FAIL, "store", NULL, &err);
		return;
	}
	check_file(d, &fs, shown);
	check_log(d);
	check_set_aside(d, r);
	reader_close(r);
}

/* --- rights --- */

static char *user_name(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	return user ? xstrdup(user->pw_name) : xasprintf("uid %u", uid);
}

static bool in_list(const gid_t *groups, int n, gid_t gid)
{
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* Whether the database of groups has this user in one that this login does not have yet. */
static bool in_group_after_login(gid_t gid)
{
	const struct passwd *me = getpwuid(getuid());
	gid_t groups[256];
	int n = ARRAY_LEN(groups);

	return me && getgrouplist(me->pw_name, me->pw_gid, groups, &n) > 0 && in_list(groups, n, gid);
}

static bool in_group_now(gid_t gid)
{
	gid_t groups[256];
	int n = getgroups(ARRAY_LEN(groups), groups);

	return getegid() == gid || in_list(groups, n, gid);
}

/* Of the system's sweepd: root and its group may submit and read. */
static void check_group(struct doctor *d)
{
	const struct group *group = getgrnam(GROUP);
	gid_t gid = group ? group->gr_gid : 0;

	if (geteuid() == 0)
		doctor_add(d, HEALTH_OK, "rights", NULL, "root may do everything");
	else if (!group)
		doctor_add(d, HEALTH_FAIL, "rights", "sudo systemd-sysusers", "there is no group " GROUP);
	else if (in_group_now(gid))
		doctor_add(d, HEALTH_OK, "rights", NULL,
			   "you are in group " GROUP ": may submit, read all, change your own sweeps");
	else if (in_group_after_login(gid))
		doctor_add(d, HEALTH_FAIL, "rights", "log in again (or: newgrp " GROUP ")",
			   "you are in group " GROUP ", but this login is older than that");
	else
		doctor_add(d, HEALTH_FAIL, "rights", "sudo adduser $USER " GROUP ", then log in again",
			   "you are not in group " GROUP ", which may read and submit");
}

/* Of a private one: its files must be ours, and nobody else's to write. */
static void check_owner(struct doctor *d, const struct stat *st)
{
	autofree char *shown = format_path(d->ctl->paths.state);
	autofree char *quoted = xasprintf("sudo chown -R $USER %s", shown);
	autofree char *closed = xasprintf("chmod go-w %s", shown);
	autofree char *owner = user_name(st->st_uid);
	unsigned mode = st->st_mode & 07777;

	if (st->st_uid != geteuid() && geteuid() != 0)
		doctor_add(d, HEALTH_FAIL, "rights", quoted, "%s belongs to %s (mode %04o): you may not submit there",
			   shown, owner, mode);
	else if (mode & 022)
		doctor_add(d, HEALTH_WARN, "rights", closed, "%s is open (mode %04o): others may replace the results",
			   shown, mode);
	else
		doctor_add(d, HEALTH_OK, "rights", NULL, "%s is %s's (mode %04o): you may submit", shown, owner, mode);
}

void doctor_rights(struct doctor *d)
{
	const struct paths *paths = &d->ctl->paths;
	struct stat st;

	if (paths->system)
		check_group(d);
	else if (stat(paths->state, &st) == 0)
		check_owner(d, &st);
}
