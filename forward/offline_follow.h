/* Following, for sweeps with mode `offline`: as a job comes to its end its run is written for `wandb sync`, and sweepd
 * is told (phase `finished`, no URL).  Written again after a crash between the two, to the same bytes under the same
 * name.
 *
 * A directory that cannot be written (a full disk) is the sweep's problem, said once, and tried again after
 * person_ms; training does not notice.  Files are written in the loop: they are small, and the disk is this machine's.
 */
#pragma once

#include "follow_internal.h"

struct offlines;

struct offlines *offlines_new(struct follow *f);
void offlines_free(struct offlines *o); /* accepts NULL */
/* Rows were committed. */
void offlines_touch(struct offlines *o);
/* Acts where something is due.  Returns when it wants to be asked again (monotonic seconds, or INFINITY). */
double offlines_tick(struct offlines *o, double now_s);
/* Appends what sweepd shall store to the lists of a report. */
void offlines_report(struct offlines *o, json_t *runs, json_t *sweeps);
void offlines_reported(struct offlines *o, bool stored);
