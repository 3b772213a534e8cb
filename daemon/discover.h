/* Which devices to train on: asked of `sweep-worker --devices --json` at the start, in a process of its own, so that a
 * vendor's library that hangs or crashes is not the daemon's trouble. */
#pragma once

#include "common/base.h"

#define DEVICE_ID_MAX 96

enum device_kind { DEVICE_CPU, DEVICE_CUDA };

struct place { /* for one worker */
	char id[DEVICE_ID_MAX]; /* "cpu", "cpu:0", a GPU's UUID */
	enum device_kind kind;
};

struct discovery {
	const char *program; /* sweep-worker */
	const char *wanted;  /* --device: ids (also cuda:N) separated by commas; NULL: every GPU that trains, else the CPU */
	const char *backend; /* --backend; NULL: the workers' to choose */
	int n_cpu;	     /* --devices: that many workers on the CPU; 0: not said */
	int timeout_ms;	     /* of the question; a worker that does not answer is killed */
};

/* Waits for the answer: only before the daemon's loop runs.  Without --device, --devices and --backend every GPU that can
 * train is a place; where none can, or the question is not answered (a warning in the log says why), the CPU is.
 * Negative: a wanted device is not there or cannot train.  Caller frees. */
int discover_places(struct place **ret, int *ret_count, const struct discovery *discovery, struct err *err);

const char *device_kind_name(enum device_kind kind); /* as in results.db: "cpu", "cuda" */
enum device_kind device_kind_of(const char *id);
