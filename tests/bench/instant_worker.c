/* A sweep-worker that trains nothing: `started` and `done` at once, so that what is measured is the daemon.
 *
 * Environment: INSTANT_METRICS=N   N metric events between the two, as fast as they are acknowledged
 *              INSTANT_WINDOW=N    so many of them unacknowledged at most (default 10,000)
 *              INSTANT_PROGRAM=P   starts P for each job and waits for its end: a process per job
 *              INSTANT_HOLD=1      starts a job and then only sends heartbeats: a live worker to be adopted
 *              INSTANT_LOG=FILE    appended at its end: a line per job, when it said `done` (CLOCK_MONOTONIC) and how long
 *                                  after that the next `run` came, both in microseconds
 * Like the real one it spools every event before it sends it.  A minute without a daemon ends it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SENT_MAX (1 << 20)
#define HEARTBEAT_MS 2000
#define ALONE_US 60e6

struct worker {
	const char *socket_path, *token_file, *id, *device;
	int fd;
	char in[1 << 16];
	size_t n_in;
	long attempt, seq, acked, metrics, window;
	FILE *spool;
	char spool_path[4096];
	double done_at;
	struct gap {
		double at_us, us;
	} *gaps;
	size_t n_gaps;
	const char *program;
	bool hold;
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static long env_number(const char *name, long otherwise)
{
	const char *text = getenv(name);
	return text ? atol(text) : otherwise;
}

/* What a daemon that went away did not get is in the spool. */
static void send_all(struct worker *w, const char *data, size_t n)
{
	while (n) {
		ssize_t sent = write(w->fd, data, n);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return;
		data += sent;
		n -= (size_t)sent;
	}
}

/* rest: the event's members behind the common ones, each with a comma before it. */
static void emit(struct worker *w, const char *type, const char *rest)
{
	char line[1024];
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	int n = snprintf(line, sizeof(line), "{\"type\":\"%s\",\"attempt\":%ld,\"seq\":%ld,\"at_ms\":%lld%s}\n", type, w->attempt,
			 ++w->seq, (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, rest);
	fwrite(line, 1, (size_t)n, w->spool);
	fflush(w->spool);
	send_all(w, line, (size_t)n);
}

static void write_gaps(const struct worker *w)
{
	const char *path = getenv("INSTANT_LOG");
	FILE *file = path ? fopen(path, "a") : NULL;
	if (!file)
		return;
	for (size_t i = 0; i < w->n_gaps; i++)
		fprintf(file, "%s %.1f %.1f\n", w->device, w->gaps[i].at_us, w->gaps[i].us);
	fclose(file);
}

static void emit_metrics(struct worker *w)
{
	char rest[128];
	for (; w->metrics && w->seq - w->acked < w->window; w->metrics--) {
		snprintf(rest, sizeof(rest), ",\"epoch\":%ld,\"name\":\"speed\",\"value\":%ld.5", w->metrics, w->seq);
		emit(w, "metric", rest);
	}
}

static void finish(struct worker *w)
{
	if (w->hold || w->metrics)
		return;
	emit(w, "done", ",\"epochs\":0,\"note\":null");
	fclose(w->spool);
	w->spool = NULL;
	w->done_at = now_us();
}

/* As a queue of commands does: one process, waited for. */
static void run_program(const char *path)
{
	char *args[] = {(char *)path, NULL}, *env[] = {NULL};
	pid_t pid;
	int status;
	if (posix_spawn(&pid, path, NULL, NULL, args, env) || waitpid(pid, &status, 0) != pid || status)
		exit(1);
}

static void start_job(struct worker *w, const json_t *run)
{
	if (w->done_at > 0 && w->n_gaps < SENT_MAX)
		w->gaps[w->n_gaps++] = (struct gap){.at_us = w->done_at, .us = now_us() - w->done_at};
	w->attempt = (long)json_integer_value(json_object_get(run, "attempt"));
	w->seq = w->acked = 0;
	w->metrics = env_number("INSTANT_METRICS", 0);
	snprintf(w->spool_path, sizeof(w->spool_path), "%s/events.%ld.jsonl", json_string_value(json_object_get(run, "job_dir")),
		 w->attempt);
	w->spool = fopen(w->spool_path, "wx");
	if (!w->spool)
		exit(1);
	emit(w, "started", ",\"start_epoch\":0,\"start_step\":0,\"backend\":\"none\",\"device\":\"none\"");
	if (w->program)
		run_program(w->program);
	emit_metrics(w);
	finish(w);
}

static void leave(struct worker *w)
{
	write_gaps(w);
	exit(0);
}

/* The job, if there is one. */
static void let_go(struct worker *w, const char *type)
{
	if (!w->spool)
		return;
	w->metrics = 0;
	emit(w, type, ",\"why\":\"stop\",\"epoch\":0,\"step\":0");
	fclose(w->spool);
	w->spool = NULL;
}

static bool is_open(const struct worker *w)
{
	return w->spool || w->acked < w->seq;
}

static void take_acks(struct worker *w, const json_t *acks)
{
	size_t i;
	const json_t *ack;
	json_array_foreach(acks, i, ack)
		if (json_integer_value(json_object_get(ack, "attempt")) == w->attempt)
			w->acked = (long)json_integer_value(json_object_get(ack, "seq"));
}

/* After a reconnect: the events behind those that are stored; a line each. */
static void send_again(struct worker *w)
{
	char line[1024];
	FILE *file = is_open(w) ? fopen(w->spool_path, "r") : NULL;
	for (long seq = 1; file && fgets(line, sizeof(line), file); seq++)
		if (seq > w->acked)
			send_all(w, line, strlen(line));
	if (file)
		fclose(file);
}

static void heed(struct worker *w, const char *line, size_t n)
{
	json_t *message = json_loadb(line, n, 0, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));
	if (!type)
		exit(1);
	if (!strcmp(type, "run")) {
		start_job(w, message);
	} else if (!strcmp(type, "ack") || !strcmp(type, "welcome")) {
		take_acks(w, json_object_get(message, "acks"));
		if (type[0] == 'w')
			send_again(w);
		if (w->spool) {
			emit_metrics(w);
			finish(w);
		}
	} else if (!strcmp(type, "stop")) {
		let_go(w, "released");
		leave(w);
	} else if (!strcmp(type, "release") || !strcmp(type, "cancel")) {
		let_go(w, type[0] == 'c' ? "cancelled" : "released");
	}
	json_decref(message);
}

