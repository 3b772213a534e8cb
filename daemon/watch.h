/* Clients that follow what happens: progress as it comes, and a word when rows are committed. */
#pragma once

#include "daemon.h"

/* The peer becomes a follower until its connection ends. */
void watch_add(struct peer *peer);
/* A worker's progress message, with job and device added. */
void watch_publish_progress(struct daemon *d, int64_t job, const char *device, const json_t *progress);
/* Rows up to that event are committed. */
void watch_publish_event(struct daemon *d, int64_t event_id);
