/* One connection of a client or a worker: JSON lines in, JSON lines out, both bounded.  A bad line or a reader too slow
 * for PEER_BACKLOG_MAX costs the connection, nothing else (invariant 9). */
#pragma once

#include "common/lines.h"

#include <jansson.h>
#include <sys/types.h>
#include <uv.h>

#define PEER_BACKLOG_MAX (1024 * 1024)
#define PEER_LIST_MAX	 256 /* connections; more are turned away */

struct peer;

struct peer_events {
	/* A line's object, borrowed.  < 0: the line is bad, err says why, the connection ends. */
	int (*message)(struct peer *peer, const json_t *message, struct err *err);
	/* The connection is over; the peer is freed afterwards. */
	void (*closed)(struct peer *peer);
};

struct peer {
	uv_pipe_t pipe;
	const struct peer_events *events;
	void *owner; /* of events */
	struct lines lines;
	uid_t uid;   /* of the process behind it (SO_PEERCRED) */
	pid_t pid;
	bool closing;
	bool refused; /* it ended because of what it sent */
	struct peer_list *list;
	struct peer *next, **prev; /* in list */
};

struct peer_list {
	struct peer *first;
	size_t n;
	bool paused; /* nobody is read: the store cannot take anything */
};

/* Accepts from a listening pipe into list. */
int peer_accept(struct peer_list *list, uv_stream_t *listener, size_t line_max, const struct peer_events *events,
		void *owner, struct err *err);
/* Queues one line.  Consumes message.  Nothing happens once the peer is closing.  May end the peer (a full backlog). */
void peer_send(struct peer *peer, json_t *message);
/* Flushes what is queued and ends; safe to call twice. */
void peer_close(struct peer *peer);
/* Ends at once; safe to call twice. */
void peer_end(struct peer *peer);
/* Ends at once because of what it sent: logs why. */
void peer_refuse(struct peer *peer, const char *why);
/* Stops or goes on reading from everybody in the list. */
void peer_list_pause(struct peer_list *list, bool pause);
