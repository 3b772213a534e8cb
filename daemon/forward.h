/* The daemon's side of sweep-forward, which sends runs to Weights & Biases: who may report, what is stored of it, what a
 * press of a button there does, and for a private sweepd the process itself (under systemd it is a unit of its own).
 *
 *   not wanted --a sweep that wants W&B--> wanted, none connected --spawned--> it connects --it ends--> wanted, ... (back-off)
 *
 * Nothing here waits for it, and nothing else depends on it. */
#pragma once

#include "client.h"

struct forwarder;

/* Finds out whether one is wanted, and makes STATE/forward.lock, which sweep-forward holds while it works. */
int forward_new(struct daemon *d, struct err *err);
/* A sweep came whose runs are to be sent. */
void forward_want(struct daemon *d);
/* Starts it where it is wanted and not there.  Returns the next deadline (monotonic seconds, or INFINITY). */
double forward_tick(struct daemon *d, double now_s);
/* The verb forward (docs/protocol.md). */
int forward_request(struct client *client, const json_t *request, struct err *err);
/* For `status`: null, or {"pid", "connected"}.  New reference. */
json_t *forward_describe(const struct daemon *d);
/* Asks it to end, if sweepd started it; before connections are closed. */
void forward_close(struct daemon *d);
void forward_free(struct daemon *d); /* after the close callbacks */
