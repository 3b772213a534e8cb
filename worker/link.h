/* The worker's end of the worker protocol (docs/protocol.md): one connection to the daemon, kept up for the worker's
 * life.  When the daemon is gone the jobs train on and the link tries again; events wait in their files. */
#pragma once

#include "slot.h"

struct link_config {
	const char *socket_path;
	const char *token_file;
	int64_t worker;	       /* the daemon's number for this worker */
	const char *device_id; /* "cpu" */
	double orphan_timeout_s; /* without a daemon so long: release the job and end */
};

#define ORPHAN_TIMEOUT_S      (24 * 3600.0)
#define IDLE_ORPHAN_TIMEOUT_S 30.0 /* the same for a worker without a job, if it is the shorter */

/* Serves until told to stop (a `stop` message, SIGTERM or SIGINT) and the jobs have ended: 0.  < 0: it could not go on; -ENODEV:
 * the device cannot be used by this process any more.  devices: one for each job at a time. */
int link_serve(const struct link_config *config, const struct slot_device devices[], int n_slots, struct err *err);
