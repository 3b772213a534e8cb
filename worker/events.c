/* See events.h. */
#include "events.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/protocol.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct event_log {
	pthread_mutex_t lock;
	int fd;
	char *path;
	int64_t attempt;
	uint64_t seq;
	off_t length; /* of whole lines */
	bool torn;    /* something follows them that could not be cut off */
	bool ended;
	char *waiting; /* lines that found no room */
	size_t waiting_size;
	bool last_waits; /* the last of them is terminal */
	void (*wake)(void *arg);
	void *wake_arg;
};

int event_log_new(struct event_log **ret, const char *job_dir, int64_t attempt, void (*wake)(void *arg), void *arg,
		  struct err *err)
{
	autofree char *path = xasprintf("%s/events.%lld.jsonl", job_dir, (long long)attempt);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_sys(err, -errno, "cannot create %s", path);
	struct event_log *log = xcalloc(1, sizeof(*log));
	*log = (struct event_log){.fd = fd, .path = steal_ptr(path), .attempt = attempt, .wake = wake, .wake_arg = arg};
	pthread_mutex_init(&log->lock, NULL);
	*ret = log;
	return 0;
}

void event_log_free(struct event_log *log)
{
	if (!log)
		return;
	close(log->fd);
	pthread_mutex_destroy(&log->lock);
	free(log->path);
	free(log->waiting);
	free(log);
}

static bool is_terminal(const char *type)
{
	static const char *const terminal[] = {"done", "failed", "cancelled", "released"};
	for (size_t i = 0; i < ARRAY_LEN(terminal); i++)
		if (str_eq(type, terminal[i]))
			return true;
	return false;
}

/* A half-written line is cut off again, so that the file always ends in a whole one. */
static int append_locked(struct event_log *log, const char *lines, size_t size, bool sync, struct err *err)
{
	int r = log->torn && ftruncate(log->fd, log->length) < 0 ? -errno : 0;
	if (r < 0)
		return err_sys(err, r, "cannot append to %s", log->path);
	r = fs_write_all(log->fd, lines, size);
	if (r == 0 && sync && fsync(log->fd) < 0)
		r = -errno;
	log->torn = r < 0 && ftruncate(log->fd, log->length) < 0;
	if (r < 0)
		return err_sys(err, r, "cannot append to %s", log->path);
	log->length += (off_t)size;
	return 0;
}

static int append_waiting_locked(struct event_log *log, struct err *err)
{
	if (!log->waiting_size || log->ended)
		return 0;
	int r = append_locked(log, log->waiting, log->waiting_size, log->last_waits, err);
	if (r < 0)
		return r;
	log->waiting_size = 0;
	log->ended = log->last_waits;
	return 0;
}

static bool may_pass(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EIO;
}

static int keep_locked(struct event_log *log, const char *line, size_t size, int code)
{
	if (!may_pass(code) || log->waiting_size + size > EVENTS_WAITING_MAX)
		return code;
	log->waiting = xrealloc_array(log->waiting, log->waiting_size + size, 1);
	memcpy(log->waiting + log->waiting_size, line, size);
	log->waiting_size += size;
	return 0;
}

static int emit_locked(struct event_log *log, const char *type, json_t *body, struct err *err)
{
	if (log->ended || log->last_waits)
		return 0;
	autojson json_t *event = json_pack("{s:s, s:I, s:I, s:I}", "type", type, "attempt", (json_int_t)log->attempt,
					   "seq", (json_int_t)(log->seq + 1), "at_ms", (json_int_t)wall_ms());
	json_object_update_missing(event, body);
	autofree char *text = json_line(event);
	autofree char *line = xasprintf("%s\n", text);
	size_t size = strlen(line);
	INVARIANT(size <= WORKER_LINE_MAX, "event of %zu bytes", size);
	bool terminal = is_terminal(type);
	int r = append_waiting_locked(log, err);
	r = r ? r : append_locked(log, line, size, terminal, err);
	if (r == 0)
		log->ended = terminal;
	else
		r = keep_locked(log, line, size, r);
	if (r < 0)
		return r;
	log->seq++;
	log->last_waits = terminal && !log->ended;
	return 0;
}

int event_emit(struct event_log *log, const char *type, json_t *body, struct err *err)
{
	pthread_mutex_lock(&log->lock);
	int r = emit_locked(log, type, body, err);
	pthread_mutex_unlock(&log->lock);
	json_decref(body);
	if (log->wake)
		log->wake(log->wake_arg);
	return r;
}

bool event_log_retry(struct event_log *log)
{
	pthread_mutex_lock(&log->lock);
	int r = append_waiting_locked(log, NULL);
	pthread_mutex_unlock(&log->lock);
	return r == 0;
}

bool event_log_waits(struct event_log *log)
{
	pthread_mutex_lock(&log->lock);
	bool waits = log->waiting_size && !log->ended;
	pthread_mutex_unlock(&log->lock);
	return waits;
}

int event_log_sync(struct event_log *log, struct err *err)
{
	if (event_log_waits(log))
		return err_sys(err, -ENOSPC, "events wait for room in %s", log->path);
	return fsync(log->fd) < 0 ? err_sys(err, -errno, "cannot flush %s", log->path) : 0;
}

void event_log_fence(struct event_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->ended = true;
	pthread_mutex_unlock(&log->lock);
}

int64_t event_log_attempt(const struct event_log *log)
{
	return log->attempt;
}

uint64_t event_log_last_seq(struct event_log *log)
{
	pthread_mutex_lock(&log->lock);
	uint64_t seq = log->seq;
	pthread_mutex_unlock(&log->lock);
	return seq;
}

bool event_log_ended(struct event_log *log)
{
	pthread_mutex_lock(&log->lock);
	bool ended = log->ended;
	pthread_mutex_unlock(&log->lock);
	return ended;
}

ssize_t event_log_read(struct event_log *log, off_t offset, char *buf, size_t size)
{
	pthread_mutex_lock(&log->lock);
	off_t length = log->length;
	pthread_mutex_unlock(&log->lock);
	size_t n = (size_t)MIN((off_t)size, length - offset);
	ssize_t got = pread(log->fd, buf, n, offset);
	if (got <= 0)
		return got;
	char *end = memrchr(buf, '\n', (size_t)got);
	return end ? end + 1 - buf : 0;
}

off_t event_log_seek(struct event_log *log, uint64_t seq)
{
	char buf[WORKER_LINE_MAX];
	off_t offset = 0;
	uint64_t seen = 0;
	for (;;) {
		ssize_t n = seen < seq ? event_log_read(log, offset, buf, sizeof(buf)) : 0;
		if (n <= 0)
			return offset;
		for (char *p = buf, *end; seen < seq && p < buf + n; p = end + 1, seen++) {
			end = memchr(p, '\n', (size_t)(buf + n - p));
			offset += end + 1 - p;
		}
	}
}
