/* See watch.h. */
#include "watch.h"

#include "client.h"

static void publish(struct daemon *d, const json_t *line, bool forwarders)
{
	struct peer *next;
	for (struct peer *p = d->clients.first; p; p = next) {
		next = p->next; /* a slow one is dropped */
		if (client_of(p)->follows || (forwarders && client_of(p)->forwards))
			peer_send(p, json_incref((json_t *)line));
	}
}

void watch_publish_progress(struct daemon *d, int64_t job, const char *device, const json_t *progress)
{
	json_t *line = json_copy((json_t *)progress);
	json_object_set_new(line, "job", json_integer(job));
	json_object_set_new(line, "device", json_string(device));
	publish(d, line, false);
	json_decref(line);
}

void watch_publish_event(struct daemon *d, int64_t event_id)
{
	json_t *line = json_pack("{s:s, s:I}", "type", "event", "id", (json_int_t)event_id);
	publish(d, line, true);
	json_decref(line);
}
