/* See offline.h. */
#include "offline.h"

#include "forward/lines.h"
#include "forward/proto.h"
#include "forward/wlog.h"

#include "common/fs.h"
#include "common/json.h"

#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Fields of Record: its number, and what it holds. */
enum {
	RECORD_NUM = 1,
	RECORD_HISTORY = 2,
	RECORD_SUMMARY = 3,
	RECORD_FILES = 6,
	RECORD_STATS = 7,
	RECORD_TELEMETRY = 11,
	RECORD_METRIC = 12,
	RECORD_OUTPUT_RAW = 13,
	RECORD_RUN = 17,
	RECORD_EXIT = 18,
	RECORD_FINAL = 20,
	RECORD_HEADER = 21,
	RECORD_FOOTER = 22,
};
/* Fields of RunRecord. */
enum {
	RUN_ID = 1,
	RUN_ENTITY = 2,
	RUN_PROJECT = 3,
	RUN_CONFIG = 4,
	RUN_GROUP = 6,
	RUN_JOB_TYPE = 7,
	RUN_DISPLAY_NAME = 8,
	RUN_NOTES = 9,
	RUN_TAG = 10,
	RUN_SWEEP_ID = 12,
	RUN_HOST = 13,
	RUN_START_TIME = 17,
};
/* Of the items of configuration, history, summary and statistics. */
enum { ITEM_KEY = 1, ITEM_VALUE_JSON = 16 };
enum { UPDATE = 1 }; /* repeated: ConfigRecord and SummaryRecord */

struct offline {
	char *temporary, *final, *dir;
	struct wlog log;
	int64_t num, started_ms;
	struct proto record; /* room that is used again */
};

static int failed(const struct offline *o, int r, struct err *err)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return err_set(err, -ENOSPC,
			       "the disk is full: the offline run %s was not written; training goes on\n"
			       "  do this:  make room",
			       o->final);
	return err_sys(err, r, "the offline run %s cannot be written", o->final);
}

static int put(struct offline *o, unsigned field, const struct proto *message, struct err *err)
{
	proto_clear(&o->record);
	proto_int(&o->record, RECORD_NUM, ++o->num);
	proto_message(&o->record, field, message);
	int r = wlog_add(&o->log, o->record.bytes, o->record.size);
	return r < 0 ? failed(o, r, err) : 0;
}

static void put_item(struct proto *list, unsigned field, const char *key, const char *value_json)
{
	autoproto struct proto item = {0};
	proto_text(&item, ITEM_KEY, key);
	proto_text(&item, ITEM_VALUE_JSON, value_json);
	proto_message(list, field, &item);
}

static void put_text(struct proto *p, unsigned field, const char *text)
{
	if (text)
		proto_text(p, field, text);
}

static void put_time(struct proto *p, unsigned field, int64_t at_us)
{
	autoproto struct proto t = {0};
	proto_int(&t, 1, at_us / 1000000);
	proto_int(&t, 2, at_us % 1000000 * 1000);
	proto_message(p, field, &t);
}

/* --- what stands before the rows --- */

static int put_header(struct offline *o, struct err *err)
{
	autoproto struct proto header = {0}, version = {0};
	proto_text(&version, 1, "sweepd " SWEEPD_VERSION);
	proto_text(&version, 2, "0.0.1"); /* the oldest client that can read it, as W&B's own writes */
	proto_message(&header, 1, &version);
	return put(o, RECORD_HEADER, &header, err);
}

static int put_run(struct offline *o, const struct offline_run *run, struct err *err)
{
	size_t i;
	const char *key;
	json_t *value;
	autoproto struct proto p = {0}, config = {0};
	json_object_foreach((json_t *)run->config, key, value)
	{
		autofree char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		put_item(&config, UPDATE, key, text ? text : "null");
	}
	put_text(&p, RUN_ID, run->id);
	put_text(&p, RUN_ENTITY, run->entity);
	put_text(&p, RUN_PROJECT, run->project);
	proto_message(&p, RUN_CONFIG, &config);
	put_text(&p, RUN_GROUP, run->group);
	put_text(&p, RUN_JOB_TYPE, run->job_type);
	put_text(&p, RUN_DISPLAY_NAME, run->name);
	put_text(&p, RUN_NOTES, run->notes);
	json_array_foreach((json_t *)run->tags, i, value) put_text(&p, RUN_TAG, json_string_value(value));
	put_text(&p, RUN_SWEEP_ID, run->sweep_id);
	put_text(&p, RUN_HOST, run->host);
	put_time(&p, RUN_START_TIME, run->started_ms * 1000);
	return put(o, RECORD_RUN, &p, err);
}

