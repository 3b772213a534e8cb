/* What an attempt uses while it trains: sampled once a second by a thread of its own, so that neither a slow driver nor a
 * slow disk is in the training's way, and recorded as `telemetry` events: after the first seconds, then every half minute,
 * and the rest at the end.
 *
 * Values of an event, of the time since the last one (those that are not known are left out):
 *   seconds         so long
 *   cpu_percent     mean of the worker's processor time; 100 is one core
 *   ram_mib         most resident memory of the worker
 *   gpu_percent     mean of the time in which a kernel ran
 *   vram_mib        most device memory in use; where several attempts share the worker, this one's own
 *   watts           mean power; with a GPU the GPU's, else the processor packages' (rapl.h)
 *   joules          energy
 *   temperature_c   highest
 *   sm_clock_mhz    mean
 *   ecc_corrected, ecc_uncorrected   memory errors of the GPU since its driver was started
 * Where several attempts train in one worker, processor time, power and energy are divided by their number. */
#pragma once

#include "events.h"

struct telemetry;

struct telemetry_config {
	struct event_log *events;
	const char *gpu;       /* its UUID; NULL: trains on the CPU; borrowed */
	int64_t own_bytes;     /* device memory of this attempt; reported where others share the GPU */
	const char *powercap;  /* for tests; NULL: /sys/class/powercap */
	double sample_s, first_s, report_s; /* for tests; 0: 1 s, 5 s and 30 s */
};

/* Never fails: without a thread nothing is recorded. */
struct telemetry *telemetry_new(const struct telemetry_config *config);
/* Records what is left and ends the thread; to be called before the attempt's last event.  Both accept NULL. */
void telemetry_stop(struct telemetry *t);
void telemetry_free(struct telemetry *t); /* stops it first */

struct telemetry_epoch { /* NAN: not known */
	double watts;	 /* mean */
	double joules;
	double vram_mib; /* most */
};
/* Since the last call (at first: since the start).  Waits for nothing. */
void telemetry_epoch(struct telemetry *t, struct telemetry_epoch *ret);
/* What the driver has said against the GPU since the start: "Xid 79: it has fallen off the bus"; "" when nothing.  buf holds
 * TELEMETRY_TROUBLE_MAX bytes; returns buf. */
#define TELEMETRY_TROUBLE_MAX 256
char *telemetry_trouble(struct telemetry *t, char *buf);
