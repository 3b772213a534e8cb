/* The connection to sweepd, shared by link.c (whom it talks to, what it hears) and link_send.c. */
#pragma once

#include "link.h"

#include "common/json.h"
#include "common/lines.h"
#include "common/protocol.h"

/* Room for a batch of events (WORKER_LINE_MAX) beside the small lines; those are dropped when there is none. */
#define OUT_SIZE (2 * WORKER_LINE_MAX)

struct place {
	struct slot *slot;
	json_t *held; /* a `run` that a full disk had no room for: tried again */
	off_t sent;   /* of the slot's event file */
};

struct link {
	const struct link_config *config;
	const struct slot_device *devices;
	struct place places[SLOTS_MAX];
	int n_places;
	int socket, wake_fd, signal_fd;
	bool welcomed; /* hello is answered: events may flow */
	bool stopping;
	struct lines lines;
	char *out; /* bytes to send: [0, out_used) */
	size_t out_used;
	double heard_s;	    /* when sweepd was last heard, or its welcomed connection ended */
	double tried_s;	    /* last connect() */
	double heartbeat_s; /* last one sent */
};

#define for_places(l, p) for (struct place *p = (l)->places; p < (l)->places + (l)->n_places; p++)

/* One line, on its way by the next link_send_news(); dropped where there is no room.  message: consumed. */
void link_send(struct link *l, json_t *message);
/* Whatever is new since the last time, as far as the socket takes it. */
void link_send_news(struct link *l);
/* Then nothing is said any more: this process ends, and sweepd reads the rest in the files, so that it sends no other job in
 * between. */
bool link_has_lost_device(struct link *l);
void link_disconnect(struct link *l, const char *why);
