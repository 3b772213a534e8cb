/* The control socket: one request a line, one answer a line, after the commit that makes it true. */
#pragma once

#include "client.h"

/* For uv_listen() on the control socket. */
void control_on_connection(uv_stream_t *listener, int status);

/* Verbs of their own files. */
int submit_request(struct client *client, const json_t *request, struct err *err);
int change_request(struct client *client, const json_t *request, struct err *err);
/* The same for buttons pressed in W&B's pages: the verb is in `ask`, whose jobs they are does not matter. */
int change_from_wandb(struct client *client, const json_t *request, struct err *err);
/* After a commit: requests whose running jobs have all left their slots are answered. */
void change_check_pending(struct daemon *d);
void change_drop_pending(struct daemon *d);
