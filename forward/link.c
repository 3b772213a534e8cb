/* See link.h. */
#include "link.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/lines.h"
#include "common/log.h"
#include "common/protocol.h"

#include <math.h>

#define RECONNECT_MS 500

struct connection { /* one try; freed by its close callback */
	uv_pipe_t pipe;
	uv_connect_t connect;
	struct link *link; /* NULL: given up */
	struct lines lines;
	char bytes[16384];
};

struct link {
	uv_loop_t *loop;
	char *path;
	struct link_events events;
	struct connection *connection;
	uv_timer_t timer;
	bool welcomed, closed;
	bool waiting; /* for an answer */
	link_answered answered;
	void *arg;
	double lost_s;
};

struct out_line {
	uv_write_t request;
	char *text;
};

static void on_freed(uv_handle_t *handle)
{
	struct connection *c = handle->data;
	lines_fini(&c->lines);
	free(c);
}

static void answer(struct link *link, const json_t *message)
{
	link_answered answered = link->answered;
	link->waiting = false;
	link->answered = NULL;
	if (answered)
		answered(link->arg, message);
}

static void on_timer(uv_timer_t *timer);

/* Gives the connection up and tries again later. */
static void drop(struct connection *c)
{
	struct link *link = c->link;
	if (!link)
		return;
	bool was_there = link->welcomed;
	c->link = NULL;
	link->connection = NULL;
	link->welcomed = false;
	uv_close((uv_handle_t *)&c->pipe, on_freed);
	if (was_there)
		link->lost_s = monotonic_s();
	if (link->waiting)
		answer(link, NULL);
	if (link->closed)
		return;
	uv_timer_start(&link->timer, on_timer, RECONNECT_MS, 0);
	if (was_there)
		link->events.lost(link->events.arg);
}

static void on_written(uv_write_t *request, int status)
{
	struct out_line *out = (struct out_line *)request;
	struct connection *c = request->data;
	free(out->text);
	free(out);
	if (status < 0)
		drop(c);
}

static void send_line(struct connection *c, json_t *message)
{
	autojson json_t *owned = message;
	autofree char *text = json_line(owned);
	struct out_line *out = xcalloc(1, sizeof(*out));
	out->text = xasprintf("%s\n", text);
	out->request.data = c;
	uv_buf_t buf = uv_buf_init(out->text, (unsigned)strlen(out->text));
	int r = uv_write(&out->request, (uv_stream_t *)&c->pipe, &buf, 1, on_written);
	if (r < 0) {
		free(out->text);
		free(out);
		drop(c);
	}
}

/* The first answer is to our hello. */
static void take_hello(struct link *link, const json_t *message)
{
	if (!json_bool_or(message, "ok", false)) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_ERROR, "sweepd: %s", json_str_or(message, "error", "refused"));
		drop(link->connection);
		return;
	}
	link->welcomed = true;
	link->lost_s = NAN;
	link->events.connected(link->events.arg);
	if (link->welcomed)
		link->events.committed(link->events.arg, json_int_or(message, "event", 0));
}

static void take_message(struct link *link, const json_t *message)
{
	if (str_eq(json_str_or(message, "type", ""), "event"))
		link->events.committed(link->events.arg, json_int_or(message, "id", 0));
	else if (str_eq(json_str_or(message, "type", ""), "stop"))
		link->events.stop(link->events.arg);
	else if (!link->welcomed)
		take_hello(link, message);
	else if (link->waiting)
		answer(link, message);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct connection *c = handle->data;
	*buf = uv_buf_init(c->bytes, sizeof(c->bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = stream->data;
	char *line;
	size_t size;
	if (n < 0 || lines_feed(&c->lines, buf->base, (size_t)n, NULL) < 0) {
		drop(c);
		return;
	}
	while (c->link && (line = lines_next(&c->lines, &size))) {
		autojson json_t *message = json_parse(line, size, NULL);
		if (json_is_object(message))
			take_message(c->link, message);
		else
			drop(c);
	}
}

static void on_connected(uv_connect_t *request, int status)
{
	struct connection *c = request->data;
	if (!c->link)
		return;
	if (status < 0 || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0) {
		drop(c);
		return;
	}
	send_line(c, json_pack("{s:s}", "verb", "forward"));
}

static void on_timer(uv_timer_t *timer)
{
	struct link *link = timer->data;
	struct connection *c = xcalloc(1, sizeof(*c));
	c->link = link;
	c->connect.data = c;
	lines_init(&c->lines, CONTROL_LINE_MAX);
	uv_pipe_init(link->loop, &c->pipe, 0);
	c->pipe.data = c;
	link->connection = c;
	uv_pipe_connect(&c->connect, &c->pipe, link->path, on_connected);
}

struct link *link_new(uv_loop_t *loop, const char *control_path, const struct link_events *events)
{
	struct link *link = xcalloc(1, sizeof(*link));
	link->loop = loop;
	link->path = xstrdup(control_path);
	link->events = *events;
	link->lost_s = monotonic_s();
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	uv_timer_start(&link->timer, on_timer, 0, 0);
	return link;
}

bool link_is_free(const struct link *link)
{
	return link->welcomed && !link->waiting;
}

void link_send(struct link *link, json_t *message, link_answered answered, void *arg)
{
	link->waiting = true;
	link->answered = answered;
	link->arg = arg;
	send_line(link->connection, message);
}

double link_lost_since_s(const struct link *link)
{
	return link->welcomed ? NAN : link->lost_s;
}

void link_close(struct link *link)
{
	if (link->closed)
		return;
	link->closed = true;
	link->answered = NULL;
	if (link->connection)
		drop(link->connection);
	uv_close((uv_handle_t *)&link->timer, NULL);
}

void link_free(struct link *link)
{
	if (!link)
		return;
	free(link->path);
	free(link);
}
