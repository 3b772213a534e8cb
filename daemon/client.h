/* What is known of one connection on the control socket. */
#pragma once

#include "daemon.h"

struct client {
	struct daemon *daemon;
	struct peer *peer;   /* NULL once the connection is over: answers then go nowhere */
	unsigned references; /* the connection, and every request of it under way */
	bool follows;	     /* it asked to watch: watch.h */
	bool forwards;	     /* it is sweep-forward: forward.h; told of events alone */
};

static inline struct client *client_of(struct peer *peer)
{
	return peer->owner;
}
struct client *client_ref(struct client *client);
void client_unref(struct client *client);
/* {"ok": true, ...answer}.  Consumes answer (may be NULL). */
void client_answer(struct client *client, json_t *answer);
/* {"ok": false, "code", "error", ...}. */
void client_refuse(struct client *client, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
