/* See link.h. */
#include "link_internal.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/lines.h"
#include "common/protocol.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_MS 500

static void wake(void *arg)
{
	struct link *l = arg;
	uint64_t one = 1;
	ssize_t n = write(l->wake_fd, &one, sizeof(one));
	(void)n; /* EAGAIN: it is awake already */
}

void link_disconnect(struct link *l, const char *why)
{
	if (l->socket < 0)
		return;
	fprintf(stderr, "connection to sweepd ended: %s\n", why);
	if (l->welcomed)
		l->heard_s = monotonic_s();
	close(l->socket);
	l->socket = -1;
	l->welcomed = false;
	l->out_used = 0;
	lines_fini(&l->lines);
	lines_init(&l->lines, CONTROL_LINE_MAX);
}

static int send_hello(struct link *l, struct err *err)
{
	autofree char *token = NULL;
	int r = fs_read_file(l->config->token_file, 4096, &token, NULL, err);
	if (r < 0)
		return r;
	token[strcspn(token, "\n")] = '\0';
	struct device_info info;
	const struct slot_device *first = l->devices;
	first->backend->info(first->device, &info);
	json_t *jobs = json_array();
	for_places(l, p) {
		struct event_log *events = slot_events(p->slot);
		if (events)
			json_array_append_new(jobs, json_pack("{s:I, s:I}", "attempt", (json_int_t)event_log_attempt(events),
							      "next_seq", (json_int_t)event_log_last_seq(events) + 1));
	}
	json_t *device = json_pack("{s:s, s:s, s:s, s:b, s:i}", "id", l->config->device_id, "kind",
				   str_eq(first->backend->name, "cuda") ? "cuda" : "cpu", "name", info.name, "bf16",
				   info.amp && str_eq(info.amp, "bf16"), "threads", first->threads * l->n_places);
	link_send(l, json_pack("{s:s, s:i, s:I, s:s, s:I, s:o, s:i, s:o}", "type", "hello", "protocol",
			       PROTOCOL_VERSION, "worker", (json_int_t)l->config->worker, "token", token, "pid",
			       (json_int_t)getpid(), "device", device, "slots", l->n_places, "jobs", jobs));
	return 0;
}

/* Connects and says hello; 0 also when nobody is there yet, or no longer: it is tried again. */
static int try_connect(struct link *l, struct err *err)
{
	l->tried_s = monotonic_s();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(l->config->socket_path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", l->config->socket_path,
			       sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, l->config->socket_path);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, -errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return 0;
	int r = send_hello(l, err);
	if (r < 0)
		return r;
	l->socket = steal_fd(&fd);
	l->heartbeat_s = l->tried_s;
	return 0;
}

