/* libFuzzer: any bytes on the sockets of a whole sweepd, which runs in a thread.  The first byte says where: on the
 * control socket, on the worker socket before hello, or after the hello of a worker that trains (then @ stands for its
 * attempt and # for the next seq, so that bytes can be events that count).
 *
 * Whatever they are: the connection is ended or answered with lines of JSON, and sweepd goes on; that a `stop` among
 * them ends it is heeded.  Its worker is a process that sleeps; the harness speaks for it. */
#include "fuzz.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/lines.h"
#include "common/log.h"
#include "common/protocol.h"
#include "daemon/daemon.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUTS_EACH 4000 /* of one sweepd; then a new one with an empty store */
#define ANSWER_MS   20000

static const char worker_script[] = "#!/bin/sh\necho $6 >\"$(dirname \"$0\")/id\"\nexec sleep 100000\n";

static struct {
	pthread_t thread;
	bool runs;
	int inputs, code;
	char *script;
	int64_t attempt, seq; /* of the worker's job: known once it was told */
} d;

static void *run_daemon(void *arg)
{
	const struct daemon_options options = {
		.dir = fuzz_dir(), .worker_program = d.script, .n_devices = 1, .threads = 1, .ready_fd = (int)(intptr_t)arg,
		.retry_ms = 1, .ask_ms = 20, .drain_ms = 20, .heartbeat_lost_ms = 86400000, .adopt_ms = 86400000,
		.busy_ms = 1000, .stall_ms = 86400000, .stall_factor = 1, .device_faults = 1000};
	d.code = daemon_run(&options);
	return NULL;
}

static int dial(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", fuzz_dir(), name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	INVARIANT(fd >= 0, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What comes until a line begins so (NULL: until the end); checked.  False: the end came first. */
static bool hear(int fd, const char *start, void (*heed)(const json_t *line))
{
	struct lines lines;
	struct err err;
	char buf[4096], *line;
	size_t size;
	bool found = false, end = false;
	lines_init(&lines, CONTROL_LINE_MAX);
	while (!found && !end) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready;
		while ((ready = poll(&p, 1, ANSWER_MS)) < 0 && errno == EINTR)
			; /* libFuzzer's alarm */
		INVARIANT(ready == 1, "sweepd says nothing");
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		end = n <= 0;
		if (!end)
			lines_feed(&lines, buf, (size_t)n, &err);
		while ((line = lines_next(&lines, &size))) {
			autojson json_t *message = json_parse(line, size, &err);
			INVARIANT(json_is_object(message), "sweepd said %s", line);
			if (heed)
				heed(message);
			found |= start && strncmp(line, start, strlen(start)) == 0;
		}
	}
	lines_fini(&lines);
	return found;
}

static void say(int fd, const void *bytes, size_t size)
{
	for (size_t at = 0; at < size;) { /* it may have ended the connection */
		ssize_t n = send(fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

static void ask(const char *request)
{
	int fd = dial("control.sock");
	if (fd < 0) /* the last input was a stop, too */
		return;
	say(fd, request, strlen(request));
	hear(fd, "{\"ok\"", NULL);
	close(fd);
}

static void stop(void)
{
	if (!d.runs)
		return;
	ask("{\"verb\":\"stop\"}\n");
	pthread_join(d.thread, NULL);
	INVARIANT(d.code == EXIT_OK, "sweepd ended with %d", d.code);
	d.runs = false;
}

static void start(void)
{
	int fds[2];
	char byte;
	fuzz_dir(); /* before atexit(): its removal comes last */
	fuzz_clear();
	if (!d.script) {
		log_set_level(LOG_LEVEL_ERROR);
		atexit(stop);
	}
	free(d.script);
	d.script = xasprintf("%s/worker", fuzz_dir());
	fuzz_write("worker", worker_script, strlen(worker_script));
	INVARIANT(chmod(d.script, 0700) == 0 && pipe(fds) == 0, "start");
	INVARIANT(pthread_create(&d.thread, NULL, run_daemon, (void *)(intptr_t)fds[1]) == 0, "pthread_create");
	INVARIANT(read(fds[0], &byte, 1) == 1, "sweepd did not start");
	close(fds[0]);
	d.runs = true;
	d.inputs = 0;
	d.attempt = 0;
	ask("{\"verb\":\"submit\",\"text\":\"{parameters: {seed: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}\"}\n");
}

/* --- as the worker --- */

static void heed(const json_t *message)
{
	const char *type = json_str_or(message, "type", "");
	json_t *ack = json_array_get(json_object_get(message, "acks"), 0);
	if (str_eq(type, "run")) {
		d.attempt = json_int_or(message, "attempt", 0);
		d.seq = 0;
	}
	if (json_int_or(ack, "attempt", 0) == d.attempt)
		d.seq = MAX(d.seq, json_int_or(ack, "seq", 0));
}

static bool say_hello(int fd)
{
	autofree char *id_file = xasprintf("%s/id", fuzz_dir()), *token_file = xasprintf("%s/worker.token", fuzz_dir());
	autofree char *id = NULL;
	autofree char *token = NULL;
	if (fs_read_file(id_file, 64, &id, NULL, NULL) < 0 || fs_read_file(token_file, 128, &token, NULL, NULL) < 0)
		return false; /* its process has not started yet */
	autofree char *hello = xasprintf(
		"{\"type\":\"hello\",\"protocol\":1,\"worker\":%ld,\"token\":\"%.64s\",\"jobs\":[{\"attempt\":%lld}]}\n",
		strtol(id, NULL, 10), token, (long long)d.attempt);
	say(fd, hello, strlen(hello));
	return hear(fd, "{\"type\":\"welcome\"", heed);
}

static void say_as_worker(int fd, const uint8_t *bytes, size_t size)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	INVARIANT(f, "open_memstream");
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '@')
			fprintf(f, "%lld", (long long)d.attempt);
		else if (bytes[i] == '#')
			fprintf(f, "%lld", (long long)++d.seq);
		else
			fputc(bytes[i], f);
	}
	fclose(f);
	say(fd, text, n);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	if (d.inputs++ >= INPUTS_EACH)
		stop();
	int where = bytes[0] % 3, fd = d.runs ? dial(where ? "worker.sock" : "control.sock") : -1;
	if (fd < 0) { /* told to stop by the last input, or never started */
		stop();
		start();
		fd = dial(where ? "worker.sock" : "control.sock");
		INVARIANT(fd >= 0, "sweepd does not listen");
	}
	if (where == 2 && say_hello(fd))
		say_as_worker(fd, bytes + 1, size - 1);
	else
		say(fd, bytes + 1, size - 1);
	shutdown(fd, SHUT_WR);
	hear(fd, NULL, where == 2 ? heed : NULL);
	close(fd);
	return 0;
}
