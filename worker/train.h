/* Trains one job from its configuration to one terminal event.  Knows no device (that is backend.h) and no daemon
 * (that is link.h): it takes a configuration and a directory, and speaks through an event log.
 *
 * Semantics are PyTorch's usual loop: each epoch a fresh permutation, the last batch may be smaller, then the test
 * split in evaluation mode, then scheduler.step(test_loss). */
#pragma once

#include "backend.h"
#include "events.h"

#include "common/params.h"

#include <stdatomic.h>

enum release_why { RELEASE_NONE, RELEASE_STOP, RELEASE_PAUSE, RELEASE_TIME_LIMIT, N_RELEASE_WHYS };
extern const char *const release_names[N_RELEASE_WHYS]; /* as in messages */

/* Wishes of other threads, looked at between steps. */
struct train_control {
	atomic_bool cancel;	/* end now, no checkpoint */
	atomic_bool fence;	/* end now, write nothing more */
	atomic_bool checkpoint; /* checkpoint, go on */
	atomic_int release;	/* enum release_why: checkpoint and end */
};

struct train_progress {
	int epoch; /* under way, 1-based */
	uint32_t step, steps;
	double train_loss; /* mean of the epoch so far */
	double images_per_second;
	bool testing;
};

struct train_job {
	struct train_config config;
	const char *job_dir;  /* exists; borrowed, like all below */
	const char *data_dir; /* where to look for the data set first, or NULL */
	bool resume;	      /* from job_dir/last.safetensors, if it is there */
	const struct backend *backend;
	struct device *device;
	int threads; /* recorded */
	struct event_log *events;
	struct train_control *control;
	atomic_bool *lost_device; /* set, before `failed` says so, when this process cannot use the device any more; or NULL */
	void (*progress)(void *arg, const struct train_progress *p); /* at most a few times a second; may be NULL */
	void *progress_arg;
};

/* Emits `started`, `epoch`s, `telemetry`, `checkpoint`s and exactly one of done, failed, cancelled, released (none when
 * fenced). */
void train_job_run(const struct train_job *job);