/* The same for a worker that was connected before: whatever is wrong now may be right later. */
static void reconnect(struct link *l)
{
	struct err err;
	if (monotonic_s() - l->tried_s >= RETRY_MS / 1000.0 && try_connect(l, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
}

/* Where the attempt is that the message speaks of, or NULL. */
static struct place *place_of(struct link *l, const json_t *message)
{
	for_places(l, p) {
		struct event_log *events = slot_events(p->slot);
		if (events && json_int_or(message, "attempt", -1) == event_log_attempt(events))
			return p;
	}
	return NULL;
}

static void fence(struct place *p)
{
	event_log_fence(slot_events(p->slot));
	atomic_store(&slot_control(p->slot)->fence, true);
}

static void take_acks(struct link *l, const json_t *message, bool rewind)
{
	size_t i;
	json_t *ack;
	for_places(l, p)
		p->sent = rewind ? 0 : p->sent;
	json_array_foreach(json_object_get(message, "acks"), i, ack) {
		struct place *p = place_of(l, ack);
		if (!p)
			continue;
		struct event_log *events = slot_events(p->slot);
		uint64_t seq = (uint64_t)json_int_or(ack, "seq", 0);
		if (rewind)
			p->sent = event_log_seek(events, seq);
		if (event_log_ended(events) && seq >= event_log_last_seq(events))
			slot_forget(p->slot);
	}
}

static void begin_stop(struct link *l)
{
	l->stopping = true;
	for_places(l, p)
		atomic_store(&slot_control(p->slot)->release, RELEASE_STOP);
}

/* One that is empty, else one whose job has ended: sweepd knows that, or it would not send another.  Its thread may still be
 * about to end. */
static struct place *free_place(struct link *l)
{
	struct place *over = NULL;
	for_places(l, p) {
		struct event_log *events = slot_events(p->slot);
		if (!events && !p->held)
			return p;
		if (events && event_log_ended(events) && (!over || slot_training(over->slot)))
			over = p;
	}
	return over;
}

static int start_at(struct link *l, struct place *p, const json_t *message, struct err *err)
{
	slot_forget(p->slot);
	p->sent = 0;
	int r = slot_start(p->slot, message, err);
	if (r == 0 && l->stopping)
		begin_stop(l);
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	fprintf(stderr, "%s; trying again\n", err->text);
	p->held = json_incref((json_t *)message);
	return 0;
}

static int start_job(struct link *l, const json_t *message, struct err *err)
{
	struct place *p = free_place(l);
	if (!p)
		return err_set(err, -EPROTO, "sweepd sent a job to a worker that trains as many as it can");
	return start_at(l, p, message, err);
}

static int start_held(struct link *l, struct err *err)
{
	int r = 0;
	for_places(l, p) {
		autojson json_t *message = steal_ptr(p->held);
		if (r == 0 && message && !l->stopping)
			r = start_at(l, p, message, err);
	}
	return r;
}

static enum release_why release_of(const char *why)
{
	for (int i = RELEASE_STOP; i < N_RELEASE_WHYS; i++)
		if (str_eq(release_names[i], why))
			return (enum release_why)i;
	return RELEASE_STOP;
}

static int take_message(struct link *l, const json_t *message, struct err *err)
{
	const char *type = json_str_or(message, "type", "");
	struct place *ours = place_of(l, message);
	struct train_control *control = ours ? slot_control(ours->slot) : NULL;
	if (str_eq(type, "run"))
		return start_job(l, message, err);
	for_places(l, p)
		if (str_eq(type, "fence") && json_int_or(message, "attempt", -1) == json_int_or(p->held, "attempt", 0))
			json_decref(steal_ptr(p->held));
	if (str_eq(type, "welcome")) {
		take_acks(l, message, true);
		l->welcomed = true;
	} else if (str_eq(type, "ack")) {
		take_acks(l, message, false);
	} else if (str_eq(type, "stop")) {
		begin_stop(l);
	} else if (str_eq(type, "fence") && ours) {
		fence(ours);
	} else if (str_eq(type, "cancel") && ours) {
		atomic_store(&control->cancel, true);
	} else if (str_eq(type, "checkpoint") && ours) {
		atomic_store(&control->checkpoint, true);
	} else if (str_eq(type, "release") && ours) {
		atomic_store(&control->release, release_of(json_str_or(message, "why", "")));
	}
	return 0;
}

static int take_lines(struct link *l, struct err *err)
{
	char *line;
	size_t size;
	while ((line = lines_next(&l->lines, &size))) {
		autojson json_t *message = json_parse(line, size, err);
		if (!message)
			return -EPROTO;
		int r = take_message(l, message, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A bad line ends the connection; an error is for what ends the worker. */
static int receive(struct link *l, struct err *err)
{
	char buf[65536];
	ssize_t n = recv(l->socket, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		link_disconnect(l, n < 0 ? strerror(errno) : "closed");
		return 0;
	}
	l->heard_s = monotonic_s();
	struct err bad;
	int r = lines_feed(&l->lines, buf, (size_t)n, &bad);
	if (r == 0)
		r = take_lines(l, &bad);
	if (r == -EPROTO || r == -EMSGSIZE)
		link_disconnect(l, bad.text);
	else if (r < 0)
		return err_set(err, r, "%s", bad.text);
	return 0;
}

static void drain_fd(int fd)
{
	char buf[sizeof(struct signalfd_siginfo)];
	ssize_t n = read(fd, buf, sizeof(buf));
	(void)n;
}

static int serve_once(struct link *l, struct err *err)
{
	struct pollfd fds[] = {
		{.fd = l->wake_fd, .events = POLLIN},
		{.fd = l->signal_fd, .events = POLLIN},
		{.fd = l->socket, .events = (short)(POLLIN | (l->out_used ? POLLOUT : 0))},
	};
	if (poll(fds, ARRAY_LEN(fds), RETRY_MS) < 0 && errno != EINTR)
		return err_sys(err, -errno, "poll");
	if (fds[0].revents)
		drain_fd(l->wake_fd);
	if (fds[1].revents) {
		drain_fd(l->signal_fd);
		begin_stop(l);
	}
	int r = start_held(l, err);
	if (r == 0 && l->socket >= 0 && fds[2].revents & (POLLIN | POLLHUP | POLLERR))
		r = receive(l, err);
	if (r < 0)
		return r;
	if (l->socket < 0)
		reconnect(l);
	else
		link_send_news(l);
	return 0;
}

/* Nothing trains, and whoever should know the outcome does or is gone; a fenced attempt is nobody's. */
static bool may_end(struct link *l)
{
	for_places(l, p) {
		bool told = l->socket < 0 || !slot_events(p->slot) || atomic_load(&slot_control(p->slot)->fence);
		if (slot_training(p->slot) || !told)
			return false;
	}
	return true;
}

static bool any_trains(struct link *l)
{
	for_places(l, p)
		if (slot_training(p->slot))
			return true;
	return false;
}

static void heed_orphanhood(struct link *l)
{
	double alone = l->socket < 0 ? monotonic_s() - l->heard_s : 0;
	double limit = l->config->orphan_timeout_s;
	bool idle = !any_trains(l);
	if (l->stopping || alone < (idle ? MIN(IDLE_ORPHAN_TIMEOUT_S, limit) : limit))
		return;
	fprintf(stderr, "no sweepd for %.0f s: ending\n", alone);
	begin_stop(l);
}

/* Forgets a fenced attempt.  One whose end waits for room on a full disk is tried again each time; one whose end cannot
 * be written would look alive for ever: the worker ends, which says it too. */
static int heed_end(struct place *p, struct err *err)
{
	struct event_log *events = slot_events(p->slot);
	if (!events || !event_log_retry(events) || slot_training(p->slot))
		return 0;
	if (!event_log_ended(events))
		return err_set(err, -EIO, "attempt %lld ended, but its end cannot be recorded",
			       (long long)event_log_attempt(events));
	if (atomic_load(&slot_control(p->slot)->fence))
		slot_forget(p->slot);
	return 0;
}

static int heed_ends(struct link *l, struct err *err)
{
	int r = 0;
	for_places(l, p)
		r = r ? r : heed_end(p, err);
	if (r == 0 && link_has_lost_device(l) && !any_trains(l))
		r = err_set(err, -ENODEV, "this process cannot use %s any more", l->config->device_id);
	return r;
}

static int open_fds(struct link *l, struct err *err)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	l->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->signal_fd < 0 || l->wake_fd < 0)
		return err_sys(err, -errno, "cannot make signalfd and eventfd");
	return 0;
}

int link_serve(const struct link_config *config, const struct slot_device devices[], int n_slots, struct err *err)
{
	struct link l = {.config = config, .devices = devices, .n_places = n_slots, .socket = -1, .wake_fd = -1, .signal_fd = -1};
	int r = open_fds(&l, err);
	if (r < 0)
		goto close_fds;
	lines_init(&l.lines, CONTROL_LINE_MAX);
	l.out = xmalloc(OUT_SIZE);
	for (int i = 0; i < n_slots; i++)
		l.places[i].slot = slot_new(&devices[i], wake, &l);
	l.heard_s = monotonic_s();
	r = try_connect(&l, err);
	while (r == 0 && !(l.stopping && may_end(&l))) {
		r = serve_once(&l, err);
		heed_orphanhood(&l);
		if (r == 0)
			r = heed_ends(&l, err);
	}
	for_places(&l, p) /* after an error of the link: the jobs keep what they have */
		if (slot_training(p->slot))
			atomic_store(&slot_control(p->slot)->release, RELEASE_STOP);
	for_places(&l, p) {
		slot_free(p->slot);
		json_decref(p->held);
	}
	lines_fini(&l.lines);
	free(l.out);
close_fds:
	if (l.socket >= 0)
		close(l.socket);
	if (l.wake_fd >= 0)
		close(l.wake_fd);
	if (l.signal_fd >= 0)
		close(l.signal_fd);
	return r;
}
