/* The control socket from the client's side: one request, one answer, and the endless lines of `watch`. */
#pragma once

#include "common/base.h"
#include "common/lines.h"
#include "common/paths.h"

#include <jansson.h>

#define CLIENT_SILENCE_MS 5000 /* after so long without a byte a daemon counts as not answering */

struct client {
	int fd; /* -1: not connected */
	struct lines lines;
};

/* -ENOTCONN: no daemon is there; -EACCES: not for you. */
int client_connect(struct client *c, const struct paths *paths, struct err *err);
void client_close(struct client *c);
int client_send(struct client *c, const json_t *request, struct err *err);
/* 1 and a line's object, 0 when none is whole yet; -ECONNRESET when the daemon closed the connection.  Never waits. */
int client_poll(struct client *c, json_t **ret, struct err *err);
/* Waits for a line, at most so long; -ETIMEDOUT. */
int client_wait(struct client *c, int timeout_ms, json_t **ret, struct err *err);
/* connect, send, wait, close.  Consumes request.  0 whether the answer is ok or a refusal. */
int client_ask(const struct paths *paths, json_t *request, int timeout_ms, json_t **ret, struct err *err);
/* The process behind the socket; 0 when the kernel does not say. */
int client_peer_pid(const struct client *c);
