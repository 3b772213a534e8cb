/* See peer.h. */
#include "peer.h"

#include "common/json.h"
#include "common/log.h"

#include <sys/socket.h>
#include <unistd.h>

struct out_line {
	uv_write_t request;
	char *text;
};

static void on_freed(uv_handle_t *handle)
{
	struct peer *peer = handle->data;
	lines_fini(&peer->lines);
	free(peer);
}

void peer_end(struct peer *peer)
{
	if (uv_is_closing((uv_handle_t *)&peer->pipe))
		return;
	peer->closing = true;
	*peer->prev = peer->next;
	if (peer->next)
		peer->next->prev = peer->prev;
	peer->list->n--;
	peer->events->closed(peer);
	uv_close((uv_handle_t *)&peer->pipe, on_freed);
}

void peer_refuse(struct peer *peer, const char *why)
{
	static struct log_rate rate;
	log_seldom(&rate, LOG_LEVEL_WARN, "connection of pid %d, uid %u ended: %s", (int)peer->pid, (unsigned)peer->uid, why);
	peer->refused = true;
	peer_end(peer);
}

static void on_written(uv_write_t *request, int status)
{
	struct out_line *out = (struct out_line *)request;
	struct peer *peer = request->data;
	free(out->text);
	free(out);
	if (status < 0)
		peer_end(peer);
	else if (peer->closing && peer->pipe.write_queue_size == 0)
		peer_end(peer);
}

void peer_send(struct peer *peer, json_t *message)
{
	autojson json_t *owned = message;
	INVARIANT(owned, "a message that is not UTF-8");
	if (peer->closing)
		return;
	if (peer->pipe.write_queue_size > PEER_BACKLOG_MAX) {
		peer_refuse(peer, "it does not read what it asked for");
		return;
	}
	autofree char *text = json_line(owned);
	struct out_line *out = xcalloc(1, sizeof(*out));
	out->text = xasprintf("%s\n", text);
	out->request.data = peer;
	uv_buf_t buf = uv_buf_init(out->text, (unsigned)strlen(out->text));
	int r = uv_write(&out->request, (uv_stream_t *)&peer->pipe, &buf, 1, on_written);
	if (r < 0) {
		free(out->text);
		free(out);
		peer_end(peer);
	}
}

void peer_close(struct peer *peer)
{
	if (peer->closing)
		return;
	peer->closing = true;
	uv_read_stop((uv_stream_t *)&peer->pipe);
	if (peer->pipe.write_queue_size == 0)
		peer_end(peer);
}

static void take_lines(struct peer *peer)
{
	char *line;
	size_t size;
	struct err err;
	while (!peer->closing && (line = lines_next(&peer->lines, &size))) {
		autojson json_t *message = json_parse(line, size, &err);
		if (message && !json_is_object(message))
			err_set(&err, -EINVAL, "a line that is not a JSON object");
		if (!json_is_object(message) || peer->events->message(peer, message, &err) < 0) {
			if (!peer->closing)
				peer_refuse(peer, err.text);
			return;
		}
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char bytes[65536]; /* one loop, one thread: used up before the next read */
	*buf = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct peer *peer = stream->data;
	struct err err;
	if (n < 0) {
		peer_end(peer);
		return;
	}
	if (lines_feed(&peer->lines, buf->base, (size_t)n, &err) < 0) {
		peer_refuse(peer, err.text);
		return;
	}
	take_lines(peer);
}

static void read_credentials(struct peer *peer)
{
	uv_os_fd_t fd;
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t size = sizeof(cred);
	if (uv_fileno((uv_handle_t *)&peer->pipe, &fd) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size);
	peer->uid = cred.uid;
	peer->pid = cred.pid;
}

int peer_accept(struct peer_list *list, uv_stream_t *listener, size_t line_max, const struct peer_events *events,
		void *owner, struct err *err)
{
	struct peer *peer = xcalloc(1, sizeof(*peer));
	peer->events = events;
	peer->owner = owner;
	lines_init(&peer->lines, line_max);
	uv_pipe_init(listener->loop, &peer->pipe, 0);
	peer->pipe.data = peer;
	int r = uv_accept(listener, (uv_stream_t *)&peer->pipe);
	if (r < 0) {
		uv_close((uv_handle_t *)&peer->pipe, on_freed);
		return err_set(err, r, "cannot accept a connection: %s", uv_strerror(r));
	}
	if (list->n >= PEER_LIST_MAX) {
		uv_close((uv_handle_t *)&peer->pipe, on_freed);
		return err_set(err, -EMFILE, "more than %d connections; one was turned away", PEER_LIST_MAX);
	}
	read_credentials(peer);
	peer->list = list;
	list->n++;
	peer->next = list->first;
	peer->prev = &list->first;
	if (list->first)
		list->first->prev = &peer->next;
	list->first = peer;
	if (!list->paused)
		uv_read_start((uv_stream_t *)&peer->pipe, on_alloc, on_read);
	return 0;
}

void peer_list_pause(struct peer_list *list, bool pause)
{
	list->paused = pause;
	for (struct peer *p = list->first; p; p = p->next) {
		if (pause)
			uv_read_stop((uv_stream_t *)&p->pipe);
		else if (!p->closing)
			uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
	}
}
