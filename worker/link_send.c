/* What goes to sweepd: progress, heartbeats, and the events as they lie in their files.  See link.h. */
#include "link_internal.h"

#include "common/clock.h"

#include <sys/socket.h>

void link_send(struct link *l, json_t *message)
{
	autojson json_t *owned = message;
	autofree char *text = json_line(owned);
	size_t size = strlen(text);
	if (l->out_used + size + 1 > OUT_SIZE)
		return;
	memcpy(l->out + l->out_used, text, size);
	l->out[l->out_used + size] = '\n';
	l->out_used += size + 1;
}

static void queue_progress(struct link *l, struct place *place)
{
	struct train_progress p;
	struct event_log *events = slot_events(place->slot);
	if (!l->welcomed || !events || !slot_progress(place->slot, &p))
		return;
	json_t *o = json_pack("{s:s, s:I, s:i, s:I, s:I, s:s}", "type", "progress", "attempt",
			      (json_int_t)event_log_attempt(events), "epoch", p.epoch, "step", (json_int_t)p.step,
			      "steps", (json_int_t)p.steps, "phase", p.testing ? "test" : "train");
	json_object_set_new(o, "train_loss", json_num(p.train_loss));
	json_object_set_new(o, "images_per_second", json_num(p.images_per_second));
	link_send(l, o);
}

/* The next stretch of the event file, once what came before is on its way. */
static void queue_events(struct link *l, struct place *p)
{
	struct event_log *events = slot_events(p->slot);
	if (!l->welcomed || !events || l->out_used > OUT_SIZE - WORKER_LINE_MAX)
		return;
	ssize_t n = event_log_read(events, p->sent, l->out + l->out_used, OUT_SIZE - l->out_used);
	if (n <= 0)
		return;
	l->out_used += (size_t)n;
	p->sent += n;
}

bool link_has_lost_device(struct link *l)
{
	for_places(l, p)
		if (slot_has_lost_device(p->slot))
			return true;
	return false;
}

/* False: there was nothing new. */
static bool queue_all_events(struct link *l)
{
	bool any = false;
	for_places(l, p) {
		off_t before = p->sent;
		queue_events(l, p);
		any |= p->sent != before;
	}
	return any;
}

static void queue_heartbeat(struct link *l)
{
	double now = monotonic_s();
	if (now - l->heartbeat_s < HEARTBEAT_MS / 1000.0)
		return;
	l->heartbeat_s = now;
	link_send(l, json_pack("{s:s}", "type", "heartbeat"));
}

static void transmit(struct link *l)
{
	ssize_t n = send(l->socket, l->out, l->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		link_disconnect(l, strerror(errno));
	if (n <= 0)
		return;
	l->out_used -= (size_t)n;
	memmove(l->out, l->out + n, l->out_used);
}

void link_send_news(struct link *l)
{
	bool any = true;
	for_places(l, p)
		queue_progress(l, p);
	queue_heartbeat(l);
	while (l->socket >= 0 && any) {
		size_t before = l->out_used;
		any = queue_all_events(l);
		if (link_has_lost_device(l)) /* asked after the files were read: it is set before they say it */
			l->out_used = before;
		any = any && l->out_used != before;
		transmit(l);
		any = any && l->out_used == 0;
	}
}
