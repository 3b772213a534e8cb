/* The connection to sweepd's control socket: tells when rows are committed, takes reports and requests.  It connects again
 * by itself for ever; what is known meanwhile waits with the caller. */
#pragma once

#include "common/base.h"

#include <jansson.h>
#include <uv.h>

struct link;

struct link_events {
	void (*connected)(void *arg);		      /* also again: everything that is not acknowledged is said anew */
	void (*committed)(void *arg, int64_t event); /* rows up to that event are there */
	void (*lost)(void *arg);
	void (*stop)(void *arg); /* sweepd ends, for good */
	void *arg;
};

struct link *link_new(uv_loop_t *loop, const char *control_path, const struct link_events *events);
/* Whether a message may be sent now: connected, and the last one is answered. */
bool link_is_free(const struct link *link);
/* answered: once, with the answer, or NULL when the connection went first.  Consumes message.  Only when link_is_free(). */
typedef void (*link_answered)(void *arg, const json_t *answer);
void link_send(struct link *link, json_t *message, link_answered answered, void *arg);
/* Seconds (monotonic) since when there is no connection; NAN: there is one. */
double link_lost_since_s(const struct link *link);
void link_close(struct link *link);
void link_free(struct link *link); /* after the loop has run the close callbacks; accepts NULL */
