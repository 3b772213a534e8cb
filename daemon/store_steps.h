/* Samples of training steps, from a worker's event into rows.  See docs/protocol.md. */
#pragma once

#include "store_internal.h"

/* The rows of a `steps` event.  -EPROTO: it is none, or a step came twice in its attempt. */
int store_add_steps(struct store *s, const struct attempt_row *attempt, int64_t event_id, const json_t *event, struct err *err);
/* What of such an event stays in the log beside the rows: {"epoch", "first", "last", "n"}.  New reference. */
json_t *store_steps_detail(const json_t *event);