/* A message of booleans, those of these numbers true; NULL: no message. */
static void put_flags(struct proto *p, unsigned field, const json_t *numbers)
{
	size_t i;
	json_t *number;
	autoproto struct proto flags = {0};
	json_array_foreach((json_t *)numbers, i, number) proto_int(&flags, (unsigned)json_integer_value(number), 1);
	if (numbers)
		proto_message(p, field, &flags);
}

/* What line_config() says under _wandb, in records of its own: `wandb sync` builds that key itself. */
static int put_definitions(struct offline *o, const struct offline_run *run, struct err *err)
{
	size_t i;
	json_t *metric;
	autojson json_t *config = line_config(run->config, NULL);
	const json_t *own = json_object_get(json_object_get(config, "_wandb"), "value");
	const json_t *telemetry = json_object_get(own, "t"), *metrics = json_object_get(own, "m");
	autoproto struct proto t = {0};
	put_flags(&t, 3, json_object_get(telemetry, "3"));
	put_text(&t, 5, json_str_or(telemetry, "5", NULL));
	put_text(&t, 12, json_str_or(telemetry, "12", NULL));
	int r = put(o, RECORD_TELEMETRY, &t, err);
	json_array_foreach((json_t *)metrics, i, metric)
	{
		autoproto struct proto m = {0};
		int64_t step_metric = json_int_or(metric, "5", 0);
		put_text(&m, 1, json_str_or(metric, "1", NULL));
		if (step_metric)
			put_text(&m, 4, json_str_or(json_array_get(metrics, (size_t)step_metric - 1), "1", NULL));
		put_flags(&m, 6, json_object_get(metric, "6"));
		put_flags(&m, 7, json_object_get(metric, "7"));
		r = r ? r : put(o, RECORD_METRIC, &m, err);
	}
	return r;
}

/* --- rows --- */

/* Members of a line, one after the other: {"key":value,"key":value}, as line_text() writes it. */
struct members {
	const char *at;
	char *key, *value; /* JSON text, or NaN, Infinity, -Infinity */
};

static const char *end_of_value(const char *p)
{
	int depth = 0;
	bool quoted = false;
	for (; *p; p++) {
		if (quoted && *p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (quoted) {
			quoted = *p != '"';
			continue;
		}
		quoted = *p == '"';
		if (depth == 0 && strchr(",}:", *p))
			break;
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
	}
	return p;
}

static void members_fini(struct members *m)
{
	free(m->key);
	free(m->value);
}

static bool members_next(struct members *m)
{
	if (*m->at == '{' || *m->at == ',')
		m->at++;
	const char *colon = end_of_value(m->at);
	if (*colon != ':')
		return false;
	const char *end = end_of_value(colon + 1);
	autojson json_t *key = json_loadb(m->at, (size_t)(colon - m->at), JSON_DECODE_ANY, NULL);
	members_fini(m);
	m->key = xstrdup(key ? json_string_value(key) : "");
	m->value = xasprintf("%.*s", (int)(end - colon - 1), colon + 1);
	m->at = end;
	return true;
}
#define automembers __attribute__((cleanup(members_fini)))

int offline_history(struct offline *o, const char *line, struct err *err)
{
	autoproto struct proto history = {0}, step = {0};
	automembers struct members m = {line};
	while (members_next(&m)) {
		put_item(&history, 1, m.key, m.value);
		if (str_eq(m.key, "_step"))
			proto_int(&step, 1, atoll(m.value));
	}
	proto_message(&history, 2, &step);
	return put(o, RECORD_HISTORY, &history, err);
}

/* Its keys stand without "system."; the client that sends them adds it, and the times. */
int offline_stats(struct offline *o, const char *line, struct err *err)
{
	static const char prefix[] = "system.";
	size_t skip = strlen(prefix);
	autoproto struct proto stats = {0};
	automembers struct members m = {line};
	proto_int(&stats, 1, 0); /* the type "system" */
	while (members_next(&m)) {
		if (strncmp(m.key, prefix, skip) == 0)
			put_item(&stats, 3, m.key + skip, m.value);
		else if (str_eq(m.key, "_timestamp"))
			put_time(&stats, 2, llround(atof(m.value) * 1e6));
	}
	return put(o, RECORD_STATS, &stats, err);
}

/* "2026-11-24T02:18:03.954681 text": the record has the time beside the text, which ends in a newline. */
int offline_console(struct offline *o, const char *line, struct err *err)
{
	struct tm tm = {0};
	int us = 0, used = 0;
	int64_t at_us = o->started_ms * 1000;
	if (sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%6d %n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &us, &used) == 7 &&
	    used == 27) {
		tm.tm_year -= 1900;
		tm.tm_mon -= 1;
		at_us = (int64_t)timegm(&tm) * 1000000 + us;
		line += used;
	}
	autofree char *text = xasprintf("%s\n", line);
	autoproto struct proto output = {0};
	proto_int(&output, 1, 1); /* standard output */
	put_time(&output, 2, at_us);
	proto_text(&output, 3, text);
	return put(o, RECORD_OUTPUT_RAW, &output, err);
}

