/* What clients that follow (client.h) are told: progress as it comes, and a word when rows are committed. */
#pragma once

#include "daemon.h"

/* A worker's progress message, with job and device added. */
void watch_publish_progress(struct daemon *d, int64_t job, const char *device, const json_t *progress);
/* Rows up to that event are committed. */
void watch_publish_event(struct daemon *d, int64_t event_id);
