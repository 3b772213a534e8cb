/* Where one sweepd lives: a private one (a plain user's, XDG directories, or everything in $SWEEPD_DIR) or the
 * system's (/var/lib/sweepd, /run/sweepd; systemd's $STATE_DIRECTORY and $RUNTIME_DIRECTORY win). */
#pragma once

#include "base.h"

struct paths {
	bool system;
	char *state;	 /* results.db, jobs/N/, lock, worker.token, sweepd.log */
	char *runtime;	 /* sockets */
	char *db;	 /* STATE/results.db */
	char *control;	 /* RUNTIME/control.sock */
	char *worker;	 /* RUNTIME/worker.sock */
};

/* For the daemon: which: NULL (from the environment: $STATE_DIRECTORY set means the system's, then $SWEEPD_DIR, then
 * XDG) or a directory that holds everything. A socket path over 107 bytes is an error (libuv truncates it). */
int paths_daemon(struct paths *ret, const char *dir, struct err *err);
/* For sweepctl: dir, else $SWEEPD_DIR, else the private one if its state directory exists, else the system's if
 * /var/lib/sweepd exists, else the private one. */
int paths_client(struct paths *ret, const char *dir, struct err *err);
/* Creates state (0750), runtime (0700 private, 0755 system) and STATE/jobs. */
int paths_create(const struct paths *p, struct err *err);
/* STATE/jobs/ID; allocated. */
char *paths_job_dir(const struct paths *p, int64_t job);
void paths_fini(struct paths *p);
