/* The daemon's end of the worker protocol (docs/protocol.md): who may speak, and what their lines mean. */
#pragma once

#include "daemon.h"

/* For uv_listen() on the worker socket. */
void link_on_connection(uv_stream_t *listener, int status);
/* After a commit: one acknowledgement for everything a worker said. */
void link_send_acks(struct daemon *d);
