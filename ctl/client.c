/* The control socket from the client's side; see client.h. */
#include "ctl/client.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/protocol.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int client_connect(struct client *c, const struct paths *paths, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int fd = -1;

	if (strlen(paths->control) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: a socket path has at most 107 bytes", paths->control);
	strcpy(address.sun_path, paths->control);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		bool nobody = errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED;
		return err_sys(err, nobody ? -ENOTCONN : -errno, "%s", paths->control);
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, -errno, "%s", paths->control);
	*c = (struct client){.fd = steal_fd(&fd)};
	lines_init(&c->lines, CONTROL_LINE_MAX);
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	lines_fini(&c->lines);
}

/* Waits until the socket can do `events`. */
static int wait_for(struct client *c, short events, double deadline_s, struct err *err)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		double left_s = deadline_s - monotonic_s();
		int n = poll(&p, 1, left_s > 0 ? (int)(left_s * 1000) + 1 : 0);
		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(err, -ETIMEDOUT, "sweepd does not answer");
		if (errno != EINTR)
			return err_sys(err, -errno, "poll");
	}
}

int client_send(struct client *c, const json_t *request, struct err *err)
{
	autofree char *line = json_line(request);
	size_t size = strlen(line), at = 0;
	double deadline_s = monotonic_s() + CLIENT_SILENCE_MS / 1000.0;

	if (size >= CONTROL_LINE_MAX)
		return err_set(err, -EMSGSIZE, "the request has %zu bytes; sweepd takes %d", size, CONTROL_LINE_MAX);
	line[size++] = '\n'; /* the NUL is not sent */
	while (at < size) {
		ssize_t n = send(c->fd, line + at, size - at, MSG_NOSIGNAL);
		if (n >= 0) {
			at += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_sys(err, -errno, "sweepd");
		int e = wait_for(c, POLLOUT, deadline_s, err);
		if (e < 0)
			return e;
	}
	return 0;
}

int client_poll(struct client *c, json_t **ret, struct err *err)
{
	char bytes[65536];
	size_t size;

	for (;;) {
		char *line = lines_next(&c->lines, &size);
		if (line) {
			json_t *object = json_parse(line, size, err);
			if (!json_is_object(object)) {
				json_decref(object);
				return err_set(err, -EPROTO, "sweepd answered with something that is no JSON object");
			}
			*ret = object;
			return 1;
		}
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
		if (n == 0)
			return err_set(err, -ECONNRESET, "sweepd closed the connection");
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(err, -errno, "sweepd");
		int e = n > 0 ? lines_feed(&c->lines, bytes, (size_t)n, err) : 0;
		if (e < 0)
			return e;
	}
}

int client_wait(struct client *c, int timeout_ms, json_t **ret, struct err *err)
{
	double deadline_s = monotonic_s() + timeout_ms / 1000.0;

	for (;;) {
		int e = client_poll(c, ret, err);
		if (e != 0)
			return e < 0 ? e : 0;
		e = wait_for(c, POLLIN, deadline_s, err);
		if (e < 0)
			return e;
	}
}

int client_ask(const struct paths *paths, json_t *request, int timeout_ms, json_t **ret, struct err *err)
{
	autojson json_t *mine = request;
	struct client c = {.fd = -1};
	int e = client_connect(&c, paths, err);

	if (e < 0)
		return e;
	e = client_send(&c, mine, err);
	if (e == 0)
		e = client_wait(&c, timeout_ms, ret, err);
	client_close(&c);
	return e;
}

int client_peer_pid(const struct client *c)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? 0 : peer.pid;
}