static void hello(struct worker *w)
{
	char token[128] = "", line[1024];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	FILE *file = fopen(w->token_file, "r");
	if (!file || !fgets(token, sizeof(token), file))
		exit(1);
	fclose(file);
	token[strcspn(token, "\n")] = '\0';
	strncpy(address.sun_path, w->socket_path, sizeof(address.sun_path) - 1);
	w->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	for (double since = now_us(); connect(w->fd, (struct sockaddr *)&address, sizeof(address)) < 0; usleep(1000))
		if (now_us() - since > ALONE_US)
			leave(w);
	int n = snprintf(line, sizeof(line),
			 "{\"type\":\"hello\",\"protocol\":1,\"worker\":%s,\"token\":\"%s\",\"pid\":%d,\"device\":{\"id\":\"%s\","
			 "\"kind\":\"cpu\",\"name\":\"none\",\"bf16\":false,\"threads\":1},\"slots\":1,\"jobs\":[", w->id, token,
			 (int)getpid(), w->device);
	if (is_open(w))
		n += snprintf(line + n, sizeof(line) - (size_t)n, "{\"attempt\":%ld,\"next_seq\":%ld}", w->attempt, w->seq + 1);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "]}\n");
	w->n_in = 0;
	send_all(w, line, (size_t)n);
}

/* false: the stream ended. */
static bool read_lines(struct worker *w)
{
	ssize_t got = read(w->fd, w->in + w->n_in, sizeof(w->in) - w->n_in);
	if (got <= 0)
		return false;
	w->n_in += (size_t)got;
	char *line = w->in, *end;
	while ((end = memchr(line, '\n', w->n_in - (size_t)(line - w->in)))) {
		heed(w, line, (size_t)(end - line));
		line = end + 1;
	}
	w->n_in -= (size_t)(line - w->in);
	memmove(w->in, line, w->n_in);
	return true;
}

int main(int argc, char **argv)
{
	static struct worker w;
	w.program = getenv("INSTANT_PROGRAM");
	w.hold = env_number("INSTANT_HOLD", 0);
	w.window = env_number("INSTANT_WINDOW", 10000);
	w.gaps = calloc(SENT_MAX, sizeof(*w.gaps));
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (!strcmp(name, "--socket"))
			w.socket_path = value;
		else if (!strcmp(name, "--token-file"))
			w.token_file = value;
		else if (!strcmp(name, "--worker"))
			w.id = value;
		else if (!strcmp(name, "--device"))
			w.device = value;
	}
	if (!w.socket_path || !w.token_file || !w.id || !w.device || !w.gaps)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	hello(&w);
	for (;;) {
		struct pollfd poll_one = {.fd = w.fd, .events = POLLIN};
		if (poll(&poll_one, 1, HEARTBEAT_MS) == 0)
			send_all(&w, "{\"type\":\"heartbeat\"}\n", 21);
		else if (!read_lines(&w)) {
			close(w.fd);
			hello(&w);
		}
	}
}