int offline_summary(struct offline *o, const char *line, struct err *err)
{
	autoproto struct proto summary = {0};
	automembers struct members m = {line};
	while (members_next(&m))
		put_item(&summary, UPDATE, m.key, m.value);
	return put(o, RECORD_SUMMARY, &summary, err);
}

int offline_file(struct offline *o, const char *name, const void *bytes, size_t size, struct err *err)
{
	autofree char *path = xasprintf("%s/files/%s", o->temporary, name), *copy = xstrdup(path);
	int r = fs_mkdirs(dirname(copy), 0755, err);
	r = r ? r : fs_write_file(path, bytes, size, 0644, err);
	if (r < 0)
		return r == -ENOSPC || r == -EDQUOT ? failed(o, r, err) : r;
	autoproto struct proto files = {0}, file = {0};
	proto_text(&file, 1, name);
	proto_int(&file, 2, 0); /* to be sent now */
	proto_int(&file, 3, strncmp(name, "media/", 6) == 0 ? 2 : str_eq(name, "wandb-metadata.json") ? 1 : 0);
	proto_message(&files, 1, &file);
	return put(o, RECORD_FILES, &files, err);
}

/* --- its life --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *dir)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void offline_free(struct offline *o)
{
	if (o->log.buf)
		wlog_fini(&o->log);
	proto_fini(&o->record);
	free(o->temporary);
	free(o->final);
	free(o->dir);
	free(o);
}

void offline_abandon(struct offline *o)
{
	if (!o)
		return;
	remove_tree(o->temporary);
	offline_free(o);
}

/* What a writer that was killed left behind is removed first. */
static int create(struct offline *o, const char *id, struct err *err)
{
	autofree char *files = xasprintf("%s/files", o->temporary),
		      *path = xasprintf("%s/run-%s.wandb", o->temporary, id);
	remove_tree(o->temporary);
	int r = fs_mkdirs(files, 0755, err);
	if (r < 0)
		return r == -ENOSPC || r == -EDQUOT ? failed(o, r, err) : r;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return failed(o, -errno, err);
	wlog_init(&o->log, fd);
	return 0;
}

int offline_begin(struct offline **ret, const char *dir, const struct offline_run *run, struct err *err)
{
	char stamp[32];
	struct tm tm;
	time_t seconds = (time_t)(run->started_ms / 1000);
	strftime(stamp, sizeof(stamp), "%Y%m%d_%H%M%S", gmtime_r(&seconds, &tm));
	struct offline *o = xcalloc(1, sizeof(*o));
	o->dir = xstrdup(dir);
	o->final = xasprintf("%s/offline-run-%s-%s", dir, stamp, run->id);
	o->temporary = xasprintf("%s/.offline-run-%s-%s", dir, stamp, run->id);
	o->started_ms = run->started_ms;
	int r = create(o, run->id, err);
	r = r ? r : put_header(o, err);
	r = r ? r : put_run(o, run, err);
	r = r ? r : put_definitions(o, run, err);
	if (r < 0)
		offline_abandon(o);
	else
		*ret = o;
	return r;
}

static int put_end(struct offline *o, int exit_code, int64_t ended_ms, struct err *err)
{
	autoproto struct proto end = {0}, empty = {0};
	proto_int(&end, 1, exit_code);
	proto_int(&end, 2, MAX(ended_ms - o->started_ms, 0) / 1000);
	int r = put(o, RECORD_EXIT, &end, err);
	r = r ? r : put(o, RECORD_FINAL, &empty, err);
	return r ? r : put(o, RECORD_FOOTER, &empty, err);
}

static int sync_dir(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Where one of that name is, the two change places and the old one goes; on a file system that cannot do that (NFS,
 * FUSE) the old one goes first. */
static int give_name(const struct offline *o)
{
	int r = sync_dir(o->temporary);
	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->final, RENAME_EXCHANGE) == 0) {
		remove_tree(o->temporary);
		return sync_dir(o->dir);
	}
	if (errno != ENOENT) /* ENOENT: there is none */
		remove_tree(o->final);
	if (rename(o->temporary, o->final) < 0)
		return -errno;
	return sync_dir(o->dir);
}

int offline_commit(struct offline *o, int exit_code, int64_t ended_ms, char **ret_path, struct err *err)
{
	int r = exit_code >= 0 ? put_end(o, exit_code, ended_ms, err) : 0;
	if (r == 0) {
		r = wlog_sync(&o->log);
		r = r ? r : give_name(o);
		if (r < 0)
			failed(o, r, err);
	}
	if (r < 0) {
		offline_abandon(o);
		return r;
	}
	*ret_path = xstrdup(o->final);
	offline_free(o);
	return 0;
}
